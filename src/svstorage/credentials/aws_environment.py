"""The key pair in the usual AWS variables."""

from __future__ import annotations

from svstorage.credentials.aws_answer import timestamp
from svstorage.credentials.base import AwsCredentials, Passed, StaticCredentials
from svstorage.credentials.s3_config import S3Access
from svstorage.settings import Settings

NAME = "environment"
_ACCESS, _SECRET = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
_EXPIRATION = "AWS_CREDENTIAL_EXPIRATION"


def resolve(config: S3Access, settings: Settings) -> StaticCredentials[AwsCredentials] | Passed:
    """The pair, or `Passed` where neither is set. Raises `SettingsError` for half a pair.

    ``AWS_CREDENTIAL_EXPIRATION``, which ``aws configure export-credentials`` writes, is heeded.
    """
    access_key, secret_key = settings.text(_ACCESS), settings.secret(_SECRET)
    if not access_key and not secret_key:
        return Passed(f"{_ACCESS} and {_SECRET} are not set")
    if not access_key or not secret_key:
        there, missing = (_ACCESS, _SECRET) if access_key else (_SECRET, _ACCESS)
        raise settings.error(missing, "it is not set", f"{there} is: set both, or neither")
    ends = None
    written = settings.text(_EXPIRATION)
    if written:
        ends = timestamp(written)
        if ends is None:
            raise settings.error(_EXPIRATION, "it is no date", "Write 2026-01-31T12:00:00Z")
    value = AwsCredentials(access_key, secret_key, settings.secret("AWS_SESSION_TOKEN"), ends)
    return StaticCredentials(NAME, value, mend=f"Set fresh {_ACCESS} and {_SECRET}")
