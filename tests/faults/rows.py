"""What a test of the matrix is called, for people: read by `report`."""

from __future__ import annotations

from typing import Any

import pytest


def row(name: str, fault: str, promise: str, *, contract: str = "") -> Any:
    """Marks a test as (a part of) one row of the fault matrix.

    ``contract`` names the promise of a copy that it guards: ``1`` to ``9`` (docs/reliability.md).
    Several tests may share one row; its result is theirs together.
    """
    return pytest.mark.row(name, fault, promise, contract)
