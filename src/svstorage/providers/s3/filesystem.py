"""s3fs over our endpoint and credentials, and nothing of the machine's own AWS settings."""

from __future__ import annotations

import asyncio
import os
from typing import Any, NoReturn

import s3fs
from aiobotocore.credentials import AioCredentialResolver, AioCredentials
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.configprovider import (
    BOTOCORE_DEFAUT_SESSION_VARIABLES,
    ConfigValueStore,
    ConstantProvider,
)
from botocore.credentials import CredentialProvider, ReadOnlyCredentials

from svstorage.credentials.base import AwsCredentials, CredentialSource
from svstorage.providers.s3.config import S3Config


class SvS3FileSystem(s3fs.S3FileSystem):  # type: ignore[misc]
    """s3fs that cannot be written down: its session holds credentials."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "this filesystem holds credentials and is not pickled: send the name of the settings "
            "file to the other process and connect there (or use sv:// addresses)"
        )

    def to_json(self, *args: Any, **kwargs: Any) -> NoReturn:
        self.__reduce__()

    def to_dict(self, *args: Any, **kwargs: Any) -> NoReturn:
        self.__reduce__()


class _Unredirected:
    """An aiohttp session that hands redirects back: by itself it goes there with the session
    token and the body, whoever that is."""

    def __init__(self, session: Any) -> None:
        self._session = session

    async def request(self, *args: Any, **options: Any) -> Any:
        return await self._session.request(*args, allow_redirects=False, **options)


class _HttpSession(AIOHTTPSession):  # type: ignore[misc]
    async def _get_session(self, proxy_url: Any) -> _Unredirected:
        return _Unredirected(await super()._get_session(proxy_url))


class _Credentials(AioCredentials):  # type: ignore[misc]
    """Asks our source, which renews in time, before each signature."""

    def __init__(self, source: CredentialSource[AwsCredentials]) -> None:
        self._source = source
        self.method = source.name

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        # In a thread: a renewal talks to a service and must not stop the event loop.
        value = await asyncio.to_thread(self._source.get)
        token = value.session_token
        return ReadOnlyCredentials(
            value.access_key,
            value.secret_key.reveal(),
            None if token is None else token.reveal(),
        )


class _Provider(CredentialProvider):  # type: ignore[misc]
    METHOD = "svstorage"
    CANONICAL_NAME = "svstorage"

    def __init__(self, source: CredentialSource[AwsCredentials]) -> None:
        super().__init__()
        self._source = source

    async def load(self) -> _Credentials:
        return _Credentials(self._source)


def _session(credentials: CredentialSource[AwsCredentials] | None) -> AioSession:
    session = AioSession()
    constants = {
        name: ConstantProvider(row[2]) for name, row in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
    }
    for name in ("config_file", "credentials_file"):
        constants[name] = ConstantProvider(os.devnull)
    # The defaults alone: neither AWS_* variables nor ~/.aws have a say.
    session.register_component("config_store", ConfigValueStore(mapping=constants))
    providers = [] if credentials is None else [_Provider(credentials)]
    session.register_component("credential_provider", AioCredentialResolver(providers))
    return session


def filesystem(
    config: S3Config, credentials: CredentialSource[AwsCredentials] | None
) -> SvS3FileSystem:
    """An s3fs filesystem without listing and instance caches. Connects on first use."""
    checksums = "when_supported" if config.sdk_checksums else "when_required"
    proxy = {} if config.proxy is None else {"https": config.proxy.reveal()}
    return SvS3FileSystem(
        anon=credentials is None,
        session=_session(credentials),
        endpoint_url=config.address("")[0].url,
        use_ssl=config.endpoint.tls,
        client_kwargs={
            "region_name": config.region,
            "verify": str(config.ca_bundle) if config.ca_bundle else True,
        },
        config_kwargs={
            "http_session_cls": _HttpSession,
            "s3": {"addressing_style": config.addressing},
            "signature_version": "s3v4",
            "request_checksum_calculation": checksums,
            "response_checksum_validation": checksums,
            "proxies": proxy,
            "max_pool_connections": 64,
            "use_fips_endpoint": False,
            "use_dualstack_endpoint": False,
        },
        use_listings_cache=False,
        skip_instance_cache=True,
    )
