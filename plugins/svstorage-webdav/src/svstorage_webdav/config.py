"""The settings of a WebDAV server, typed and checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote_to_bytes

from svstorage.providers.endpoint import ENDPOINT, Endpoint, ca_bundle, parse_endpoint, proxy
from svstorage.settings import Secret, Settings

SET_TIMES = "STORAGE_WEBDAV_SET_TIMES"


@dataclass(frozen=True, slots=True)
class WebdavConfig:
    """One folder of one server. ``root`` is its path, decoded and cut at the slashes."""

    endpoint: Endpoint
    root: tuple[str, ...]
    sets_times: bool
    user: str | None = None
    ca_bundle: Path | None = None
    proxy: Secret | None = field(default=None, repr=False)

    @property
    def endpoint_is_vendors(self) -> bool:
        """Never: there is no one vendor."""
        return False

    @property
    def location(self) -> str:
        return self.endpoint.url


def parse(settings: Settings) -> WebdavConfig:
    """Settings to config. Raises `SettingsError`, for plain http to a public host too."""
    settings.required_text(ENDPOINT, "Write the URL of the folder that holds the buckets")
    endpoint = parse_endpoint(settings)
    root = []
    for part in endpoint.path.split("/")[1:]:
        data = unquote_to_bytes(part)
        try:
            name = data.decode()
        except UnicodeDecodeError:
            name = ""
        if name in ("", ".", "..") or "/" in name or any(c < " " for c in name):
            raise settings.error(ENDPOINT, "the path in the value cannot be used")
        root.append(name)
    sets_times = settings.boolean(SET_TIMES, "remote.php" in root)
    return WebdavConfig(
        endpoint,
        tuple(root),
        sets_times,
        settings.text("STORAGE_ACCESS_KEY"),
        ca_bundle(settings),
        proxy(settings, endpoint),
    )
