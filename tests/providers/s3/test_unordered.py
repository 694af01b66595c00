"""SeaweedFS lists folder by folder, not in byte order: sorted on disk before it is compared."""

from __future__ import annotations

import pytest

from svstorage.model import key_order
from tests.cli.conftest import run

TREE = ("a-b", "a.txt", "a/0", "a/b/1", "a/b-c", "a0", "b b", "b/x", "\u00e9", "z")


@pytest.mark.slow
def test_a_tree_is_synced_and_found_the_same(seaweed_s3, connect, tmp_path):
    source = tmp_path / "source"
    for key in TREE:
        path = source / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(key.encode())
    bucket = seaweed_s3.new_bucket()
    env = seaweed_s3.write_env(tmp_path / ".env")
    url = f"sv://{bucket}/"
    run("--env-file", env, "sync", source, url).ok()

    store = connect(seaweed_s3)
    assert store.capabilities.listing_order == "unordered"
    listed = [row.key for row in store.list(bucket)]
    assert sorted(listed, key=key_order) == sorted(TREE, key=key_order)
    assert listed != sorted(TREE, key=key_order), "it has learnt to sort: take the rule out"
    # From the middle: what comes before in its own order must not be lost.
    assert [row.key for row in store.list(bucket, start_after="a-b")].count("a/0") == 1

    run("--env-file", env, "check", source, url).ok()
    again = run("--env-file", env, "--json", "sync", source, url).ok()
    assert again.json["copied"] == 0, again.said
    (source / "a" / "0").unlink()
    run("--env-file", env, "sync", "--delete", source, url).ok()
    assert set(seaweed_s3.keys(bucket)) == set(TREE) - {"a/0"}
    seaweed_s3.drop_bucket(bucket)
