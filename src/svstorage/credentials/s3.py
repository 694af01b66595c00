"""The built-in resolvers for S3, as a plugin. Nothing heavy is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svstorage.credentials.lazy import LazyResolver
from svstorage.hookspecs import hookimpl
from svstorage.settings import variables

if TYPE_CHECKING:
    from svstorage.plugins import Registry

_PROVIDERS = ("minio",)
_PACKAGE = "svstorage.credentials"

IMDS_V1 = variables.Variable(
    "STORAGE_IMDS_V1",
    "true lets STORAGE_IAM_ROLE use version 1 of the instance metadata service where version 2 "
    "is not offered; version 1 gives the role's credentials to whatever can make this machine "
    "send a GET",
    "false",
)

RESOLVERS = (
    LazyResolver(
        "iam-role",
        _PROVIDERS,
        order=10,
        summary="STORAGE_IAM_ROLE: role of this machine, from its instance metadata service",
        module=f"{_PACKAGE}.imds",
    ),
    LazyResolver(
        "static",
        _PROVIDERS,
        order=20,
        summary="STORAGE_ACCESS_KEY and STORAGE_SECRET_KEY, as they are",
        module=f"{_PACKAGE}.static",
    ),
    LazyResolver(
        "web-identity",
        _PROVIDERS,
        order=30,
        ambient=True,
        summary="AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE, exchanged at AWS STS (IRSA)",
        module=f"{_PACKAGE}.web_identity",
    ),
    LazyResolver(
        "container",
        _PROVIDERS,
        order=40,
        ambient=True,
        summary="AWS_CONTAINER_CREDENTIALS_*: role of this ECS task or EKS pod",
        module=f"{_PACKAGE}.container",
    ),
    LazyResolver(
        "profile",
        _PROVIDERS,
        order=50,
        ambient=True,
        summary="a profile of the shared AWS config and credentials files (keys, SSO, roles)",
        module=f"{_PACKAGE}.profile",
    ),
    LazyResolver(
        "environment",
        _PROVIDERS,
        order=60,
        ambient=True,
        summary="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        module=f"{_PACKAGE}.aws_environment",
    ),
    LazyResolver(
        "anonymous",
        _PROVIDERS,
        order=1000,
        by_name_only=True,
        summary="no credentials: requests go unsigned",
        module=f"{_PACKAGE}.anonymous",
    ),
)


@hookimpl
def svstorage_register_credential_resolvers(registry: Registry) -> None:
    """All of `RESOLVERS`, and the one variable that only they read."""
    for provider in _PROVIDERS:
        variables.claim(provider, IMDS_V1)
    for resolver in RESOLVERS:
        registry.add_resolver(resolver)
