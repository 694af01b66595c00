"""Shared access signatures for one blob: presigned URLs and sources of copies.

Made by azure-storage-blob, which knows the strings to sign of each version.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from svstorage.credentials.azure_values import AccountKey, Bearer
from svstorage.errors import NotSupported, ServiceError
from svstorage.providers.target import Target

if TYPE_CHECKING:
    from svstorage.providers.azure.client import Client


def signed_url(client: Client, bucket: str, key: str, permission: str, expires: int) -> str:
    """The URL of a blob with a signature good for ``expires`` seconds.

    By the account key, or by a user delegation key that the service hands out for a token
    ("Create a user delegation SAS"). Raises `NotSupported` for other credentials.
    """
    from azure.storage.blob import generate_blob_sas

    used = client.credentials.get() if client.credentials else None
    expiry = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=expires)
    how: dict[str, Any]
    account = client.config.account_name
    match used:
        case AccountKey():
            account = used.account
            how = {"account_key": used.key.reveal()}
        case Bearer():
            how = {"user_delegation_key": _delegation_key(client, expiry)}
        case _:
            raise NotSupported(
                "no signed URL can be made with these credentials: that takes the account key or "
                "a token, not a shared access signature"
            )
    token = generate_blob_sas(
        account,
        bucket,
        key,
        permission=permission,
        expiry=expiry,
        protocol="https" if client.config.endpoint.tls else None,
        **how,
    )
    return f"{client.url(bucket, key)}?{token}"


def _delegation_key(client: Client, expiry: datetime) -> Any:
    from azure.storage.blob import UserDelegationKey

    target = Target("get a delegation key of", client.config.account_name)
    start = datetime.now(timezone.utc) - timedelta(minutes=5)
    body = (
        '<?xml version="1.0" encoding="utf-8"?><KeyInfo>'
        f"<Start>{start:%Y-%m-%dT%H:%M:%SZ}</Start><Expiry>{expiry:%Y-%m-%dT%H:%M:%SZ}</Expiry>"
        "</KeyInfo>"
    ).encode()
    _, answer = client.call(
        Target("get a user delegation key"),
        "POST",
        query={"restype": "service", "comp": "userdelegationkey"},
        body=body,
    )
    key: Any = UserDelegationKey()  # type: ignore[no-untyped-call]
    try:
        root = ET.fromstring(answer)  # noqa: S314 - of bounded size; expat bounds entities
    except ET.ParseError:
        raise ServiceError(f"{target}: the answer cannot be read") from None
    for name in (
        "SignedOid", "SignedTid", "SignedStart", "SignedExpiry", "SignedService",
        "SignedVersion", "Value",
    ):  # fmt: skip
        text = root.findtext(name)
        if not text:
            raise ServiceError(f"{target}: the answer lacks {name}")
        setattr(key, re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(), text)
    return key
