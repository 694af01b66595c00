"""adlfs with the same credentials, endpoint and trust, and with none of the environment's.

Left to itself, adlfs fills every field that is not given from ``AZURE_STORAGE_*`` variables, and
falls back to the default chain of azure-identity; and it builds ``https://`` URLs of its own. So
it is given a client that is ready, and its fields are set after it has looked around.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, cast

from adlfs import AzureBlobFileSystem
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.storage.blob.aio import BlobServiceClient, ExponentialRetry

from svstorage.credentials.azure_values import (
    AccountKey,
    AsyncTokenCredential,
    AzureCredentials,
    Bearer,
    Sas,
)

if TYPE_CHECKING:
    from svstorage.credentials.base import CredentialSource
    from svstorage.providers.azure.config import AzureConfig

CONNECT_TIMEOUT = 10
READ_TIMEOUT = 60
RETRIES = 3
"""With waits of seconds: the SDK's own add up to minutes, also where nothing will help."""


class AzureFileSystem(AzureBlobFileSystem):  # type: ignore[misc]  # adlfs is untyped
    """adlfs over one account as the settings name it. Keeps no listings."""

    cachable = False

    def __init__(
        self, config: AzureConfig, source: CredentialSource[AzureCredentials] | None
    ) -> None:
        self._config = config
        self._source = source
        # Anything but None, so that adlfs looks for no identity by itself.
        super().__init__(
            account_name=config.account_name,
            credential=object(),
            anon=True,
            use_listings_cache=False,
            connection_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
        )

    def do_connect(self) -> None:
        """Called by adlfs once it has read its fields."""
        self.connection_string = self.sas_token = None
        self.account_key: str | None = None
        self.client_id = self.client_secret = self.tenant_id = None
        self.account_name = self._config.account_name
        self.account_url = self._config.endpoint.url
        self.credential = self._credential()
        options: dict[str, Any] = {}
        if self._config.ca_bundle is not None:
            options["connection_verify"] = str(self._config.ca_bundle)
        if self._config.proxy is not None:
            options["proxies"] = {"https": self._config.proxy.reveal()}
        self.service_client = BlobServiceClient(
            self.account_url,
            credential=self.credential,
            user_agent="svstorage",
            use_env_settings=False,  # no proxy that the settings do not name
            permit_redirects=False,
            retry_policy=ExponentialRetry(
                initial_backoff=1, increment_base=2, retry_total=RETRIES, random_jitter_range=1
            ),
            connection_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            **options,
        )

    def _credential(self) -> Any:
        used = None if self._source is None else self._source.get()
        match used:
            case AccountKey():
                # What adlfs signs URLs with.
                key = self.account_key = used.key.reveal()
                return AzureNamedKeyCredential(used.account, key)
            case Sas():
                return AzureSasCredential(used.token.reveal())
            case Bearer():
                return AsyncTokenCredential(cast("CredentialSource[Bearer]", self._source))
        return None

    def to_json(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: it would hold secrets."""
        raise TypeError("this filesystem holds credentials and has no JSON form")

    def to_dict(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: it would hold secrets."""
        raise TypeError("this filesystem holds credentials and has no dictionary form")

    def __reduce__(self) -> NoReturn:
        raise TypeError("this filesystem holds credentials and cannot be pickled: use sv://")
