"""One account: its client, and what it can hold. Base of the store's parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from svstorage.errors import BucketNotFound, KeyNotSupported, ObjectError, StorageError
from svstorage.model import Attributes
from svstorage.providers.azure import keys, metadata
from svstorage.providers.azure.client import Client
from svstorage.providers.target import Target

if TYPE_CHECKING:
    from svstorage.credentials.azure_values import AzureCredentials
    from svstorage.credentials.base import CredentialSource
    from svstorage.providers.azure.config import AzureConfig


@dataclass(frozen=True, slots=True)
class Traits:
    """What an account is like, from "Get Account Information"."""

    azurite: bool = False
    folders: bool = False
    """True with a hierarchical namespace (Data Lake Storage Gen2)."""


class Account:
    """Config, credentials and client of an account."""

    def __init__(
        self, config: AzureConfig, credentials: CredentialSource[AzureCredentials] | None
    ) -> None:
        self.config = config
        self.credentials = credentials
        self.client = Client(config, credentials)
        self._known: Traits | None = None

    def _check_bucket(self, bucket: str) -> None:
        # A name with a slash would reach into another container.
        if not keys.is_container_name(bucket):
            raise BucketNotFound(f"{bucket!r} is not the name of a container")

    def _check(self, bucket: str, key: str) -> None:
        """Raise `KeyNotSupported` unless the service keeps ``key`` as it is."""
        self._check_bucket(bucket)
        problem = keys.never_held(key)
        if problem is None and (doubt := keys.held_by_azurite_only(key)):
            problem = None if self._traits().azurite else doubt
        if problem is None and (doubt := keys.held_by_azure_only(key)):
            problem = doubt if self._traits().azurite else None
        if problem is None and keys.has_empty_segment(key) and self._traits().folders:
            problem = "the account has a hierarchical namespace, whose folders have no empty names"
        if problem is not None:
            name = repr(key) if len(key) <= 300 else f"{key[:300]!r}… ({len(key)} characters)"
            raise KeyNotSupported(f"Azure cannot hold the key {name}: {problem}")

    def _headers(self, target: Target, attributes: Attributes | None) -> dict[str, str]:
        try:
            return metadata.headers(attributes)
        except ObjectError as error:
            raise ObjectError(f"{target}: {error}") from None

    def _traits(self) -> Traits:
        """What kind of account this is; asks once. Never raises: then it is taken as Azure's."""
        if self._known is None:
            query = {"restype": "account", "comp": "properties"}
            try:
                headers, _ = self.client.call(Target("look at the account"), "GET", query=query)
            except StorageError:
                return Traits()  # the request that is really meant tells what is wrong
            azurite = headers.get("server", "").startswith("Azurite")
            folders = headers.get("x-ms-is-hns-enabled", "").lower() == "true"
            self._known = Traits(azurite=azurite, folders=folders)
        return self._known
