"""Every command on every storage; what the storage holds is asked of a client that is not ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from svstorage.cli.moving import Mover
from svstorage.cli.state import State
from svstorage.transfer.report import Counters, Report
from tests.cli.conftest import TREE, Store, read_tree, run


def test_mb_and_rb(store: Store) -> None:
    name = f"{store.prefix}-new"
    try:
        assert "made" in store("mb", f"sv://{name}").ok().err
        assert name in store.server.buckets()
        again = store("mb", f"sv://{name}")
        assert again.code == 1
        assert name in again.err
        store("mb", "-p", f"sv://{name}").ok()
        store.write("x", b"x", name)
        full = store("rb", f"sv://{name}")
        assert full.code == 1
        assert "not empty" in full.err
        assert store.holds(name) == {"x": 1}
        store("rb", "--force", f"sv://{name}").ok()
        assert name not in store.server.buckets()
        assert store("rb", f"sv://{name}").code == 1
    finally:
        store.server.drop(name)


def test_ls(store: Store, tree: Path) -> None:
    store("cp", "-r", tree, "public:tree").ok()
    assert store("ls").ok().out.split() == sorted(store.server.buckets())
    assert store("ls", "public:").ok().out == "tree/\n"
    names = store("ls", "public:tree").ok().out.splitlines()
    assert names == ["-rf", "a.txt", "space dir/", "sub/"]
    assert store("ls", "-R", "public:tree").ok().out.splitlines() == sorted(TREE)
    long = store("ls", "-l", "public:tree/a.txt").ok().out.split()
    assert long[0] == "6"
    assert long[-1] == "a.txt"
    assert store("ls", "-R", "sv://").ok().out.count(f"{store.public}/tree/") == len(TREE)
    missing = store("ls", "public:nothing")
    assert missing.code == 1
    assert "no such object or folder" in missing.err


def test_ls_keeps_objects_between_folders(store: Store) -> None:
    # Some services list folders and objects of one page apart.
    for key in ("a.txt", "b/x", "c.txt", "d/x", "e.txt"):
        store.write(key, b"1")
    assert store("ls", "public:").ok().out.split() == ["a.txt", "b/", "c.txt", "d/", "e.txt"]


def test_ls_of_a_glob(store: Store, tree: Path) -> None:
    store("cp", "-r", tree, "public:tree").ok()
    assert store("ls", "public:tree/s*").ok().out.splitlines() == ["space dir/", "sub/"]
    assert store("ls", "public:tree/*/*.csv").ok().out.splitlines() == ["sub/b.csv"]
    assert store("ls", "public:tree/x*").code == 1


def test_du_adds_up(store: Store, tree: Path) -> None:
    store("cp", "-r", f"{tree}/", "public:").ok()
    total = sum(map(len, TREE.values()))
    rows = [line.split(maxsplit=2) for line in store("du", "public:").ok().out.splitlines()]
    assert rows[-1] == [str(total), str(len(TREE)), "public:"]
    assert [row[2] for row in rows[:-1]] == [
        f"sv://{store.public}/space dir/", f"sv://{store.public}/sub/",
    ]  # fmt: skip
    assert store("du", "-s", f"sv://{store.public}").ok().out.split()[:2] == [
        str(total), str(len(TREE)),
    ]  # fmt: skip
    assert "KiB" in store("du", "-h", "public:sub").ok().out


def test_find(store: Store, tree: Path) -> None:
    store("cp", "-r", f"{tree}/", "public:").ok()
    place = f"sv://{store.public}"
    assert store("find", "public:", "--name", "*.csv").ok().out == f"{place}/sub/b.csv\n"
    big = store("find", "public:", "--min-size", "1K").ok().out
    assert big == f"{place}/sub/deep/c.bin\n"
    assert store("find", "public:", "--max-size", "0").ok().out == f"{place}/sub/empty\n"
    assert store("find", "public:", "--older-than", "1h").ok().out == ""
    assert len(store("find", "public:", "--newer-than", "1h").ok().out.splitlines()) == len(TREE)
    exact = store("find", "public:", "-0", "--path", "space*").ok().out
    assert exact == f"{place}/space dir/\u00fc %2F +.txt\0"


def test_cat_and_put_are_pipes(store: Store) -> None:
    data = bytes(range(256)) * 5000
    store("put", "-", "private:in/data.bin", stdin=data).ok()
    assert store.read("in/data.bin", store.private) == data
    assert store("put", "-", "private:empty", stdin=b"").ok().out == ""
    assert store.read("empty", store.private) == b""
    store.write("one", b"ONE")
    store.write("two", b"TWO")
    assert store("cat", "public:one", "public:two").ok().out == "ONETWO"
    assert store("cat", "public:t*").ok().out == "TWO"
    assert store("cat", "--offset", "1", "--count", "1", "public:one").ok().out == "N"
    missing = store("cat", "public:none", "public:one")
    assert (missing.code, missing.out) == (1, "ONE")
    assert "none" in missing.err


def test_cp_takes_a_dash_for_a_pipe(store: Store, tree: Path) -> None:
    store("cp", "-", "public:in", stdin=b"through").ok()
    assert store.read("in") == b"through"
    assert store("cp", "public:in", "-").ok().out == "through"
    for words in (["-", "-"], ["-", "public:x", "public:y"], ["-r", "-", "public:x"],
                  ["--bwlimit", "1M", "public:in", "-"], ["-", "public:"]):  # fmt: skip
        done = store("cp", *words, stdin=b"x")
        assert (done.code, done.out) == (2, ""), words
    assert store.holds() == {"in": 7}


def test_put_of_a_file_with_its_type(store: Store, tree: Path) -> None:
    store("put", "--content-type", "text/x-test", tree / "a.txt", "public:page").ok()
    assert store.read("page") == TREE["a.txt"]
    shown = store("stat", "public:page").ok().out
    assert "6 bytes" in shown
    assert "text/x-test" in shown


def test_stat(store: Store) -> None:
    store.write("dir/x", b"12345")
    out = store("stat", "public:dir/x").ok().out
    assert f"sv://{store.public}/dir/x" in out
    assert "5 bytes" in out
    assert "ETag" in out
    assert store("stat", "public:dir/y").code == 1
    assert store("stat", "public:").code == 2


def test_rm(store: Store, tree: Path) -> None:
    store("cp", "-r", f"{tree}/", "public:").ok()
    for words in (["public:sub"], ["public:"], ["sv://"]):
        refused = store("rm", "public:a.txt", *words)
        assert refused.code == 2, words
    assert set(store.holds()) == set(TREE)
    assert "would delete" in store("rm", "-r", "-n", "public:sub").ok().out
    assert set(store.holds()) == set(TREE)
    store("rm", "public:a.txt", "public:-rf").ok()
    store("rm", "public:sub/*").ok()
    assert set(store.holds()) == {"space dir/\u00fc %2F +.txt", "sub/deep/c.bin"}
    store("rm", "-r", "public:").ok()
    assert store.holds() == {}
    assert store.public in store.server.buckets()
    assert store("rm", "public:a.txt").code == 1
    store("rm", "-f", "public:a.txt").ok()


def test_mv(store: Store, tree: Path) -> None:
    store("cp", "-r", f"{tree}/", "public:in/").ok()
    store("mv", "public:in/a.txt", "private:b.txt").ok()
    assert store.read("b.txt", store.private) == TREE["a.txt"]
    assert "in/a.txt" not in store.holds()
    store("mv", "-r", "public:in/sub", "public:out/sub").ok()
    assert {key for key in store.holds() if key.startswith("out/")} == {
        "out/sub/b.csv", "out/sub/deep/c.bin", "out/sub/empty",
    }  # fmt: skip
    assert not any(key.startswith("in/sub") for key in store.holds())


def test_mv_tells_how_the_whole_move_ended(store: Store) -> None:
    store.write("a", b"one")
    told = store("--json", "mv", "public:a", "public:b").ok().json
    assert (told["operation"], told["copied"], told["deleted"]) == ("move", 1, 1)
    assert "1 deleted at the source" in store("mv", "public:b", "public:c").ok().err
    # No service here refuses a deletion alone: the sum is looked at by itself.
    mover = Mover(State())
    mover.deleter.failures = 1
    joined = mover.joined(Report("copy", "a", "b", Counters(listed=1, copied=1), 0.1))
    assert (joined.ok, joined.exit_code) == (False, 1)


def test_mv_down_to_a_folder(store: Store, tmp_path: Path) -> None:
    store.write("x/1", b"one")
    store.write("x/2", b"two")
    store("mv", "public:x/*", tmp_path / "down/").ok()
    assert read_tree(tmp_path / "down") == {"1": b"one", "2": b"two"}
    assert store.holds() == {}


def test_mv_keeps_a_source_that_failed(store: Store, tmp_path: Path) -> None:
    store.write("same", b"one")
    (tmp_path / "same").mkdir()
    (tmp_path / "same" / "same").mkdir()
    failed = store("mv", "public:same", tmp_path / "same", "--retries", "0")
    assert failed.code == 1
    assert "same" in failed.err
    assert store.read("same") == b"one"


def test_presign(new_store: Callable[..., Store]) -> None:
    for kind in ("s3", "azure"):
        store = new_store(kind)
        store.write("a b.txt", b"signed")
        done = store("presign", "--expires", "5m", "public:a b.txt").ok()
        with urlopen(done.out.strip(), timeout=10) as answer:
            assert answer.read() == b"signed"
        assert "5m" in done.err
        url = store("presign", "--put", "public:up.txt").ok().out.strip()
        headers = {"x-ms-blob-type": "BlockBlob"} if kind == "azure" else {}
        with urlopen(Request(url, b"put", headers, method="PUT"), timeout=10):
            pass
        assert store.read("up.txt") == b"put"
        assert store("presign", "--expires", "8d", "public:a b.txt").code == 2
    assert new_store("disk")("presign", "--put", "public:x").code == 2


def test_check(store: Store, tree: Path) -> None:
    store("cp", "-r", f"{tree}/", "public:t/").ok()
    same = store("check", tree, "public:t").ok()
    assert same.out == ""
    assert f"{len(TREE)} the same (" in same.err
    assert "by size; --checksum compares the bytes)" in same.err
    assert "by size" not in store("check", "--checksum", tree, "public:t").ok().err
    (tree / "a.txt").write_bytes(b"HELLO\n")  # the same size
    (tree / "more.txt").write_bytes(b"1")
    store("rm", "public:t/sub/b.csv").ok()
    store.write("t/extra", b"x")
    found = store("check", "--checksum", tree, "public:t")
    assert found.code == 1
    assert sorted(line.partition(" (")[0] for line in found.out.splitlines()) == [
        "checksum: a.txt", "extra: extra", "missing: more.txt", "missing: sub/b.csv",
    ]  # fmt: skip


def test_check_of_two_objects(store: Store, tree: Path) -> None:
    store("cp", tree / "a.txt", "public:t/").ok()
    store("check", tree / "a.txt", "public:t/a.txt").ok()
    store("check", tree / "a.txt", "public:t").ok()
    differs = store("check", tree / "sub/b.csv", "public:t/a.txt")
    assert differs.code == 1
    assert differs.out.startswith(f"size: {tree}/sub/b.csv")
    assert store("check", tree / "a.txt", "public:none").code == 1


@pytest.mark.parametrize("way", ["./{0}", "{0}/"])
def test_local_to_local_needs_no_settings(tmp_path: Path, tree: Path, way: str) -> None:
    (tmp_path / ".env").write_text("STORAGE_PROVIDER=nothing-like-this\n")
    run("cp", "-r", way.format(tree.name), "out/").ok()
    assert read_tree(tmp_path / "out") == TREE


def test_plugins_lists_every_kind() -> None:
    done = run("plugins").ok()
    for word in ("PROVIDERS", "CREDENTIAL RESOLVERS", "COPY STRATEGIES", "ENGINES", "minio/static",
                 "azure/managed-identity", "parts", "svstorage 0."):  # fmt: skip
        assert word in done.out, word
    rows = run("--json", "plugins").ok().lines
    assert {row["kind"] for row in rows} >= {
        "plugin", "provider", "resolver", "strategy", "engine",
    }  # fmt: skip
    assert all(row["distribution"] and row["version"] for row in rows)


@pytest.mark.parametrize("name", ["ls", "cat", "stat", "du", "find"])
def test_one_missing_address_does_not_stop_the_others(disk: Store, name: str) -> None:
    disk.write("there", b"1234")
    done = disk(name, "public:missing", "public:there")
    assert done.code == 1
    assert done.err.count("error: ") == 1
    assert "missing" in done.err
    assert "1234" in done.out if name == "cat" else "there" in done.out


@pytest.mark.parametrize(
    "words", [["cat"], ["stat"], ["ls"], ["du"], ["find"], ["rm"], ["rm", "-r"]], ids=" ".join
)
def test_what_is_missing_is_told_alike(store: Store, words: list[str], tmp_path: Path) -> None:
    """S3 does not say of a HEAD whether the bucket or the object is missing; a path has neither."""
    missing = store(*words, "sv://no-such-bucket/k")
    assert missing.code == 1
    assert "error: sv://no-such-bucket/k: there is no such bucket\n" in missing.err
    path = store(*words, tmp_path / "none" / "k")
    assert path.code == 1
    assert "there is no such" in path.err
    assert "bucket" not in path.err


def test_a_bucket_that_is_not_there_cannot_be_removed(store: Store) -> None:
    missing = store("rb", "sv://no-such-bucket")
    assert (missing.code, missing.err) == (
        1, "error: sv://no-such-bucket: there is no such bucket\n",
    )  # fmt: skip
