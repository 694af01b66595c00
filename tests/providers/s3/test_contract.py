"""The provider contract over real S3 servers, and what of it each of them cannot do."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from svstorage.model import Entry
from svstorage.providers.s3.store import S3Store
from svstorage.testing import (
    KeysContract,
    ListingContract,
    ProviderContract,
    Subject,
    ThreadsContract,
    UploadsContract,
)
from tests.servers.s3 import S3Server


def _new_bucket(store: S3Store) -> str:
    name = f"t-{uuid.uuid4().hex[:12]}"
    store.create_bucket(name)
    return name


def _skipped(reason: str) -> Callable[..., None]:
    def test(self: object) -> None:
        pytest.skip(reason)

    return test


class TestMoto(ProviderContract):
    @pytest.fixture
    def subject(self, moto_server: S3Server, connect: Callable[..., S3Store]) -> Subject:
        def loses(key: str) -> str | None:
            return "its routes end at a newline" if "\n" in key else None

        store = connect(moto_server)
        bucket = _new_bucket(store)
        return Subject(store, bucket, loses, reconnect=lambda: connect(moto_server))

    test_md5_is_checked = _skipped("moto does not look at Content-MD5")
    test_readers_see_whole_versions = _skipped("moto answers 500 to two writers of a key")
    test_an_upload_that_never_was = _skipped("moto answers 500 to a part of no upload")


_FOLDERS = {"a-b", "b", "name.", "\uff5e"}  # files where other keys of the tests need folders


class TestRclone(ProviderContract):
    @pytest.fixture
    def subject(self, rclone_s3: S3Server, connect: Callable[..., S3Store]) -> Subject:
        def loses(key: str) -> str | None:
            return "rclone keeps objects as files" if key in _FOLDERS else None

        store = connect(rclone_s3)
        bucket = _new_bucket(store)
        return Subject(store, bucket, loses, reconnect=lambda: connect(rclone_s3))

    test_tags = _skipped("rclone holds no tags")
    test_readers_see_whole_versions = _skipped("rclone answers 500 to two writers of a file")
    test_many_objects_at_once = _skipped("rclone answers 500 to two writers that need a folder")
    test_what_the_end_tells_is_what_head_tells = _skipped("rclone has another ETag afterwards")
    test_a_part_sent_again_replaces_the_first = _skipped("rclone passes parts on at once")
    test_delete_leaves_what_is_below = _skipped("rclone answers 500 for the name of a folder")
    test_copy_with_other_attributes = _skipped("rclone keeps the old metadata beside the new")


_ODD = ["nested", "two-slashes", "leading-slash", "trailing-slash", "slash-alone", "dots-inside",
        "dot-first", "percent-slash", "plus-and-space", "glob", "backslash", "newline", "nfd",
        "emoji", "bytes-1024-unicode"]  # fmt: skip


@pytest.mark.slow
class TestSeaweed(ListingContract, KeysContract, UploadsContract, ThreadsContract):
    """What a filer of folders behind it could get wrong."""

    @pytest.fixture
    def subject(self, seaweed_s3: S3Server, connect: Callable[..., S3Store]) -> Iterator[Subject]:
        store = connect(seaweed_s3)
        bucket = _new_bucket(store)
        yield Subject(store, bucket, reconnect=lambda: connect(seaweed_s3))
        for key, upload in store.list_uploads(bucket):
            store.abort_upload(bucket, key, upload)
        keys = [row.key for row in store.list(bucket) if isinstance(row, Entry)]
        assert [error for _, error in store.delete_many(bucket, keys) if error] == []
        store.delete_bucket(bucket)  # each bucket has volumes of its own

    @pytest.mark.parametrize("name", _ODD)  # the others are in the test of all keys together
    def test_key_is_kept_exactly_or_refused(self, subject: Subject, name: str) -> None:
        super().test_key_is_kept_exactly_or_refused(subject, name)

    @pytest.mark.parametrize("name", _ODD)
    def test_key_is_found_by_level(self, subject: Subject, name: str) -> None:
        super().test_key_is_found_by_level(subject, name)
