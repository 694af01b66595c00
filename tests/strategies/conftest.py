"""The sides of tests.transfer serve here too."""

from tests.transfer.conftest import _own_state, side, small_parts

__all__ = ["_own_state", "side", "small_parts"]
