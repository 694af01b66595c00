"""What cannot be meant: one clear error, exit code 2, no traceback, nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import TREE, Store, run

BAD = [
    ["cp"],
    ["cp", "x"],
    ["cp", "tree/a.txt", "sv:bucket/x"],
    ["cp", "tree/a.txt", "sv:///x"],
    ["cp", "tree/a.txt", "sv://user:pass@bucket/x"],
    ["cp", "tree/a.txt", "public://x"],
    ["cp", "tree/a.txt", ""],
    ["cp", "tree/a.txt", "sv://"],
    ["cp", "tree", "public:x"],
    ["cp", "-r", "tree", "tree/sub"],
    ["cp", "tree/a.txt", "tree/a.txt"],
    ["cp", "-r", "tree", "public:x", "--concurrency", "0"],
    ["cp", "-r", "tree", "public:x", "--concurrency", "many"],
    ["cp", "-r", "tree", "public:x", "--bwlimit", "fast"],
    ["cp", "-r", "tree", "public:x", "--bwlimit", "0"],
    ["cp", "-r", "tree", "public:x", "--retries", "-1"],
    ["cp", "-r", "tree", "public:x", "--verify", "maybe"],
    ["cp", "-r", "tree", "public:x", "--on-exists", "ask"],
    ["cp", "-r", "tree", "public:x", "--strategy", "none-such"],
    ["cp", "-r", "tree", "public:x", "--engine", "none-such"],
    ["cp", "-r", "tree", "public:x", "--min-size", "2K", "--max-size", "1K"],
    ["cp", "-r", "tree", "public:x", "--newer-than", "1d", "--older-than", "2d"],
    ["cp", "-r", "tree", "public:x", "--newer-than", "yesterday"],
    ["cp", "-r", "tree", "public:x", "--include", ""],
    ["cp", "-r", "tree", "public:x", "--report", "no/such/folder/report"],
    ["cp", "-r", "tree", "public:x", "--journal", "tree"],
    ["cp", "-r", "tree", "public:x", "--journal", ""],
    ["cp", "-r", "tree", "public:x", "--max-errors", "0"],
    ["cp", "-r", "tree", "public:x", "--from-env", "none.env"],
    ["cp", "-r", "tree", "public:x", "--to-env", "none.env"],
    ["cp", "-r", "tree", "public:x", "--to-env", "tree"],
    ["cp", "-r", "tree", "public:x", "--no-such-option"],
    ["cp", "tree/a.txt", "nosuchscheme://x/y"],
    ["sync", "tree/a.txt", "public:x"],
    ["sync", "tree", "public:x", "--max-delete", "5"],
    ["sync", "tree", "public:x", "--allow-empty-source"],
    ["sync", "tree/*", "public:x"],
    ["check", "tree", "public:x", "--delete"],
    ["ls", "sv:bucket"],
    ["stat", "public:"],
    ["cat", "sv://"],
    ["cat", "public:a", "--offset", "-1"],
    ["rm", "public:"],
    ["rm", "sv://"],
    ["mb", "tree/new"],
    ["mb", "public:x/y"],
    ["mb", "sv://"],
    ["mb", "sv://UPPER_and/slash"],
    ["put", "no-such-file", "public:x"],
    ["put", "-", "public:"],
    ["put", "-", "public:folder/"],
    ["presign", "public:x", "--expires", "0s"],
    ["presign", "public:x", "--expires", "soon"],
    ["completion", "tcsh"],
    ["config", "init"],
    ["no-such-command"],
    ["-v", "-q", "ls"],
    ["--log-file", "no/such/folder/log", "ls"],
    ["--env-file", "none.env", "ls"],
]


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("words", BAD, ids=" ".join)
def test_one_clear_error(disk: Store, tree: Path, tmp_path: Path, words: list[str]) -> None:
    before, home = _files(tmp_path), _files(Path.home())
    done = run("--env-file", disk.env_file, *words)
    assert done.code == 2, done.said
    assert done.out == ""
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.err
    assert len(errors[0]) > len("error: ") + 5
    assert "Traceback" not in done.err
    assert "unexpected" not in done.err
    assert "pass@" not in done.err
    assert _files(tmp_path) == before
    assert _files(Path.home()) == home


@pytest.mark.parametrize("words", [["cp", "x"], ["ls", "sv:bucket"], ["mb", "sv://"]], ids=" ".join)
def test_errors_are_json_where_asked_for(disk: Store, words: list[str]) -> None:
    done = run("--json", "--env-file", disk.env_file, *words)
    assert done.code == 2
    (line,) = done.err.splitlines()
    record = json.loads(line)
    assert record["exit_code"] == 2
    assert record["error"]
    assert record["kind"] == "UsageError"


@pytest.mark.parametrize(
    "words",
    [["cp", "nothing", "public:x"], ["ls", "public:nothing"], ["cat", "public:nothing"],
     ["rm", "public:nothing"], ["sync", "nothing", "public:"], ["check", "nothing", "public:"]],
    ids=" ".join,
)  # fmt: skip
def test_what_is_not_there_is_exit_1(disk: Store, words: list[str]) -> None:
    done = disk(*words)
    assert done.code == 1, done.said
    assert "nothing" in done.err
    assert disk.holds() == {}


def test_a_misspelt_command_is_guessed() -> None:
    done = run("migrat")
    assert done.code == 2
    assert "Did you mean 'migrate'?" in done.err


def test_help_of_every_command_has_examples() -> None:
    from svstorage.cli.app import SECTIONS, _available, cli

    assert run("--help").ok().out.count("svstorage") > 4
    for names in SECTIONS.values():
        for name in names:
            if name in _available():
                done = run(name, "--help").ok()
                assert f"svstorage {name}" in done.out, name
                assert "Examples:" in done.out, name
                assert all(len(line) <= 100 for line in done.out.splitlines()), name
    assert cli.name == "svstorage"


def test_after_two_dashes_all_is_an_address(disk: Store, tree: Path) -> None:
    disk("cp", "--", tree / "-rf", "public:-rf").ok()
    assert disk("cat", "--", "public:-rf").ok().out == TREE["-rf"].decode()
