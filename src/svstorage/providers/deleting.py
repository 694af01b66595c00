"""Deleting one version of an object and no other."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from svstorage.providers.base import ObjectStore


@runtime_checkable
class DeletesVersions(Protocol):
    """A store whose service compares the version itself, in the moment of deleting."""

    def delete_version(self, bucket: str, key: str, etag: str) -> None:
        """As `ObjectStore.delete`. Raises `ObjectChanged` where another version is there.

        Not every service that is asked so pays heed: look right before.
        """
        ...


def delete_version(store: ObjectStore, bucket: str, key: str, etag: str | None) -> None:
    """Delete the version of ``etag`` where the service can, else whatever is there.

    Raises `ObjectChanged`.
    """
    if etag is not None and isinstance(store, DeletesVersions):
        store.delete_version(bucket, key, etag)
    else:
        store.delete(bucket, key)
