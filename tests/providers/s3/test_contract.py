"""The provider contract over real S3 servers, and what of it each of them cannot do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from svstorage.errors import StorageError
from svstorage.model import Entry
from svstorage.providers.s3.store import S3Store
from svstorage.testing import KeysContract, ListingContract, ProviderContract, Subject
from tests.servers.s3 import S3Server


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
        bucket = moto_server.new_bucket()
        return Subject(store, bucket, loses, reconnect=lambda: connect(moto_server))

    test_md5_is_checked = _skipped("moto does not look at Content-MD5")
    test_an_upload_that_never_was = _skipped("moto answers 500 to a part of no upload")


_FOLDERS = {"a-b", "b", "name.", "\uff5e"}  # files where other keys of the tests need folders


class TestRclone(ProviderContract):
    @pytest.fixture
    def subject(self, rclone_s3: S3Server, connect: Callable[..., S3Store]) -> Subject:
        def loses(key: str) -> str | None:
            if key.endswith("/"):
                return "rclone takes it for the key without the last slash"
            return "rclone keeps objects as files" if key in _FOLDERS else None

        store = connect(rclone_s3)
        bucket = rclone_s3.new_bucket()
        return Subject(store, bucket, loses, reconnect=lambda: connect(rclone_s3))

    test_tags = _skipped("rclone holds no tags")
    test_readers_see_whole_versions = _skipped("rclone answers 500 to two writers of a file")
    test_what_the_end_tells_is_what_head_tells = _skipped("rclone has another ETag afterwards")
    test_a_part_sent_again_replaces_the_first = _skipped("rclone passes parts on at once")
    test_delete_leaves_what_is_below = _skipped("rclone answers 500 for the name of a folder")
    test_copy_with_other_attributes = _skipped("rclone keeps the old metadata beside the new")


class TestSeaweed(ListingContract, KeysContract):
    """Its listings and keys, which a filer of folders stands behind."""

    @pytest.fixture(scope="class")
    def bucket(self, seaweed_s3: S3Server) -> Iterator[str]:
        # One for all: each bucket asks for volumes of its own.
        name = seaweed_s3.new_bucket()
        yield name
        seaweed_s3.drop_bucket(name)

    @pytest.fixture
    def subject(
        self, seaweed_s3: S3Server, connect: Callable[..., S3Store], bucket: str
    ) -> Iterator[Subject]:
        store = connect(seaweed_s3)
        yield Subject(store, bucket, reconnect=lambda: connect(seaweed_s3))
        for row in list(store.list(bucket)):
            assert isinstance(row, Entry)
            try:
                store.delete(bucket, row.key)
            except StorageError:
                pass
