"""The provider contract over a real OpenSSH server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from svstorage.testing import ProviderContract, Subject
from svstorage_sftp.store import SftpStore


class TestSftp(ProviderContract):
    @pytest.fixture
    def subject(
        self, store: SftpStore, connect: Callable[..., SftpStore], root: Path
    ) -> Iterator[Subject]:
        store.create_bucket("contract")
        yield Subject(store, "contract", reconnect=connect, page=100, grain=1.1)
        shutil.rmtree(root / "contract")
