"""The provider contract over both servers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest

from svstorage.testing import ProviderContract, Subject
from svstorage_webdav.store import WebdavStore

from .conftest import DavServer


class TestWebdav(ProviderContract):
    @pytest.fixture
    def subject(
        self, store: WebdavStore, connect: Callable[..., WebdavStore], dav: DavServer
    ) -> Iterator[Subject]:
        store.create_bucket("contract")
        yield Subject(store, "contract", reconnect=connect, page=100, grain=1.1)
        shutil.rmtree(dav.root / "contract")
