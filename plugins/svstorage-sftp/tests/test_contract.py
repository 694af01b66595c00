"""The provider contract over a real OpenSSH server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from svstorage.testing import ProviderContract, Subject

from svstorage_sftp.store import SftpStore


class TestSftp(ProviderContract):
    @pytest.fixture
    def subject(self, connect: Callable[[], SftpStore]) -> Iterator[Subject]:
        store = connect()
        store.create_bucket("contract")
        yield Subject(store, "contract", reconnect=connect, page=100, grain=1.1)
