"""The built-in resolvers for Azure, as a plugin. Nothing heavy is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svstorage.credentials.lazy import LazyResolver
from svstorage.hookspecs import hookimpl

if TYPE_CHECKING:
    from svstorage.plugins import Registry

_PROVIDERS = ("azure",)
_PACKAGE = "svstorage.credentials"

RESOLVERS = (
    LazyResolver(
        "sas",
        _PROVIDERS,
        order=10,
        summary="STORAGE_SAS_TOKEN: a shared access signature",
        module=f"{_PACKAGE}.azure_sas",
    ),
    LazyResolver(
        "static",
        _PROVIDERS,
        order=20,
        summary="STORAGE_ACCESS_KEY and STORAGE_SECRET_KEY: account name and key",
        module=f"{_PACKAGE}.azure_static",
    ),
    LazyResolver(
        "connection-string",
        _PROVIDERS,
        order=30,
        ambient=True,
        summary="AZURE_STORAGE_CONNECTION_STRING",
        module=f"{_PACKAGE}.connection_string",
    ),
    LazyResolver(
        "workload-identity",
        _PROVIDERS,
        order=40,
        ambient=True,
        summary="AZURE_FEDERATED_TOKEN_FILE: service account of a Kubernetes pod",
        module=f"{_PACKAGE}.workload_identity",
    ),
    LazyResolver(
        "managed-identity",
        _PROVIDERS,
        order=50,
        ambient=True,
        summary="identity of this Azure machine, container or app",
        module=f"{_PACKAGE}.managed_identity",
    ),
    LazyResolver(
        "default",
        _PROVIDERS,
        order=60,
        ambient=True,
        summary="the default chain of azure-identity",
        module=f"{_PACKAGE}.azure_default",
    ),
    LazyResolver(
        "anonymous",
        _PROVIDERS,
        order=1000,
        by_name_only=True,
        summary="no credentials: requests are not signed",
        module=f"{_PACKAGE}.anonymous",
    ),
)


@hookimpl
def svstorage_register_credential_resolvers(registry: Registry) -> None:
    """All of `RESOLVERS`."""
    for resolver in RESOLVERS:
        registry.add_resolver(resolver)
