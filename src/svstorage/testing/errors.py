"""What is missing, there already or not empty, by the errors of `svstorage.errors`."""

from __future__ import annotations

import pytest

from svstorage.errors import BucketNotFound, ObjectError, ObjectExists, ObjectNotFound, StorageError
from svstorage.model import Entry
from svstorage.providers.base import MultipartStore
from svstorage.testing.subject import Subject


class ErrorsContract:
    """Errors name what they are about and are those that callers of fsspec expect, too."""

    def test_missing_key(self, subject: Subject) -> None:
        for operation in (subject.store.head, subject.store.read):
            with pytest.raises(ObjectNotFound) as told:
                operation(subject.bucket, "not/there")
            assert not isinstance(told.value, BucketNotFound), "the bucket is there"
            assert isinstance(told.value, FileNotFoundError)
            assert "not/there" in str(told.value)

    def test_a_folder_is_no_object(self, subject: Subject) -> None:
        subject.put("folder/x")
        for key in ("folder", "folder/"):
            if key.endswith("/") and not subject.store.capabilities.holds_folder_markers:
                continue  # it may tell of the folder itself
            with pytest.raises(ObjectNotFound):
                subject.store.head(subject.bucket, key)
            with pytest.raises(ObjectNotFound):
                subject.store.read(subject.bucket, key).close()

    def test_missing_bucket(self, subject: Subject) -> None:
        store, absent = subject.store, subject.absent_bucket
        assert not store.bucket_exists(absent)
        with pytest.raises(BucketNotFound) as told:
            list(store.list(absent))
        assert absent in str(told.value)
        with pytest.raises(BucketNotFound):
            list(store.list_level(absent))
        with pytest.raises(BucketNotFound):
            store.put(absent, "key", b"x", size=1)
        with pytest.raises(BucketNotFound):
            store.read(absent, "key").close()
        with pytest.raises(ObjectNotFound):  # the answer to a HEAD cannot say which is missing
            store.head(absent, "key")
        with pytest.raises(BucketNotFound):
            store.delete(absent, "key")
        with pytest.raises(BucketNotFound):
            store.delete_bucket(absent)
        outcomes = dict(store.delete_many(absent, ["one", "two"]))
        assert set(outcomes) == {"one", "two"}
        assert all(isinstance(error, BucketNotFound) for error in outcomes.values())
        if store.capabilities.server_side_copy:
            with pytest.raises(ObjectNotFound):
                store.copy(absent, Entry("key", 1, etag="0" * 32), subject.bucket, "copy")
            subject.put("o")
            source = store.head(subject.bucket, "o").entry
            with pytest.raises(ObjectNotFound):
                store.copy(subject.bucket, source, absent, "copy")
        if store.capabilities.parts is not None and isinstance(store, MultipartStore):
            with pytest.raises(BucketNotFound):
                store.start_upload(absent, "key", size=1)
        assert not store.bucket_exists(absent), "nothing of this may make the bucket"

    def test_buckets(self, subject: Subject) -> None:
        store = subject.store
        name = f"{subject.bucket}-2"
        assert store.bucket_exists(subject.bucket)
        assert subject.bucket in [bucket.name for bucket in store.list_buckets()]
        assert not store.bucket_exists(name)
        store.create_bucket(name)
        try:
            assert store.bucket_exists(name)
            assert name in [bucket.name for bucket in store.list_buckets()]
            with pytest.raises(ObjectExists):
                store.create_bucket(name)
            store.put(name, "o", b"x", size=1)
            with pytest.raises(ObjectError):
                store.delete_bucket(name)
            assert [row.key for row in store.list(name)] == ["o"]
            if store.capabilities.server_side_copy:
                source = next(iter(store.list(name)))
                assert isinstance(source, Entry)
                store.copy(name, source, subject.bucket, "from the other")
                assert subject.get("from the other") == b"x"
        finally:
            store.delete(name, "o")
            store.delete_bucket(name)
        assert not store.bucket_exists(name)

    @pytest.mark.parametrize(
        "name", ["", "..", "a/b", "\u00fcber", "x" * 300, "a\nb", "a?b", "a b"]
    )
    def test_impossible_buckets(self, subject: Subject, name: str) -> None:
        """An error of ours before anything is sent, or the service's; never another bucket's."""
        subject.put("o")
        assert not subject.store.bucket_exists(name)
        with pytest.raises(StorageError):
            list(subject.store.list(name))
        with pytest.raises(StorageError):
            subject.store.put(name, "o", b"x", size=1)
        assert subject.keys() == ["o"]

    def test_identity(self, subject: Subject) -> None:
        again = subject.reconnect() if subject.reconnect else subject.store
        assert again.identity == subject.store.identity
        assert isinstance(subject.store.identity, str)
