"""Credentials for a web identity token, from AWS STS: roles of Kubernetes service accounts (IRSA).

STS API reference, "AssumeRoleWithWebIdentity": the request is not signed, the token is proof
enough. The token file is read for each renewal, since Kubernetes replaces it.
"""

from __future__ import annotations

import ipaddress
import re
import time
from pathlib import Path
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

from svstorage.credentials import aws_answer, http
from svstorage.credentials.base import AwsCredentials, Passed, RefreshingCredentials
from svstorage.credentials.resolve import is_named
from svstorage.credentials.s3_config import S3Access
from svstorage.errors import CredentialsError
from svstorage.settings import Secret, Settings

NAME = "web-identity"
TOTAL_SECONDS = 30.0

_ROLE = "AWS_ROLE_ARN"
_FILE = "AWS_WEB_IDENTITY_TOKEN_FILE"
_ENDPOINT = "AWS_ENDPOINT_URL_STS"
_SESSION = "AWS_ROLE_SESSION_NAME"
_LIMITS = http.Limits(connect=5.0, read=10.0, tries=3, pause=0.5)
_ARN = re.compile(r"arn:[\w-]+:iam::\d*:role/[\w+=,.@/-]+", re.ASCII)
_REGION = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+", re.ASCII)
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)


def resolve(config: S3Access, settings: Settings) -> RefreshingCredentials[AwsCredentials] | Passed:
    """A source, or `Passed` where the two variables are not set.

    Raises `SettingsError` where just one is set or a value cannot be right.
    """
    role, path = settings.text(_ROLE), settings.path(_FILE)
    if path is None:
        # AWS_ROLE_ARN alone is common beside a profile, and no sign of a web identity.
        if role and is_named(NAME, settings):
            raise settings.error(_FILE, "it is not set", f"{_ROLE} is: set both")
        return Passed(f"{_FILE} is not set")
    if not role:
        raise settings.error(_ROLE, "it is not set", f"{_FILE} is: set both, or neither")
    if not _ARN.fullmatch(role):
        raise settings.error(
            _ROLE, "it is no role's ARN", "Write arn:aws:iam::<account>:role/<name>"
        )
    session = settings.text(_SESSION) or f"svstorage-{int(time.time())}"
    if not _SESSION_NAME.fullmatch(session):
        raise settings.error(_SESSION, "it is no session name", "Use 2 to 64 of [A-Za-z0-9+=,.@_-]")
    exchange = _Exchange(
        url=sts_url(config, settings),
        role=role,
        token_file=path,
        session=session,
        ca_file=settings.text("AWS_CA_BUNDLE"),
        proxy=config.proxy,
    )
    return RefreshingCredentials(NAME, exchange.credentials)


def sts_url(config: S3Access, settings: Settings) -> str:
    """The STS endpoint: ``AWS_ENDPOINT_URL_STS``, else that of the region."""
    given = settings.text(_ENDPOINT)
    if given:
        fits = False
        try:
            parts = urlsplit(given)
            host = parts.hostname or ""
            fits = bool(host) and (
                parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))
            )
        except ValueError:
            fits = False
        if not fits:
            raise settings.error(
                _ENDPOINT, "it is no https:// URL", "The token is sent there: use https://"
            )
        return given.rstrip("/") + "/"
    # The pod's region first: the object storage may lie in another.
    region = settings.text("AWS_REGION") or settings.text("AWS_DEFAULT_REGION") or config.region
    region = region or "us-east-1"
    if not _REGION.fullmatch(region):
        raise settings.error("AWS_REGION", "it is no region", "Write for example eu-central-1")
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://sts.{region}.{suffix}/"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Exchange:
    """Token for credentials, as often as asked."""

    def __init__(
        self,
        *,
        url: str,
        role: str,
        token_file: Path,
        session: str,
        ca_file: str | None,
        proxy: Secret | None,
    ) -> None:
        self._url = url
        self._role = role
        self._token_file = token_file
        self._session = session
        self._ca_file = ca_file
        self._proxy = proxy

    def credentials(self) -> AwsCredentials:
        who = f"role {self._role}"
        body = urlencode(
            {
                "Action": "AssumeRoleWithWebIdentity",
                "Version": "2011-06-15",
                "RoleArn": self._role,
                "RoleSessionName": self._session,
                "WebIdentityToken": self._token(who).reveal(),
            }
        )
        problem = ""
        try:
            answer = http.request(
                "POST",
                self._url,
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                body=body.encode(),
                deadline=time.monotonic() + TOTAL_SECONDS,
                limits=_LIMITS,
                ca_file=self._ca_file,
                proxy=self._proxy.reveal() if self._proxy else None,
            )
        except (http.Unreachable, OSError) as error:  # OSError: the CA file
            problem = str(error)
        if problem:
            raise CredentialsError(f"{who}: STS at {self._url} cannot be reached ({problem})")
        if answer.status != 200:
            raise CredentialsError(f"{who}: STS answers {answer.status}{_reason(answer.body)}")
        return aws_answer.require_future(_parse(answer.body, who), who)

    def _token(self, who: str) -> Secret:
        problem, token = "", ""
        try:
            token = self._token_file.read_text("ascii").strip()
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
        except UnicodeDecodeError:
            problem = "holds no token"
        if not problem and not token:
            problem = "is empty"
        if problem:
            raise CredentialsError(f"{who}: {_FILE}: the file {self._token_file} {problem}")
        return Secret(token)


def _values(body: bytes) -> dict[str, str]:
    """Every element's text by its name without namespace; empty for what is no plain XML."""
    if b"<!DOCTYPE" in body:  # entities could blow up
        return {}
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - no DOCTYPE, at most 1 MiB, over TLS
    except ElementTree.ParseError:
        return {}
    return {e.tag.rpartition("}")[2]: (e.text or "").strip() for e in root.iter()}


def _reason(body: bytes) -> str:
    values = _values(body)
    code, message = values.get("Code", ""), values.get("Message", "")
    return http.shown(f" {code}: {message}") if code else ""


def _parse(body: bytes, who: str) -> AwsCredentials:
    values = _values(body)
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
    access_key, secret_key, token, expiration = (values.get(name, "") for name in names)
    ends = aws_answer.timestamp(expiration)
    if not access_key or not secret_key or not token or ends is None:
        raise CredentialsError(f"{who}: the answer of STS holds no credentials")
    return AwsCredentials(access_key, Secret(secret_key), Secret(token), ends)
