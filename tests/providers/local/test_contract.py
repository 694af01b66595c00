"""The provider contract over the local disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from svstorage.providers.local.store import LocalStore
from svstorage.testing import ProviderContract, Subject


class TestLocal(ProviderContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        root = tmp_path / "data" / "storage"
        store = LocalStore(root)
        store.create_bucket("contract")
        return Subject(store, "contract", reconnect=lambda: LocalStore(root))
