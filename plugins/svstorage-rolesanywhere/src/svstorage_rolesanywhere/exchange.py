"""Certificate and key for temporary credentials: the CreateSession call of Roles Anywhere."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from svstorage.credentials import aws_answer, http
from svstorage.credentials.base import AwsCredentials
from svstorage.errors import CredentialsError
from svstorage.settings import Secret, Settings
from svstorage_rolesanywhere import (
    CERTIFICATE,
    ENDPOINT,
    PASSPHRASE,
    PRIVATE_KEY,
    PROFILE,
    REGION,
    ROLE,
    SECONDS,
    TRUST_ANCHOR,
)
from svstorage_rolesanywhere.signing import PATH, Identity, signed_headers

TOTAL_SECONDS = 30.0
_LIMITS = http.Limits(connect=5.0, read=15.0, tries=3)
_REGION = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-\d{1,2}")
_ARN = {
    TRUST_ANCHOR: re.compile(r"arn:aws[a-z-]*:rolesanywhere:([a-z0-9-]+):\d{12}:trust-anchor/\S+"),
    PROFILE: re.compile(r"arn:aws[a-z-]*:rolesanywhere:([a-z0-9-]+):\d{12}:profile/\S+"),
    ROLE: re.compile(r"arn:aws[a-z-]*:iam:():\d{12}:role/\S+"),
}
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Exchange:
    """All that a session is asked for with. Files are read anew each time: certificates rotate."""

    url: str
    region: str
    trust_anchor: str
    profile: str
    role: str
    certificate: Path
    private_key: Path
    passphrase: Secret | None
    seconds: int
    ca_file: str | None
    proxy: Secret | None

    def credentials(self) -> AwsCredentials:
        """Ask once. Raises `CredentialsError`."""
        identity = self.identity()
        body = json.dumps(
            {
                "durationSeconds": self.seconds,
                "profileArn": self.profile,
                "roleArn": self.role,
                "trustAnchorArn": self.trust_anchor,
            }
        ).encode()
        host = urlsplit(self.url).netloc
        now = datetime.now(timezone.utc)
        problem = ""
        try:
            answer = http.request(
                "POST",
                self.url + PATH,
                headers=signed_headers(identity, host, self.region, body, now),
                body=body,
                deadline=time.monotonic() + TOTAL_SECONDS,
                limits=_LIMITS,
                ca_file=self.ca_file,
                proxy=self.proxy.reveal() if self.proxy else None,
            )
        except (http.Unreachable, OSError) as error:  # OSError: the CA file
            problem = str(error)
        if problem:
            raise CredentialsError(f"Roles Anywhere at {self.url} cannot be reached ({problem})")
        if answer.status not in (200, 201):
            raise CredentialsError(
                f"Roles Anywhere refuses the role {self.role}: HTTP {answer.status}"
                f"{_reason(answer.body)}"
            )
        return aws_answer.require_future(_parse(answer.body), "Roles Anywhere")

    def identity(self) -> Identity:
        """Certificate, chain and key. Raises `CredentialsError` for what cannot be used."""
        certificates: list[x509.Certificate] = []
        key: Any = None
        problem = ""
        try:
            certificates = x509.load_pem_x509_certificates(self.certificate.read_bytes())
        except OSError as error:
            problem = f"{CERTIFICATE}: the file cannot be read: {error.strerror}"
        except ValueError:
            problem = f"{CERTIFICATE}: the file holds no certificate in PEM form"
        try:
            phrase = self.passphrase.reveal().encode() if self.passphrase else None
            key = serialization.load_pem_private_key(self.private_key.read_bytes(), phrase)
        except OSError as error:
            problem = f"{PRIVATE_KEY}: the file cannot be read: {error.strerror}"
        except (ValueError, TypeError):
            problem = (
                f"{PRIVATE_KEY}: the file holds no private key in PEM form that can be opened; "
                f"if it is encrypted, its passphrase goes to {PASSPHRASE}"
            )
        # Outside of the handlers: the parser's frames hold the key.
        if not problem and not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            problem = f"{PRIVATE_KEY}: the key is neither RSA nor EC"
        if not problem and key.public_key() != certificates[0].public_key():
            problem = (
                f"{PRIVATE_KEY}: the key is not that of the first certificate in {CERTIFICATE}"
            )
        if not problem:
            ends = certificates[0].not_valid_after_utc
            if ends <= datetime.now(timezone.utc):
                problem = f"{CERTIFICATE}: the certificate ended at {ends:%Y-%m-%d %H:%M:%S} UTC"
        if problem:
            raise CredentialsError(problem)
        return Identity(certificates[0], key, tuple(certificates[1:]))


def exchange(config: Any, settings: Settings) -> Exchange:
    """What the settings say. Raises `SettingsError` for what is missing or malformed."""
    paths = {}
    for name in (CERTIFICATE, PRIVATE_KEY):
        settings.required_text(name, f"{CERTIFICATE} is set: name the PEM file of its key, too")
        path = settings.path(name)
        if path is None or not path.is_file():
            raise settings.error(name, "there is no such file", "Name a PEM file")
        paths[name] = path
    arns = {name: _arn(settings, name) for name in _ARN}
    anchor = _ARN[TRUST_ANCHOR].fullmatch(arns[TRUST_ANCHOR])
    region = settings.text(REGION) or (anchor[1] if anchor else "")
    if not _REGION.fullmatch(region):
        raise settings.error(REGION, "it is no region", "Write for example eu-central-1")
    return Exchange(
        _url(settings, region),
        region,
        arns[TRUST_ANCHOR],
        arns[PROFILE],
        arns[ROLE],
        paths[CERTIFICATE],
        paths[PRIVATE_KEY],
        settings.secret(PASSPHRASE),
        _seconds(settings),
        settings.text("AWS_CA_BUNDLE"),
        getattr(config, "proxy", None),
    )


def _arn(settings: Settings, name: str) -> str:
    text = settings.required_text(name, f"{CERTIFICATE} is set: name the ARN, too").strip()
    if not _ARN[name].fullmatch(text):
        raise settings.error(
            name, "it is not the ARN that it should be", "Copy it from the console"
        )
    return text


def _url(settings: Settings, region: str) -> str:
    given = settings.text(ENDPOINT)
    if given is None:
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        return f"https://rolesanywhere.{region}.{suffix}"
    good = False
    try:
        parts = urlsplit(given)
        host = parts.hostname or ""
        good = bool(host) and not parts.query and "@" not in parts.netloc
        good = good and not parts.path.strip("/")
        # The answer holds a secret: without TLS it must not leave this machine.
        good = good and (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK))
    except ValueError:
        good = False
    if not good:
        raise settings.error(ENDPOINT, "it is no https:// URL", "Write https://host")
    return given.rstrip("/")


def _seconds(settings: Settings) -> int:
    text = (settings.text(SECONDS) or "3600").strip()
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 900 <= int(text) <= 43_200:
        raise settings.error(SECONDS, "it is no number from 900 to 43200", "Write seconds")
    return int(text)


def _reason(body: bytes) -> str:
    try:
        answer = json.loads(body)
    except ValueError:
        return ""
    said = answer.get("message") if isinstance(answer, dict) else None
    return http.shown(f": {said}") if said else ""


def _parse(body: bytes) -> AwsCredentials:
    try:
        found = json.loads(body)["credentialSet"][0]["credentials"]
        names = ("accessKeyId", "secretAccessKey", "sessionToken", "expiration")
        access_key, secret_key, token, expiration = (str(found[name]) for name in names)
    except (ValueError, KeyError, IndexError, TypeError):
        access_key = secret_key = token = expiration = ""
    ends = aws_answer.timestamp(expiration) if expiration else None
    if not access_key or not secret_key or not token or ends is None:
        raise CredentialsError("Roles Anywhere: the answer holds no credentials")
    return AwsCredentials(access_key, Secret(secret_key), Secret(token), ends)
