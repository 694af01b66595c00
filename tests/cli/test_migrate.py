"""migrate: whole storages through the command, from one to the other and back again."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Store, command, read_tree, run, spawn, write_tree

NEW = Callable[..., Store]
MIB = 1024 * 1024

# What every one of the three can hold, and what tools like to get wrong.
ODD = (
    "plain.txt", "with space", " lead", "sub folder/\u00e4\u00f6\u00fc.txt", "e\u0301-decomposed",
    "\u00e9-composed", "\u4e2d\u6587/\U0001f600.png", "%2F%20+", "a+b=c&d", "q?x=1#frag", "[set]*?",
    "-rf", "~tilde", "$HOME", "quote'\"", "back`tick", "dots..in..name", ".hidden/.x", "a", "A",
    "deep/" + "d/" * 20 + "end", "n" * 200, "semi;colon,comma", "(1) {2} <3>", "@at!", "CON", "a.b",
)  # fmt: skip


def test_disk_to_s3_to_azure_to_disk_is_identical(new_store: NEW, tmp_path: Path) -> None:
    disk, s3, azure = (new_store(kind, make=kind == "disk") for kind in ("disk", "moto", "azure"))
    chance = random.Random(7)
    files = {name: chance.randbytes(chance.randint(1, 3000)) for name in ODD}
    files.update({"empty": b"", "deep/empty": b"", "one": b"1"})
    public, private = disk.server.root / disk.public, disk.server.root / disk.private
    write_tree(public, files)
    # Bigger than a part; not all zeros, so that parts in a wrong order would be seen.
    big = b"".join(bytes([number]) * MIB for number in range(70)) + b"tail"
    write_tree(private, {"models/big.bin": big, "x/y": b"z"})

    names = f"{disk.public},{disk.private}"
    back = new_store("disk", make=False)
    for one, two in ((disk, s3), (s3, azure), (azure, back)):
        done = run(
            "migrate", "--from-env", one.env_file, "--to-env", two.env_file, "--buckets", names
        ).ok()
        assert "Migration complete" in done.out
        assert f"{len(files)} objects confirmed by checksum when stored" in done.out
        for bucket in (disk.public, disk.private):
            held = one.server.keys(bucket)
            assert two.server.keys(bucket) == held
    assert read_tree(back.server.root / disk.public) == read_tree(public)
    assert read_tree(back.server.root / disk.private) == read_tree(private)
    for server in (s3.server, azure.server):
        for bucket in (disk.public, disk.private):
            server.drop(bucket)


@pytest.fixture
def pair(new_store: NEW) -> tuple[Store, Store]:
    """A full storage on disk and an empty one of the same prefix on S3."""
    one = new_store("disk")
    two = new_store("s3", make=False)
    two.prefix, two.public, two.private = one.prefix, one.public, one.private
    two.write_env(two.env_file)
    for number in range(3):
        one.write(f"photos/{number}.jpg", bytes([number]) * 1000)
    one.write("notes", b"private", one.private)
    return one, two


def test_page_at_the_end(pair: tuple[Store, Store]) -> None:
    one, two = pair
    done = one("migrate", "--to-env", two.env_file).ok()
    page = done.out
    for text in (
        "Migration complete: 4 objects",
        "What moved", f"  {one.public}", "What was checked", "the same",
        "What to change in .env", "  - STORAGE_PROVIDER=http", "  + STORAGE_PROVIDER=minio",
        f"  + STORAGE_ENDPOINT={two.server.server.endpoint}", "  + STORAGE_SECRET_KEY=***",
        "How to go back", f"svstorage migrate --from-env {two.env_file}",
    ):  # fmt: skip
        assert text in page, text
    assert two.server.server.secret_key not in done.said
    # The platform keeps its other data there as well.
    assert "- DATA_PATH" not in page
    assert all(len(line) <= 80 for line in page.splitlines() if "/" not in line)


def test_again_while_in_use_copies_only_what_changed(pair: tuple[Store, Store]) -> None:
    one, two = pair
    one("migrate", "--to-env", two.env_file).ok()
    one.write("photos/1.jpg", b"changed meanwhile")
    one.write("photos/new.jpg", b"new")
    (one.server.root / one.public / "photos/0.jpg").unlink()
    done = one("migrate", "--to-env", two.env_file).ok()
    assert "Migration complete: 2 objects" in done.out
    assert "1 object only at the destination, left alone" in done.out
    assert two.read("photos/1.jpg") == b"changed meanwhile"
    assert set(two.holds()) == {f"photos/{n}.jpg" for n in ("0", "1", "2", "new")}
    assert "Migration complete: 0 objects" in one("migrate", "--to-env", two.env_file).ok().out


def test_no_checksum_is_claimed_that_was_not_compared(pair: tuple[Store, Store]) -> None:
    one, two = pair
    done = one("migrate", "--to-env", two.env_file, "--verify", "size").ok()
    assert "checksum" not in done.out.partition("What was checked")[2].partition("Where one")[0]
    assert "3 objects the same afterwards (3 by size)" in done.out


def test_dry_run_makes_nothing(pair: tuple[Store, Store]) -> None:
    one, two = pair
    done = one("migrate", "--to-env", two.env_file, "--dry-run").ok()
    assert done.out.count("would copy") == 4
    assert one.public not in two.server.buckets()


def test_json(pair: tuple[Store, Store]) -> None:
    one, two = pair
    done = one("--json", "migrate", "--to-env", two.env_file).ok()
    page = done.json
    assert (page["operation"], page["copied"], page["ok"]) == ("migrate", 4, True)
    assert [part["operation"] for part in page["parts"]] == ["migrate", "check"] * 2
    assert page["checked"][one.public] == {"stored": 3, "checksum": 0, "size": 3, "extra": 0}
    new = {change["name"]: change["new"] for change in page["env_changes"]}
    assert new["STORAGE_PROVIDER"] == "minio"
    assert new["STORAGE_SECRET_KEY"] == "***"


def test_one_failure_says_not_complete(pair: tuple[Store, Store]) -> None:
    one, two = pair
    bad = one.server.root / one.public / "fifo-folder"
    bad.mkdir()
    (bad / "b\udcff").write_bytes(b"a name that is not UTF-8")
    done = one("migrate", "--to-env", two.env_file, "--retries", "0")
    assert done.code == 1
    assert "NOT complete" in done.out
    assert "What to change" not in done.out
    assert "fifo-folder/b\\xff" in done.err
    assert set(two.holds()) == {f"photos/{n}.jpg" for n in range(3)}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "--to-env"),
        (["--to-env", "none.env"], "there is no such file"),
        (["--to-env", "{own}"], "same storage"),
        (["--to-env", "{other}", "--buckets", "nope"], "nope"),
        (["--to-env", "{other}", "--buckets", ","], "--buckets"),
    ],
    ids=["no-target", "missing-file", "itself", "no-bucket", "no-name"],
)
def test_what_cannot_be_meant(pair: tuple[Store, Store], words: list[str], says: str) -> None:
    one, two = pair
    done = one("migrate", *(word.format(own=one.env_file, other=two.env_file) for word in words))
    assert done.code in (1, 2)
    assert says in done.err
    assert "Traceback" not in done.err
    assert one.public not in two.server.buckets()


def test_ambiguous_prefix_says_how_to_name_buckets(new_store: NEW, tmp_path: Path) -> None:
    disk = new_store("disk")
    disk("mb", "sv://other-public", "sv://other-private").ok()
    env_file = tmp_path / "no-prefix.env"
    env_file.write_text(f"STORAGE_PROVIDER=http\nDATA_PATH={disk.server.folder}\n")
    target = new_store("disk", make=False)
    done = run("--env-file", env_file, "migrate", "--to-env", target.env_file)
    assert done.code == 2
    assert "--buckets NAME,NAME" in done.err


def test_in_a_process_of_its_own_without_a_terminal(pair: tuple[Store, Store]) -> None:
    one, two = pair
    assert command("x")[-1] == "x"
    done = spawn("migrate", "--from-env", one.env_file, "--to-env", two.env_file).ok()
    assert "\x1b" not in done.said
    assert "Migration complete" in done.out
