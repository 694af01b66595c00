"""Credentials of an ECS task or an EKS pod, from the agent beside it.

The variables and which hosts may be asked: AWS SDKs and Tools reference guide, "Container
credential provider".
"""

from __future__ import annotations

import ipaddress
import time
from pathlib import Path
from urllib.parse import urlsplit

from svstorage.credentials import aws_answer, http
from svstorage.credentials.base import AwsCredentials, Passed, RefreshingCredentials
from svstorage.credentials.s3_config import S3Access
from svstorage.errors import CredentialsError, SettingsError
from svstorage.settings import Secret, Settings

NAME = "container"
TOTAL_SECONDS = 10.0

_RELATIVE = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
_FULL = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105 - a name
_TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"  # noqa: S105 - a name

_ECS = "http://169.254.170.2"
_AGENTS = frozenset(
    ipaddress.ip_address(text) for text in ("169.254.170.2", "169.254.170.23", "fd00:ec2::23")
)


def resolve(config: S3Access, settings: Settings) -> RefreshingCredentials[AwsCredentials] | Passed:
    """A source, or `Passed` outside of such a container.

    Raises `SettingsError` for a URL that credentials must not be fetched from.
    """
    url = service_url(settings)
    if url is None:
        return Passed(f"{_RELATIVE} and {_FULL} are not set")
    # Checked now, so that a wrong setting is told as one; read anew for each request.
    _authorization(settings)
    return RefreshingCredentials(NAME, lambda: _fetch(url, settings))


def service_url(settings: Settings) -> str | None:
    """Where to ask, or None where this is no such container. Raises `SettingsError`."""
    relative = settings.text(_RELATIVE)
    if relative:
        # "@elsewhere/" after the host would make the host a user name.
        if not relative.startswith("/") or not relative.isascii() or not relative.isprintable():
            raise settings.error(_RELATIVE, "it is no path that begins with /")
        return _ECS + relative
    full = settings.text(_FULL)
    if not full:
        return None
    host, scheme, fits = "", "", False
    try:
        parts = urlsplit(full)
        host, scheme = parts.hostname or "", parts.scheme
        fits = not parts.username and parts.port != 0 and full.isascii()
    except ValueError:
        fits = False
    if not fits or not host or scheme not in ("http", "https") or not full.isprintable():
        raise settings.error(_FULL, "it is no http:// or https:// URL")
    if scheme == "http" and not _may_be_plain(host):
        raise settings.error(
            _FULL,
            "over plain http, credentials are fetched only from this machine and from the ECS "
            "and EKS agents",
            "Use https://, or an address such as 127.0.0.1, 169.254.170.2 or 169.254.170.23",
        )
    return full


def _may_be_plain(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address in _AGENTS


def _authorization(settings: Settings) -> Secret | None:
    """The token to show to the agent. The file is read anew each time: EKS replaces it."""
    path = settings.path(_TOKEN_FILE)
    if path is None:
        token, variable = settings.text(_TOKEN), _TOKEN
    else:
        token, variable = _read(path, settings), _TOKEN_FILE
    if token is None:
        return None
    if "\r" in token or "\n" in token or not token.isascii():
        raise settings.error(variable, "the token has characters that no header can carry")
    return Secret(token)


def _read(path: Path, settings: Settings) -> str:
    problem = ""
    try:
        text = path.read_text("ascii").strip()
    except OSError as error:
        problem = f"the file cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        problem = "the file holds no token"
    if problem:
        raise settings.error(_TOKEN_FILE, problem)
    return text


def _fetch(url: str, settings: Settings) -> AwsCredentials:
    # The query is left out: some agents take a secret there.
    who = f"container credentials from {url.split('?', 1)[0]}"
    try:
        token = _authorization(settings)
    except SettingsError as error:
        # What was right at the start and is wrong now must not end a copy that still has
        # credentials that hold.
        raise CredentialsError(f"{who}: {error}") from None
    headers = {"Accept": "application/json"}
    if token is not None:
        headers["Authorization"] = token.reveal()
    problem = ""
    try:
        answer = http.request(
            "GET", url, headers=headers, deadline=time.monotonic() + TOTAL_SECONDS
        )
    except http.Unreachable as error:
        problem = str(error)
    if problem:
        raise CredentialsError(f"{who}: the agent cannot be reached ({problem})")
    if 300 <= answer.status < 400:
        raise CredentialsError(f"{who}: the agent answers with a redirect, which is not followed")
    if answer.status in (401, 403):
        raise CredentialsError(
            f"{who}: the agent refuses ({answer.status}). Is {_TOKEN_FILE} the right file?"
        )
    if answer.status != 200:
        raise CredentialsError(f"{who}: the agent answers {answer.status}")
    return aws_answer.require_future(aws_answer.parse(answer.text, who), who)
