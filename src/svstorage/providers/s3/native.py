"""The obstore stores of single buckets, for the fast lane of the transfer engine.

obstore reads ``AWS_*`` and proxy variables of the process and follows redirects with the session
token (seen with 0.12: Authorization is left out, x-amz-security-token is not; of a PUT it follows
303 only, without the body). There is no switch for either. So everything that can be is set
explicitly here, and `environment_is_quiet` and `keeps_secrets` say where obstore may be used.

A certificate of ``STORAGE_CA_BUNDLE`` is trusted beside the system's, not in their place.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from typing import Any

from svstorage.credentials.base import AwsCredentials, CredentialSource, StaticCredentials
from svstorage.providers.connections import CONNECT_TIMEOUT, READ_TIMEOUT
from svstorage.providers.s3.config import S3Config

# Variables that change requests and cannot be overridden by a value of our own.
_MEDDLING = ("AWS_SERVER_SIDE_ENCRYPTION", "AWS_SSE_", "AWS_CHECKSUM_ALGORITHM")

# obstore asks for credentials again when less than five minutes of theirs are left, so that
# with this it does before nearly every request; our source answers from memory, and what it
# renews early or after a refusal is used at once.
_ASK_AGAIN = timedelta(seconds=60)


def environment_is_quiet() -> bool:
    """False where the environment would change what obstore sends."""
    return not any(name.upper().startswith(_MEDDLING) for name in os.environ)


def keeps_secrets(config: S3Config, credentials: CredentialSource[AwsCredentials] | None) -> bool:
    """True where a redirect cannot carry a session token to a stranger.

    That is over TLS to AWS, which redirects to AWS, or with no session token at all.
    """
    if credentials is None or (config.aws is not None and config.endpoint.tls):
        return True
    return isinstance(credentials, StaticCredentials) and config.session_token is None


def native_store(
    config: S3Config,
    credentials: CredentialSource[AwsCredentials] | None,
    bucket: str,
    region: str,
) -> Any:
    """An obstore ``S3Store`` with our endpoint and credentials. It makes no retries."""
    from obstore.store import S3Store

    end, path = config.address(bucket, region)
    options: dict[str, Any] = {
        "allow_http": not config.endpoint.tls,
        "allow_invalid_certificates": False,
        "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT),
        "read_timeout": timedelta(seconds=READ_TIMEOUT),
        "timeout": timedelta(hours=24),  # of a whole transfer; its default is 30 s
    }
    if config.proxy is not None:
        options["proxy_url"] = config.proxy.reveal()
    else:
        # Naming a proxy is what keeps the variables out; nothing is ever sent to this one.
        options |= {"proxy_url": "http://127.0.0.1:9", "proxy_excludes": end.host}
    if config.ca_bundle is not None:
        options["root_certificate"] = config.ca_bundle.read_bytes()
    settings: dict[str, Any] = {
        "endpoint": end.url,
        "aws_endpoint_url_s3": end.url,
        "region": region,
        "virtual_hosted_style_request": not path,
        "skip_signature": credentials is None,
        "unsigned_payload": config.endpoint.tls or config.aws is None,
        "request_payer": False,
        "s3_express": False,
        "disable_tagging": False,
    }
    if credentials is not None:
        settings["credential_provider"] = _provider(credentials)
    return S3Store(
        bucket,
        client_options=options,  # type: ignore[arg-type]
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=60)},
        **settings,
    )


def _provider(credentials: CredentialSource[AwsCredentials]) -> Any:
    def current() -> dict[str, Any]:
        value = credentials.get()
        token = value.session_token
        return {
            "access_key_id": value.access_key,
            "secret_access_key": value.secret_key.reveal(),
            "token": None if token is None else token.reveal(),
            "expires_at": datetime.now(timezone.utc) + _ASK_AGAIN,
        }

    return current
