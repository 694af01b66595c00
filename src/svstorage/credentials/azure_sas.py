"""A shared access signature: ``STORAGE_SAS_TOKEN``, or a ``STORAGE_SECRET_KEY`` that is one.

Its fields: Azure REST documentation, "Create a service SAS" and "Create an account SAS".
"""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from urllib.parse import parse_qs

from svstorage.credentials.aws_answer import timestamp
from svstorage.credentials.azure_config import AzureAccess
from svstorage.credentials.azure_values import Sas
from svstorage.credentials.base import Passed, StaticCredentials
from svstorage.errors import CredentialsError
from svstorage.settings import Secret, Settings

log = logging.getLogger(__name__)

NAME = "sas"
VARIABLE = "STORAGE_SAS_TOKEN"
KEY_VARIABLE = "STORAGE_SECRET_KEY"


def resolve(config: AzureAccess, settings: Settings) -> StaticCredentials[Sas] | Passed:
    """The signature, or `Passed` where neither variable holds one.

    Raises `SettingsError` for what is no signature, `CredentialsError` for one that has ended.
    """
    token = config.sas_token
    if not token:
        return Passed(f"{VARIABLE} is not set")
    # The config takes it from either.
    variable = VARIABLE if VARIABLE in settings else KEY_VARIABLE
    if config.account_key:
        log.warning(
            "%s is set beside %s: the signature is used. Set STORAGE_CREDENTIALS=static to use "
            "the key",
            VARIABLE,
            KEY_VARIABLE,
        )
    return source(token, variable, settings, NAME)


def source(token: Secret, variable: str, settings: Settings, name: str) -> StaticCredentials[Sas]:
    """A signature with its end, checked."""
    text = token.reveal().strip().removeprefix("?")
    fields = parse_qs(text, keep_blank_values=True)
    missing = [field for field in ("sv", "sig") if not fields.get(field, [""])[0]]
    if missing or not text.isascii() or not text.isprintable() or " " in text or "#" in text:
        problem = f"it lacks {' and '.join(missing)}" if missing else "it has stray characters"
        raise settings.error(
            variable,
            f"it is no shared access signature: {problem}",
            "Copy the whole token, which begins with sv= and holds sig=",
        )
    ends = _time("se", fields, variable, settings)
    mend = f"Make a new shared access signature and set {variable} to it"
    if ends is not None and ends <= datetime.now(timezone.utc):
        raise CredentialsError(
            f"{variable} ({settings.source(variable)}): the shared access signature ended at "
            f"{ends:%Y-%m-%d %H:%M:%S} UTC. {mend}"
        )
    return StaticCredentials(name, Sas(Secret(text), ends), mend=mend)


def _time(
    field: str, fields: dict[str, list[str]], variable: str, settings: Settings
) -> datetime | None:
    # Without "se", a stored access policy of the container says when it ends.
    written = fields.get(field, [""])[0]
    if not written:
        return None
    found = timestamp(written)
    if found is None:
        raise settings.error(variable, f"the field {field} of this signature is no date")
    return found
