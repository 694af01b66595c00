"""From keys to files: never outside the folder, never two keys in one file, or a named refusal."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from svstorage.errors import StorageError
from svstorage.model import Entry, key_order
from svstorage.providers.local.keys import key_path
from svstorage.providers.local.store import LocalStore
from tests.faults.rows import row

PIECES = st.one_of(
    st.sampled_from(["a", "b", "..", ".", "", "é", "e\u0301", "A", "C:", "\\", "-rf", "*", "\x00"]),
    st.text(max_size=6),
    st.text(st.characters(codec=None, categories=["Cs", "Cc", "Co"]), max_size=3),
)
ANY_KEY = row(
    "M3p",
    "any key at all on a local disk (hypothesis)",
    "never outside the folder; two keys never in one file; else refused by name",
    contract="1",
)
KEYS = st.lists(PIECES, min_size=1, max_size=5).map("/".join)


@ANY_KEY
@given(KEYS)
@example("../x")
@example("a/../../x")
@example("/etc/passwd")
@example("a\x00b")
def test_never_outside(key: str) -> None:
    root = "/some/root"
    try:
        path = key_path(key, len(root))
    except StorageError:
        return
    names = [*path.parents, path.name]
    assert all(name not in (b"", b".", b"..") and b"/" not in name for name in names)
    joined = os.path.join(os.fsencode(root), *names)
    assert os.path.normpath(joined) == joined
    assert joined.startswith(os.fsencode(root) + b"/")
    # One to one: the names give the key back.
    assert os.fsdecode(b"/".join(names)) + ("/" if path.is_folder else "") == key


@ANY_KEY
@given(st.dictionaries(KEYS, st.binary(max_size=8), max_size=6))
def test_a_store_is_a_dictionary(wanted: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outside = Path(folder) / "outside"
        outside.write_bytes(b"canary")
        root = Path(folder) / "root"
        root.mkdir()
        store = LocalStore.for_folder(root, durability="none")
        held: dict[str, bytes] = {}
        for key, data in wanted.items():
            try:
                store.put("", key, data, size=len(data))
            except (StorageError, ValueError):
                continue
            held[key] = data
        listed = [item for item in store.list("") if isinstance(item, Entry)]
        keys = [item.key for item in listed]
        assert keys == sorted(keys, key=key_order)
        files = {key for key in held if not key.endswith("/")}
        assert {key for key in keys if not key.endswith("/")} == files
        for key in files:
            with store.read("", key) as reader:
                assert reader.read() == held[key]
        assert outside.read_bytes() == b"canary"
        assert sorted(os.listdir(folder)) == ["outside", "root"]


@pytest.mark.parametrize("length", [254, 255, 256])
def test_long_names(length: int) -> None:
    if length <= 255:
        assert key_path("n" * length, 10).name == b"n" * length
    else:
        with pytest.raises(StorageError):
            key_path("n" * length, 10)
