"""obstore over one container, with the same credentials, endpoint and trust."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from svstorage.credentials.azure_values import AccountKey, AzureCredentials, Bearer, Sas
from svstorage.providers.connections import CONNECT_TIMEOUT, READ_TIMEOUT

if TYPE_CHECKING:
    from svstorage.credentials.base import CredentialSource
    from svstorage.providers.azure.config import AzureConfig


def make(
    config: AzureConfig, credentials: CredentialSource[AzureCredentials] | None, bucket: str
) -> Any:
    """An `obstore.store.AzureStore`. The engine above retries, so that it does not."""
    from obstore.store import AzureStore

    options: Any = {
        "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT),
        # For the whole body: the one of a big object over a slow line takes hours.
        "timeout": "24h",
        "read_timeout": timedelta(seconds=READ_TIMEOUT),
        "pool_idle_timeout": "60s",
        "user_agent": "svstorage",
        "allow_http": not config.endpoint.tls,
    }
    if config.proxy is not None:
        options["proxy_url"] = config.proxy.reveal()
    else:
        # Naming a proxy is what keeps the variables out; nothing is ever sent to this one.
        options |= {"proxy_url": "http://127.0.0.1:9", "proxy_excludes": config.endpoint.host}
    if config.ca_bundle is not None:
        options["root_certificate"] = config.ca_bundle.read_text()
    how: dict[str, Any] = {"skip_signature": credentials is None}
    if credentials is not None:
        how["credential_provider"] = _provider(credentials)
    return AzureStore(
        container_name=bucket,
        account_name=config.account_name,
        endpoint=config.endpoint.url,
        client_options=options,
        retry_config={
            "max_retries": 0,
            "retry_timeout": timedelta(seconds=60),
            "backoff": {
                "base": 2,
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=1),
            },
        },
        **how,
    )


def _provider(credentials: CredentialSource[AzureCredentials]) -> Any:
    def provide() -> dict[str, Any]:
        value = credentials.get()
        answer: dict[str, Any] = {"expires_at": value.expires_at}
        match value:
            case AccountKey():
                answer["access_key"] = value.key.reveal()
            case Sas():
                answer["sas_token"] = value.token.reveal()
            case Bearer():
                answer["token"] = value.token.reveal()
        return answer

    return provide
