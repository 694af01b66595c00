"""The provider contract over Azurite."""

from __future__ import annotations

from typing import cast

import pytest

from svstorage.errors import ObjectNotFound
from svstorage.model import Part
from svstorage.providers.azure.blocks import block_id
from svstorage.providers.azure.store import AzureStore
from svstorage.testing import ProviderContract, Subject
from svstorage.testing.subject import content
from tests.providers.azure.conftest import Connect
from tests.servers.azure import AzureServer


class TestAzurite(ProviderContract):
    @pytest.fixture
    def subject(
        self, azurite: AzureServer, bucket: str, store: AzureStore, storage_of: Connect
    ) -> Subject:
        store.page_size = 400  # 5,000 blobs would take this server half a minute
        return Subject(store, bucket, page=400, reconnect=lambda: storage_of(azurite).store)

    # Azure has blocks, not uploads: of those to a key that holds an object no listing tells, and
    # none can be dropped before its week has passed or something is stored under the key.

    def test_nothing_is_seen_before_the_end(self, subject: Subject) -> None:
        store = cast("AzureStore", subject.store)
        subject.put("old", b"the old one")
        for key in ("old", "new"):
            data = content(key, 3000)
            upload = store.start_upload(subject.bucket, key, size=3000)
            parts = [
                store.put_part(
                    subject.bucket, key, upload,
                    number=n, offset=(n - 1) * 1500, size=1500, body=data[(n - 1) * 1500 :][:1500],
                )
                for n in (1, 2)
            ]  # fmt: skip
            assert (key == "old" and subject.get("old") == b"the old one") or not subject.has(key)
            told = list(store.list_uploads(subject.bucket, key))
            assert told == ([] if key == "old" else [(key, upload)])
            assert list(store.list_uploads(subject.bucket, "other/")) == []
            store.complete_upload(subject.bucket, key, upload, parts)
            assert subject.get(key) == data
        assert list(store.list_uploads(subject.bucket)) == []

    def test_abort(self, subject: Subject) -> None:
        store = cast("AzureStore", subject.store)
        upload = store.start_upload(subject.bucket, "o", size=3)
        store.put_part(subject.bucket, "o", upload, number=1, offset=0, size=3, body=b"abc")
        store.abort_upload(subject.bucket, "o", upload)
        store.abort_upload(subject.bucket, "o", upload)
        assert subject.keys() == []
        subject.put("o", b"another")
        assert subject.get("o") == b"another"
        assert subject.keys() == ["o"]

    def test_an_upload_that_never_was(self, subject: Subject) -> None:
        store = cast("AzureStore", subject.store)
        upload = store.start_upload(subject.bucket, "o", size=3)
        assert store.list_parts(subject.bucket, "o", upload) == []
        assert list(store.list_uploads(subject.bucket)) == []
        lost = Part(1, 3, block_id(upload, 1, 0))
        with pytest.raises(ObjectNotFound):
            store.complete_upload(subject.bucket, "o", upload, [lost])
        assert subject.keys() == []
