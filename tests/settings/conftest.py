"""The variables of the built-in providers are known, as in every program that connects."""

from __future__ import annotations

import pytest

from svstorage.plugins import plugins


@pytest.fixture(autouse=True, scope="session")
def _providers_loaded() -> None:
    plugins()
