"""The provider contract over any fsspec filesystem.

Over filesystems of this machine: the whole of it over S3 and Azurite takes minutes (each object
is looked at before and after), so that `test_remote` has what differs there.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from svstorage.providers.fsspec_store import FsspecStore
from svstorage.testing import ProviderContract, Subject
from tests.providers.fsspec_store.conftest import MakeFs, new_bucket_of


class TestFsspecStore(ProviderContract):
    @pytest.fixture
    def subject(self, make_fs: MakeFs) -> Iterator[Subject]:
        with new_bucket_of(make_fs) as bucket:
            yield Subject(
                FsspecStore(make_fs()), bucket, reconnect=lambda: FsspecStore(make_fs()), page=20
            )
