"""Which prefix of which bucket a notebook folder goes with, and how it is kept in step."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from svstorage.addresses import Kind, parse
from svstorage.errors import SettingsError, UsageError
from svstorage.settings import Settings
from svstorage.storage import Storage

PATH = "STORAGE_JUPYTER_PATH"
SYNC = "STORAGE_JUPYTER_SYNC"
DOWNLOAD = "JUPYTER_DOWNLOAD_FILES_BEFORE_START"
MAX_SIZE = "STORAGE_JUPYTER_MAX_FILE_SIZE"

USER_VARIABLES = ("JUPYTERHUB_USER", "JPY_USER", "NB_USER", "USER", "LOGNAME")
"""Who ``{user}`` is, the first that is set: JupyterHub's word, that of hubs before 0.8, that of
the Jupyter docker images, then the login name."""

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@dataclass(frozen=True, slots=True)
class Target:
    """A prefix in a connected storage. ``prefix`` is empty or ends in ``/``."""

    storage: Storage
    bucket: str
    prefix: str

    @property
    def base(self) -> str:
        """What stands before a file's name in addresses."""
        return f"sv://{self.bucket}/{self.prefix}"

    @property
    def identity(self) -> str:
        """Equal for two targets that hold the same objects; no secrets."""
        return f"{self.storage.store.identity}|{self.bucket}|{self.prefix}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a folder is kept in step. Sizes in bytes, times in seconds."""

    max_size: int = 1 << 30
    """Files over this size are left where they are, and named."""
    settle: float = 0.4
    """A file must not change for so long before it is sent."""
    poll: float = 15.0
    """How often the storage is asked for changes."""
    scan: float = 5.0
    """How often the folder is walked where the system cannot tell of changes."""
    debounce: float = 0.3
    """How long to wait for further changes after one."""
    flush: float = 20.0
    """How long the last pass may take when the server ends."""
    retries: int = 3
    """Further tries of one file within a pass."""


def user_name(environ: Mapping[str, str] | None = None) -> str:
    """Who ``{user}`` is: see `USER_VARIABLES`; with none of them set, the owner of the process.

    Raises:
        SettingsError: the name cannot be one part of a key, or there is none.
    """
    environ = os.environ if environ is None else environ
    variable = next((name for name in USER_VARIABLES if environ.get(name)), None)
    if variable is not None:
        user = environ[variable]
    else:
        variable = "USER"
        try:
            import pwd

            user = pwd.getpwuid(os.getuid()).pw_name
        except (ImportError, KeyError):
            raise SettingsError(
                "{user} stands in the path of the notebook files, and nothing tells the user",
                variable=PATH,
                mend="Set JUPYTERHUB_USER, or write the name instead of {user}",
            ) from None
    if "/" in user or "\0" in user or user in (".", "..") or user != user.strip():
        raise SettingsError(
            "it takes the place of {user} in the path of the notebook files, so it must be one "
            "plain name without /",
            variable=variable,
            source="environment",
        )
    return user


def find_target(storage: Storage, path: str | None = None) -> Target:
    """The prefix of ``STORAGE_JUPYTER_PATH``, or of ``path`` where it is given.

    Written as ``bucket/prefix``, ``sv://bucket/prefix`` or ``private:prefix``. ``{user}`` is
    replaced everywhere in the prefix; all else is taken as it stands.
    """
    settings = storage.settings
    source = str(settings.source(PATH)) if path is None else "argument"
    text = settings.text(PATH) if path is None else path
    if text is None:
        return Target(storage, storage.private, f"jupyter/{user_name()}/")
    if "{user}" in text:
        text = text.replace("{user}", user_name())
    bucket, prefix = _split(text, storage, source)
    if prefix and not prefix.endswith("/"):
        prefix += "/"
    return Target(storage, bucket, prefix)


def _split(text: str, storage: Storage, source: str) -> tuple[str, str]:
    if "://" in text or text.startswith(("private:", "public:")):
        try:
            address = parse(text)
        except UsageError as error:
            raise SettingsError(str(error), variable=PATH, source=source) from None
        if address.kind is Kind.SHORT:
            address = address.in_prefix(storage.prefix)
        if address.kind is not Kind.STORAGE or address.storage is not None or not address.bucket:
            raise SettingsError(
                "it names no bucket of the storage", variable=PATH, source=source, mend=_FORM
            )
        return address.bucket, address.key
    bucket, _, prefix = text.partition("/")
    if not bucket or prefix.startswith("/"):
        raise SettingsError(
            "it does not begin with the name of a bucket", variable=PATH, source=source, mend=_FORM
        )
    return bucket, prefix


_FORM = "Write bucket/prefix, such as acme-private/jupyter/{user}"


def options_from(settings: Settings, base: Options | None = None) -> Options:
    """Options with what the settings say of them."""
    base = base or Options()
    text = settings.text(MAX_SIZE)
    if text is None:
        return base
    size = parse_size(text)
    if size is None:
        raise settings.error(MAX_SIZE, "the value is not a size", "Write bytes, or 500M, or 2G")
    return replace(base, max_size=size)


def parse_size(text: str) -> int | None:
    """Bytes of ``500M``, ``2GiB``, ``1000``; powers of 1024. None for anything else."""
    match = re.fullmatch(r"\s*([0-9]{1,12})\s*(?:([kmgt])(?:i?b)?|b)?\s*", text.lower())
    return int(match[1]) * _UNITS[match[2] or ""] if match else None


def settings_file(settings: Settings) -> Path | None:
    """The file that the settings were read from, as an absolute path."""
    return None if settings.env_file is None else Path(os.path.abspath(settings.env_file))
