"""The S3 key pair that the settings hold, with a session token where there is one."""

from __future__ import annotations

from svstorage.credentials.base import AwsCredentials, Passed, StaticCredentials
from svstorage.credentials.s3_config import S3Access
from svstorage.settings import Settings

NAME = "static"


def resolve(config: S3Access, settings: Settings) -> StaticCredentials[AwsCredentials] | Passed:
    """The pair, or `Passed` where neither is set. Raises `SettingsError` for half a pair."""
    access_key, secret_key = config.access_key, config.secret_key
    if access_key and secret_key:
        value = AwsCredentials(access_key, secret_key, config.session_token or None)
        return StaticCredentials(
            NAME,
            value,
            mend="Set fresh STORAGE_ACCESS_KEY, STORAGE_SECRET_KEY and STORAGE_SESSION_TOKEN, "
            "or use a resolver that renews them",
        )
    if access_key or secret_key:
        there, missing = ("ACCESS", "SECRET") if access_key else ("SECRET", "ACCESS")
        raise settings.error(
            f"STORAGE_{missing}_KEY",
            "it is not set",
            f"STORAGE_{there}_KEY is ({settings.source(f'STORAGE_{there}_KEY')}): set both, or "
            "neither to use another source of credentials",
        )
    if config.session_token:
        raise settings.error(
            "STORAGE_SESSION_TOKEN",
            "it is set without the key pair that it belongs to",
            "Set STORAGE_ACCESS_KEY and STORAGE_SECRET_KEY too, or remove it",
        )
    return Passed("STORAGE_ACCESS_KEY and STORAGE_SECRET_KEY are not set")
