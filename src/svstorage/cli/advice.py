"""What to do when a step of ``config check`` fails: the likely cause first, in one sentence.

Codes and messages are those of the S3 and Azure Blob services (and of OpenSSL and the resolver
for connections); whatever is not recognised gets the general advice for its kind of error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from svstorage.errors import (
    AccessRefused,
    BucketNotFound,
    ConnectionFailed,
    CredentialsError,
    SettingsError,
    StorageError,
)
from svstorage.settings import Settings

_NEEDED = {
    "list": "list objects (S3: s3:ListBucket; Azure: role Storage Blob Data Reader)",
    "write": "write objects (S3: s3:PutObject; Azure: role Storage Blob Data Contributor)",
    "read back": "read objects (S3: s3:GetObject; Azure: role Storage Blob Data Reader)",
    "delete": "delete objects (S3: s3:DeleteObject; Azure: role Storage Blob Data Contributor)",
    "connect": "list buckets (S3: s3:ListAllMyBuckets); or name one with --bucket",
}

# (what the message says, what it means); the names in braces become where they were set.
_REFUSED = (
    (r"SignatureDoesNotMatch", "{STORAGE_SECRET_KEY} is not the secret of this access key"),
    (r"InvalidAccessKeyId|no such account|AccountNotFound", "{STORAGE_ACCESS_KEY} is unknown"),
    (
        r"AuthenticationFailed|failed to authenticate",
        "{STORAGE_ACCESS_KEY} (the account) and {STORAGE_SECRET_KEY} do not belong together",
    ),
    (r"[Cc]lock|Skewed", "set the clock of this machine right"),
    (r"AuthorizationHeaderMalformed|STORAGE_REGION", "{STORAGE_REGION} is not the bucket's"),
    (r"[Ee]xpired", "get new credentials: these have expired"),
)
_UNREACHED = (
    (
        r"refused",
        "nothing listens there: is the port right in {STORAGE_ENDPOINT} or {STORAGE_PORT}, and "
        "does the service run?",
    ),
    (
        r"[Nn]ame or service|resolve|getaddrinfo|[Uu]nknown host|No address|name resolution",
        "no such host is known: is {STORAGE_ENDPOINT} spelled right, and does DNS work here?",
    ),
    (
        r"CERTIFICATE|certificate",
        "{STORAGE_CA_BUNDLE} must name the PEM file of the authority that signed it, if it is "
        "your own",
    ),
    (r"TLS|SSL", "is {STORAGE_USE_SSL} right, and the port of {STORAGE_ENDPOINT}?"),
    (r"timed? ?out|no answer", "is a firewall or proxy in between?"),
)


def advice(step: str, error: Exception, settings: Settings | None, command: str) -> Iterator[str]:
    """Sentences for the user. ``command`` is how svstorage is called with these settings."""
    text = str(error)
    if isinstance(error, (CredentialsError, SettingsError)):
        yield f"what is set, and where: {command} config show"
    elif isinstance(error, ConnectionFailed):
        yield _meaning(_UNREACHED, text, settings) or _sources(
            "are {STORAGE_ENDPOINT}, {STORAGE_PORT} and {STORAGE_USE_SSL} right?", settings
        )
    elif isinstance(error, AccessRefused):
        meaning = _meaning(_REFUSED, text, settings)
        if meaning:
            yield meaning
            return
        yield _sources(
            "are {STORAGE_ACCESS_KEY} and {STORAGE_SECRET_KEY} right, and for this endpoint?",
            settings,
        )
        if step in _NEEDED:
            yield f"the credentials must be allowed to {_NEEDED[step]}"
    elif isinstance(error, BucketNotFound) and step == "connect":
        yield _sources(
            "is {STORAGE_ENDPOINT} the service itself, and {STORAGE_ACCESS_KEY} an account of it?",
            settings,
        )
    elif isinstance(error, BucketNotFound):
        yield f"make it: {command} mb {_buckets(text, settings)}"
    elif isinstance(error, OSError) and not isinstance(error, StorageError):
        yield "look at the permissions of the folder, and at the free space"


def blames_credentials(error: Exception) -> bool:
    """Whether a refusal is about the credentials as such, not about what they may do."""
    return any(re.search(pattern, str(error)) for pattern, _ in _REFUSED)


def _meaning(
    table: tuple[tuple[str, str], ...], text: str, settings: Settings | None
) -> str | None:
    for pattern, meaning in table:
        if re.search(pattern, text):
            return _sources(meaning, settings)
    return None


def _sources(text: str, settings: Settings | None) -> str:
    """``{NAME}`` becomes the name with the place it was set."""

    def place(match: re.Match[str]) -> str:
        name = match[1]
        if settings is None or settings.source(name).kind == "default":
            return f"{name} (not set)"
        return f"{name} ({settings.source(name)})"

    return re.sub(r"\{(\w+)\}", place, text)


def _buckets(text: str, settings: Settings | None) -> str:
    named = re.search(r"no bucket '([^']+)'", text)
    if named:
        return f"sv://{named[1]}"
    prefix = settings.text("STORAGE_BUCKETS_PREFIX") if settings else None
    prefix = prefix or "<prefix>"
    return f"sv://{prefix}-public sv://{prefix}-private"
