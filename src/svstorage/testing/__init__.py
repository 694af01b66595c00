"""What every provider, resolver and strategy must pass, as pytest classes for plugin authors.

Subclass, give one fixture, and run pytest::

    import pytest
    from svstorage.testing import ProviderContract, Subject

    class TestMyProvider(ProviderContract):
        @pytest.fixture
        def subject(self, my_store):
            my_store.create_bucket("contract")
            yield Subject(my_store, "contract")
            empty_and_remove(my_store, "contract")

Each test gets a ``subject`` whose bucket is there and empty. What a store does not claim
(`svstorage.model.Capabilities`, `MultipartStore`) is skipped by that word. Where only the test
server is at fault, say so in `Subject.server_loses_key`, or override the test with a skip that
tells why. The parts of the contract are classes of their own, for those who need only some.

`ResolverContract` wants a fixture ``case`` (a `ResolverCase`), `StrategyContract` a fixture
``carriage`` (a `Carriage`).

Needs pytest, which svstorage itself does not install.
"""

from __future__ import annotations

import pytest

# Before the import, so that a failing assert shows its values.
for _name in (
    "attributes", "errors", "keys", "listing", "objects", "resolvers", "strategies", "threads",
    "uploads",
):  # fmt: skip
    pytest.register_assert_rewrite(f"svstorage.testing.{_name}")

from svstorage.testing.attributes import AttributesContract  # noqa: E402
from svstorage.testing.errors import ErrorsContract  # noqa: E402
from svstorage.testing.keys import KEYS, KeysContract  # noqa: E402
from svstorage.testing.listing import ListingContract  # noqa: E402
from svstorage.testing.objects import ObjectsContract  # noqa: E402
from svstorage.testing.resolvers import ResolverCase, ResolverContract  # noqa: E402
from svstorage.testing.strategies import Carriage, StrategyContract  # noqa: E402
from svstorage.testing.subject import Subject, content, read_all  # noqa: E402
from svstorage.testing.threads import ThreadsContract  # noqa: E402
from svstorage.testing.uploads import UploadsContract  # noqa: E402

__all__ = [
    "KEYS",
    "AttributesContract",
    "Carriage",
    "ErrorsContract",
    "KeysContract",
    "ListingContract",
    "ObjectsContract",
    "ProviderContract",
    "ResolverCase",
    "ResolverContract",
    "StrategyContract",
    "Subject",
    "ThreadsContract",
    "UploadsContract",
    "content",
    "read_all",
]


class ProviderContract(
    ListingContract,
    KeysContract,
    ObjectsContract,
    AttributesContract,
    UploadsContract,
    ErrorsContract,
    ThreadsContract,
):
    """The whole contract."""
