"""Workers that die in mid-copy, and commands that are ended."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

pytestmark = pytest.mark.faults

# 600 files of 20 kB at 3 MB a second: some four seconds of copying.
COUNT, SIZE, RATE = 600, 20_000, "3M"


def wait_for(what: Callable[[], bool], seconds: float = 40) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def under_way(state: Path) -> bool:
    """Both workers have copied something, by their journals."""
    told = 0
    for path in state.rglob("*.sqlite"):
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as journal:
                told += journal.execute("SELECT 1 FROM done LIMIT 1").fetchone() is not None
        except sqlite3.OperationalError:
            continue  # just being made
    return told >= 2


def files_in(root: Path) -> int:
    return sum(
        1 for _, _, files in os.walk(root) for name in files if not name.startswith(".svstorage")
    )


def test_a_killed_worker_costs_no_object(mortal_cluster, run_on, make_tree, tree_of, tmp_path):
    run = run_on(mortal_cluster)
    made = make_tree(tmp_path / "src", COUNT, SIZE)
    process = run.start("cp", "-r", "--bwlimit", RATE, "src/", "dst/")
    wait_for(lambda: under_way(mortal_cluster.state))
    os.killpg(mortal_cluster.workers[0].pid, signal.SIGKILL)
    there = files_in(tmp_path / "dst")
    done = run.end(process)
    assert there < COUNT, "killed too late to say anything"
    assert done.code == 0, done.err
    assert tree_of(tmp_path / "dst") == made
    assert Counter(row["key"] for row in done.report) == dict.fromkeys(made, 1)
    assert done.actions == {("copy", "done"): COUNT}
    lost = [row for row in done.report if row["reason"] == "copied by a lost worker"]
    assert lost, "its journal tells what it had done"
    assert done.summary["copied"] == COUNT


def test_nor_does_it_between_services_and_without_a_journal(
    mortal_cluster, run_on, rclone_s3, azurite, make_tree, tmp_path
):
    run = run_on(mortal_cluster)
    s3, azure = rclone_s3.new_bucket(), azurite.new_bucket()
    made = make_tree(rclone_s3.data / s3, COUNT, SIZE)
    rclone_s3.write_env(tmp_path / ".env.s3")
    azurite.write_env(tmp_path / ".env.azure")
    envs = ["--from-env", ".env.s3", "--to-env", ".env.azure"]
    process = run.start(
        "cp", "-r", *envs, "--journal", "none", "--bwlimit", RATE, f"sv://{s3}/", f"sv://{azure}/"
    )
    wait_for(lambda: len(azurite.keys(azure)) > 60)
    os.killpg(mortal_cluster.workers[0].pid, signal.SIGKILL)
    there = len(azurite.keys(azure))
    done = run.end(process)
    assert there < COUNT, "killed too late to say anything"
    assert done.code == 0, done.err
    assert azurite.keys(azure) == {name: len(data) for name, data in made.items()}
    assert Counter(row["key"] for row in done.report) == dict.fromkeys(made, 1)
    assert done.actions == {("copy", "done"): COUNT}
    assert run("check", *envs, f"sv://{s3}/", f"sv://{azure}/").code == 0
    rclone_s3.drop_bucket(s3)
    azurite.drop_bucket(azure)


def test_an_embedded_worker_that_dies_is_replaced(embedded, make_tree, tree_of, tmp_path):
    made = make_tree(tmp_path / "src", COUNT, SIZE)
    process = embedded.start("sync", "--bwlimit", RATE, "src", "dst")
    wait_for(lambda: under_way(embedded.state))
    victims = children_that_copy(process.pid)
    assert len(victims) == 2
    for victim in victims:  # both
        os.kill(victim, signal.SIGKILL)
    done = embedded.end(process)
    assert done.code == 0, done.err
    assert tree_of(tmp_path / "dst") == made
    assert Counter(row["key"] for row in done.report) == dict.fromkeys(made, 1)
    assert "Traceback" not in done.err


def children_that_copy(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if int(stat[1]) == parent and b"spawn_main" in words:
                found.append(int(entry.name))
    return found


def test_interrupted_it_ends_soon_and_goes_on(embedded, make_tree, tree_of, tmp_path):
    made = make_tree(tmp_path / "src", COUNT, SIZE)
    process = embedded.start("cp", "-r", "--bwlimit", RATE, "src/", "dst/")
    wait_for(lambda: under_way(embedded.state))
    # A terminal sends Ctrl-C to all processes of the group.
    os.killpg(process.pid, signal.SIGINT)
    began = time.monotonic()
    first = embedded.end(process)
    assert first.code == 130, first.err
    assert time.monotonic() - began < 40
    assert "Traceback" not in first.err
    assert 0 < files_in(tmp_path / "dst") < COUNT
    assert not children_that_copy(process.pid)
    copied = {row["key"] for row in first.report if row["status"] == "done"}
    second = embedded("cp", "-r", "src/", "dst/")
    assert second.code == 0, second.err
    assert tree_of(tmp_path / "dst") == made
    again = {row["key"] for row in second.report if row["action"] == "copy"}
    assert copied
    assert not copied & again, "what was done is not done again"
    assert copied | again == set(made)


def test_the_command_killed_takes_its_workers_along_and_goes_on(
    embedded, make_tree, tree_of, tmp_path
):
    made = make_tree(tmp_path / "src", COUNT, SIZE)
    process = embedded.start("cp", "-r", "--bwlimit", RATE, "src/", "dst/")
    wait_for(lambda: under_way(embedded.state))
    workers = children_that_copy(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    embedded.end(process)
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    there = files_in(tmp_path / "dst")
    second = embedded("cp", "-r", "src/", "dst/")
    assert second.code == 0, second.err
    assert tree_of(tmp_path / "dst") == made
    skipped = second.actions[("skip", "done")]
    assert 0 < skipped <= there


def test_a_scheduler_that_goes_ends_the_run_and_says_so(
    mortal_cluster, run_on, make_tree, tmp_path
):
    run = run_on(mortal_cluster)
    make_tree(tmp_path / "src", COUNT, SIZE)
    process = run.start("cp", "-r", "--bwlimit", RATE, "src/", "dst/")
    wait_for(lambda: files_in(tmp_path / "dst") > 60)
    os.killpg(mortal_cluster.scheduler.pid, signal.SIGKILL)
    done = run.end(process)
    assert done.code == 3, done.err
    assert "scheduler is gone" in done.err
    assert "Traceback" not in done.err
