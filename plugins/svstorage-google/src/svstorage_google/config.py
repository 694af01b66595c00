"""The settings of Google Cloud Storage, typed and checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svstorage.providers.endpoint import Endpoint, ca_bundle, parse_endpoint
from svstorage.settings import Settings

CREDENTIALS_PATH = "STORAGE_CREDENTIALS_PATH"
PROJECT = "STORAGE_GOOGLE_PROJECT"
_DEFAULT = "https://storage.googleapis.com"


@dataclass(frozen=True, slots=True)
class GoogleConfig:
    """``project`` is needed to list and make buckets only."""

    endpoint: Endpoint
    project: str | None
    ca_bundle: Path | None

    @property
    def endpoint_is_vendors(self) -> bool:
        """Also the private and the regional endpoints, all below googleapis.com."""
        return self.endpoint.tls and f".{self.endpoint.host}".endswith(".googleapis.com")

    @property
    def location(self) -> str:
        return self.endpoint.url


def parse(settings: Settings) -> GoogleConfig:
    """Settings to config. Raises `SettingsError`."""
    endpoint = parse_endpoint(settings, _DEFAULT)
    if endpoint.path:
        raise settings.error("STORAGE_ENDPOINT", "it has a path", "Leave bucket and folders out")
    project = settings.text(PROJECT)
    if project is None:
        account = service_account(settings)
        found = account.get("project_id") if account else None
        project = found if isinstance(found, str) else None
    return GoogleConfig(endpoint, project, ca_bundle(settings))


def service_account(settings: Settings) -> dict[str, Any] | None:
    """What the file of ``STORAGE_CREDENTIALS_PATH`` holds, or None where none is named.

    It holds a secret. Raises `SettingsError`, which shows nothing of it.
    """
    path = settings.path(CREDENTIALS_PATH)
    if path is None:
        return None
    mend = "Name the JSON file that Google's console gave when the key was made"
    problem: str | None = None
    account: Any = None
    try:
        if path.is_file():
            account = json.loads(path.read_bytes())
        else:
            problem = "there is no such file"
    except OSError as error:
        problem = f"the file cannot be read: {error.strerror}"
    except ValueError:
        problem = "the file is no JSON"
    # Raised outside of the handlers: the error of the parser carries the text along.
    if problem is None and not (
        isinstance(account, dict)
        and account.get("type") == "service_account"
        and all(
            isinstance(account.get(name), str)
            for name in ("client_email", "private_key", "token_uri")
        )
    ):
        problem = "it is not the key of a service account"
    if problem is not None:
        raise settings.error(CREDENTIALS_PATH, problem, mend)
    found: dict[str, Any] = account
    return found
