"""The settings of an SFTP server, typed and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from svstorage.settings import Settings

KNOWN_HOSTS = "STORAGE_SFTP_KNOWN_HOSTS"
ROOT = "STORAGE_SFTP_ROOT"
_ENDPOINT = "STORAGE_ENDPOINT"
_DEFAULT_KNOWN_HOSTS = (Path("~/.ssh/known_hosts"), Path("/etc/ssh/ssh_known_hosts"))


@dataclass(frozen=True, slots=True)
class SftpConfig:
    """One user's view of one server. ``root`` is a path on the server."""

    host: str
    port: int
    user: str
    root: str
    known_hosts: tuple[Path, ...]

    @property
    def endpoint_is_vendors(self) -> bool:
        """Never: the keys of an agent go to no server unless it is named."""
        return False

    @property
    def location(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == 22 else f":{self.port}"
        below = self.root if self.root.startswith("/") else f"/~/{self.root}".removesuffix("/.")
        return f"sftp://{self.user}@{host}{port}{below}"


def parse(settings: Settings) -> SftpConfig:
    """Settings to config. Raises `SettingsError`."""
    host, port = _endpoint(settings)
    user = settings.required_text("STORAGE_ACCESS_KEY", "Set it to the name of the user").strip()
    if not user or any(character < " " for character in user):
        raise settings.error("STORAGE_ACCESS_KEY", "it is not the name of a user")
    root = settings.text(ROOT) or "."
    if root != "/":
        root = root.rstrip("/")
    return SftpConfig(host, port, user, root, _known_hosts(settings))


def _endpoint(settings: Settings) -> tuple[str, int]:
    mend = "Write host, host:port or sftp://host:port"
    text = settings.required_text(_ENDPOINT, mend).strip()
    scheme, mark, rest = text.partition("://")
    if not mark:
        rest = text
    elif scheme.lower() not in ("sftp", "ssh"):
        raise settings.error(_ENDPOINT, "the scheme is not sftp", mend)
    if "@" in rest:
        # Never shown: what stands before the @ may hold a password.
        raise settings.error(
            _ENDPOINT, "the value has a user name", "Put the user into STORAGE_ACCESS_KEY"
        )
    host, own_port, path, bad = "", None, "", False
    try:
        parts = urlsplit(f"//{rest}")
        host, own_port, path = parts.hostname or "", parts.port, parts.path + parts.query
    except ValueError:
        bad = True
    if bad or not host or not host.isascii() or any(c.isspace() for c in host):
        raise settings.error(_ENDPOINT, "the host or port cannot be read", mend)
    if path.strip("/"):
        raise settings.error(_ENDPOINT, "the value has a path", f"Put the folder into {ROOT}")
    port = settings.port("STORAGE_PORT")
    if port is not None and own_port is not None and port != own_port:
        raise settings.error(
            "STORAGE_PORT",
            f"the value is {port} but {_ENDPOINT} names port {own_port}",
            "Leave one of the two out",
        )
    return host, port or own_port or 22


def _known_hosts(settings: Settings) -> tuple[Path, ...]:
    named = settings.path(KNOWN_HOSTS)
    if named is None:
        return tuple(path.expanduser() for path in _DEFAULT_KNOWN_HOSTS)
    if not named.is_file():
        raise settings.error(
            KNOWN_HOSTS,
            "there is no such file",
            "Make it with ssh-keyscan, and compare the fingerprint with the server's own",
        )
    return (named,)
