"""Symbolic links, followed within the root, left out, or copied as links."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from svstorage.errors import AccessRefused, ObjectError, ObjectNotFound
from svstorage.model import Attributes, CommonPrefix, Entry
from svstorage.providers.local.store import LINK_MARK, LocalStore
from tests.providers.local.conftest import (
    BUCKET,
    get,
    listing,
    put,
)


@pytest.fixture
def linked(store: LocalStore, base: Path, root: Path, tmp_path: Path) -> Path:
    put(store, "real/file", b"bytes")
    put(store, "real/sub/deep", b"deep")
    put(store, "other", b"of other bucket", bucket=BUCKET)
    (root / "second").mkdir()
    (root / "second" / "there").write_bytes(b"there")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    (base / "l-dangling").symlink_to("nothing")
    (base / "l-file").symlink_to("real/file")
    (base / "l-folder").symlink_to("real")
    (base / "l-loop-1").symlink_to("l-loop-2")
    (base / "l-loop-2").symlink_to("l-loop-1")
    (base / "l-out-file").symlink_to(tmp_path / "outside" / "secret")
    (base / "l-out-folder").symlink_to("../../../outside")
    (base / "l-second").symlink_to("../second/there")
    (base / "real" / "sub" / "up").symlink_to("..")
    return base


def test_links_followed(linked: Path, store: LocalStore):
    found, problems = listing(store)
    assert [entry.key for entry in found] == [
        "l-file", "l-folder/file", "l-folder/sub/deep", "l-second", "other", "real/file",
        "real/sub/deep",
    ]  # fmt: skip
    told = {problem.key: problem for problem in problems}
    assert set(told) == {
        "l-dangling", "l-folder/sub/up/", "l-loop-1", "l-loop-2", "l-out-file", "l-out-folder/",
        "real/sub/up/",
    }  # fmt: skip
    assert {problem.severity for problem in problems} == {"error"}
    assert "does not exist" in told["l-dangling"].reason
    assert "a loop" in told["real/sub/up/"].reason
    assert "out of the folder" in told["l-out-file"].reason
    for entry in found:
        assert store.head(BUCKET, entry.key).entry == entry
        assert len(get(store, entry.key)) == entry.size
    assert get(store, "l-second") == b"there"
    for key in ("l-out-file", "l-out-folder/secret"):
        with pytest.raises(AccessRefused, match="leads out of"):
            get(store, key)
    for key in ("l-dangling", "l-folder/none"):
        with pytest.raises(ObjectNotFound):
            get(store, key)
    with pytest.raises(ObjectError):
        get(store, "l-loop-1")
    level = list(store.list_level(BUCKET))
    assert CommonPrefix("l-folder/") in level
    assert [row.key for row in store.list_level(BUCKET, "l-folder/") if isinstance(row, Entry)] == [
        "l-folder/file"
    ]


def test_links_left_out(linked: Path, root: Path):
    store = LocalStore(root, links="skip")
    found, problems = listing(store)
    assert [entry.key for entry in found] == ["other", "real/file", "real/sub/deep"]
    assert {problem.severity for problem in problems} == {"skipped"}
    assert len(problems) == 9
    for key in ("l-file", "l-folder/file"):
        with pytest.raises(ObjectNotFound, match="links are left out"):
            get(store, key)


def test_links_as_links(linked: Path, root: Path, tmp_path: Path):
    store = LocalStore(root, links="copy")
    found, problems = listing(store)
    assert problems == []
    assert len(found) == 12
    target = LocalStore.for_folder(tmp_path / "target", links="copy")
    refused = []
    for entry in found:
        with store.read(BUCKET, entry.key, if_match=entry.etag) as reader:
            attributes = reader.info.attributes
            try:
                target.put("", entry.key, reader, size=entry.size, attributes=attributes)
            except ObjectError as error:
                refused.append((entry.key, "out of the folder" in str(error)))
    assert refused == [("l-out-file", True), ("l-out-folder", True), ("l-second", True)]
    made = tmp_path / "target"
    assert os.readlink(made / "l-dangling") == "nothing"
    assert os.readlink(made / "l-folder") == "real"
    assert os.readlink(made / "real" / "sub" / "up") == ".."
    assert (made / "l-file").read_bytes() == b"bytes"


def test_a_chain_of_many_links(store: LocalStore, base: Path):
    put(store, "end/x")
    (base / "n0").symlink_to("end")
    for n in range(30):
        (base / f"n{n + 1}").symlink_to(f"n{n}")
    found, problems = listing(store)
    assert problems == []
    assert len(found) == 32


def test_a_link_that_leads_out_by_way_of_another(tmp_path: Path):
    """By its text it stays inside; where the disk takes it is decided by the link on its way."""
    target = LocalStore.for_folder(tmp_path / "target", links="copy")
    mark = Attributes(metadata={LINK_MARK: "1"})
    target.put("", "a/file", b"x", size=1)
    target.put("", "deep/dir/up", b"../../a", size=7, attributes=mark)
    assert (tmp_path / "target" / "deep" / "dir" / "up" / "file").read_bytes() == b"x"
    text = b"deep/dir/up/../../secret"
    with pytest.raises(ObjectError, match="out of the folder"):
        target.put("", "out", text, size=len(text), attributes=mark)
    assert not os.path.lexists(tmp_path / "target" / "out")
