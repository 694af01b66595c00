"""The provider contract over any fsspec filesystem."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fsspec import AbstractFileSystem

from svstorage.providers.fsspec_store import FsspecStore
from svstorage.testing import ProviderContract, Subject


class TestFsspecStore(ProviderContract):
    @pytest.fixture
    def subject(self, make_fs: Callable[[], AbstractFileSystem], bucket: str) -> Subject:
        return Subject(
            FsspecStore(make_fs()), bucket, reconnect=lambda: FsspecStore(make_fs()), page=20
        )
