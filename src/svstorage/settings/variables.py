"""Every variable that svstorage knows: one table for reading, documentation and typo hints.

The table here holds what any storage may be asked for. Which of them a provider reads, its own
words for them and the variables that only it has come from its plugin (`claim`, `register`).
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from svstorage.errors import PluginError, SettingsError
from svstorage.settings.secret import Secret


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable: what it means and, in words, what holds when it is not set.

    ``secret`` values are masked wherever settings are shown.
    """

    name: str
    meaning: str
    default: str = ""
    secret: bool = False
    keyword: bool = True
    """False for variables that steer the program and are no property of a storage."""

    @property
    def keyword_name(self) -> str:
        """Its name as an argument of `svstorage.connect` and as a field of a links file."""
        return self.name.removeprefix("STORAGE_").lower()


_BUILT_IN = (
    Variable(
        "STORAGE_PROVIDER",
        "http (local disk), minio (S3), azure, or a plugin's name; local and s3 are accepted "
        "as other names of the first two",
        "http",
    ),
    Variable(
        "DATA_PATH",
        "where local data lives; local buckets are the folders of DATA_PATH/storage",
        "/supervisely/data if that folder exists, else the user data folder for svstorage",
    ),
    Variable(
        "STORAGE_ENDPOINT",
        "host, host:port or URL of the service",
        "the vendor's own service",
    ),
    Variable(
        "STORAGE_PORT",
        "port; with no scheme in the endpoint, 443 means TLS and any other port means TLS off",
        "from the scheme, else 443",
    ),
    Variable("STORAGE_USE_SSL", "true or false; wins over the rule of STORAGE_PORT"),
    Variable("STORAGE_ACCESS_KEY", "access key, or name of the account"),
    Variable("STORAGE_SECRET_KEY", "secret key that belongs to it", secret=True),
    Variable(
        "STORAGE_CREDENTIALS",
        "name of the one credential resolver to use, or auto",
        "auto",
    ),
    Variable(
        "STORAGE_CREDENTIALS_PATH",
        "a credentials file, for providers that use one",
    ),
    Variable(
        "STORAGE_CA_BUNDLE",
        "PEM file of the certificates to trust for TLS",
        "the system's",
    ),
    Variable(
        "STORAGE_INSECURE",
        "true allows plain http to hosts outside this machine and private networks",
        "false",
    ),
    Variable("STORAGE_LINKS_FILE", "YAML file of further storages by name"),
    Variable(
        "STORAGE_BUCKETS_PREFIX",
        "<prefix> of the buckets <prefix>-public and <prefix>-private",
        "found by listing, when just one such pair exists",
    ),
    Variable(
        "STORAGE_JUPYTER_SYNC",
        "true keeps the notebook folder and the storage in step",
        "false",
    ),
    Variable(
        "JUPYTER_DOWNLOAD_FILES_BEFORE_START",
        "true brings the files down before the notebook server starts",
        "false",
    ),
    Variable(
        "STORAGE_JUPYTER_PATH",
        "bucket/prefix of the notebook files, {user} allowed",
        "<prefix>-private/jupyter/{user}",
    ),
    Variable(
        "STORAGE_JUPYTER_MAX_FILE_SIZE",
        "notebook files over this size (bytes, or 500M, 2G) stay where they are",
        "1G",
    ),
    Variable(
        "SVSTORAGE_ENV_FILE",
        "the settings file to read",
        "the nearest .env in the working directory or above it",
        keyword=False,
    ),
    Variable(
        "SVSTORAGE_STATE_PATH",
        "the folder of the journals of copies",
        "the user state folder for svstorage",
        keyword=False,
    ),
    Variable(
        "SVSTORAGE_DISABLE_PLUGINS",
        "plugins to leave out, by name; * leaves out all third-party ones",
        keyword=False,
    ),
    Variable(
        "SVSTORAGE_PLUGINS",
        "the only third-party plugins to load, by name",
        keyword=False,
    ),
)

_COMMON = frozenset(variable.name for variable in _BUILT_IN)
_known: dict[str, Variable] = {variable.name: variable for variable in _BUILT_IN}
_claims: dict[str, dict[str, Variable]] = {}
"""By variable, the providers that read it, each with its own words for it."""

_NAME = re.compile(r"[A-Z][A-Z0-9_]*\Z")
_SECRET_NAME = re.compile(
    r"SECRET|TOKEN|PASSW|PASSPHRASE|PRIVATE_KEY|CONNECTION_STRING|SIGNATURE|ACCOUNT_KEY|API_?KEY"
)


def register(variable: Variable) -> None:
    """Adds a plugin's variable. Registering an equal one again does nothing.

    Raises `PluginError` when another meaning of that name is registered already.
    """
    if not _NAME.match(variable.name):
        raise PluginError(f"{variable.name!r} is no name for a variable: use A-Z, 0-9 and _")
    if _known.setdefault(variable.name, variable) != variable:
        raise PluginError(
            f"the variable {variable.name} is registered already with another meaning. "
            "Give the plugin's variable a name of its own"
        )


def claim(provider: str, variable: Variable | str) -> None:
    """Notes that this provider reads the variable: by name, or in the provider's own words.

    A variable that nobody claims concerns every provider. One that is not in the table yet is
    registered. Raises `PluginError` as `register` does, and where a common variable would
    become a secret or cease to be one.
    """
    if isinstance(variable, str):
        if variable not in _known:
            raise PluginError(f"the provider {provider} reads {variable}, which nobody describes")
        variable = _known[variable]
    common = _known.get(variable.name) if variable.name in _COMMON else None
    if common is None:
        register(variable)
    elif common.secret != variable.secret:
        raise PluginError(f"the variable {variable.name} cannot change between secret and shown")
    _claims.setdefault(variable.name, {})[provider] = variable


def of_provider(provider: str) -> tuple[Variable, ...]:
    """The variables that concern a provider (by its ``name``), in its words, in table order."""
    found = []
    for name, variable in _known.items():
        claims = _claims.get(name)
        if claims is None:
            found.append(variable)
        elif provider in claims:
            found.append(claims[provider])
    return tuple(found)


def known() -> tuple[Variable, ...]:
    """All variables in the order of registration, the built-in ones first."""
    return tuple(_known.values())


def lookup(name: str) -> Variable | None:
    """The variable of that name, if it is known."""
    return _known.get(name)


def is_secret(name: str) -> bool:
    """Whether its values are masked. A variable nobody registered is judged by its name."""
    variable = _known.get(name)
    if variable:
        return variable.secret
    # A secret under a misspelt name is a secret.
    meant = _known.get(likely_meant(name) or "")
    return bool(meant and meant.secret) or bool(_SECRET_NAME.search(name.upper()))


def likely_meant(name: str) -> str | None:
    """The known variable that ``name`` looks like a typo of, if any.

    Only names that begin like ours are judged: an unrelated variable of another program is
    none of our business.
    """
    upper = name.upper()
    if name in _known or not upper.startswith(("STOR", "SVSTOR", "JUPYTER_DOWNLOAD")):
        return None
    if upper in _known:
        return upper
    # Where the common beginning is right it must not make every name alike.
    if upper.startswith("STORAGE_"):
        rests = [n.removeprefix("STORAGE_") for n in _known if n.startswith("STORAGE_")]
        rest = difflib.get_close_matches(upper.removeprefix("STORAGE_"), rests, 1, 0.75)
        return f"STORAGE_{rest[0]}" if rest else None
    close = difflib.get_close_matches(upper, _known, 1, 0.85)
    return close[0] if close else None


def by_keyword(keyword: str) -> Variable | None:
    """The variable that an argument of `svstorage.connect` or a links file's field sets."""
    for name in (f"STORAGE_{keyword.upper()}", keyword.upper()):
        variable = _known.get(name)
        if variable and variable.keyword and variable.keyword_name == keyword:
            return variable
    return None


def keyword_like(keyword: str, *also: str) -> str | None:
    """The keyword that ``keyword`` looks like a typo of, if any; ``also`` adds candidates."""
    names = [variable.keyword_name for variable in _known.values() if variable.keyword]
    close = difflib.get_close_matches(keyword.lower(), [*names, *also], 1, 0.6)
    return close[0] if close else None


def value_text(value: object) -> str | None:
    """A value given as a Python object, as the text that a ``.env`` file would hold.

    Takes str, `Secret`, bool, int and paths, and None for a value that is not given. Raises
    `TypeError`, which does not show the value, for anything else.
    """
    if value is None:
        return None
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    raise TypeError(f"must be text, a number, true or false, not {type(value).__name__}")


def from_keywords(**keywords: object) -> Mapping[str, str]:
    """Turns ``provider="minio", access_key=...`` into variables for `Settings.load`.

    Keywords are the variables' names in lower case without ``STORAGE_``; those with the value
    None are left out. An unknown keyword or a value of a wrong type is a `SettingsError`.
    """
    values: dict[str, str] = {}
    for keyword, value in keywords.items():
        variable = by_keyword(keyword)
        if variable is None:
            meant = keyword_like(keyword)
            raise SettingsError(
                "there is no such setting",
                variable=keyword,
                source="argument",
                mend=f"Did you mean {meant}?" if meant else "See the list of settings",
            )
        problem = None
        try:
            text = value_text(value)
        except TypeError as exc:
            problem = str(exc)
        if problem:
            raise SettingsError(problem, variable=variable.keyword_name, source="argument")
        if text is not None:
            values[variable.name] = text
    return values
