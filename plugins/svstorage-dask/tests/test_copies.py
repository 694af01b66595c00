"""The engine keeps what the local one promises: contents, figures, exit codes, deletions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.process import free_port


def test_processes_of_this_machine_carry_a_tree(embedded, make_tree, tree_of, tmp_path: Path):
    made = make_tree(tmp_path / "src", 700)
    done = embedded("cp", "-r", "src/", "dst/")
    assert done.code == 0, done.err
    assert tree_of(tmp_path / "dst") == made
    assert sorted(row["key"] for row in done.report) == sorted(made)
    assert done.actions == {("copy", "done"): 700}
    assert done.err == ""
    # A cp leaves nothing behind.
    assert not list((tmp_path / "state").rglob("*.sqlite"))


def test_between_services_and_back(run, cluster, rclone_s3, azurite, make_tree, tree_of, tmp_path):
    s3, azure = rclone_s3.new_bucket(), azurite.new_bucket()
    rclone_s3.write_env(tmp_path / ".env.s3")
    azurite.write_env(tmp_path / ".env.azure")
    made = make_tree(tmp_path / "src", 400)
    try:
        up = run("sync", "--to-env", ".env.s3", "src", f"sv://{s3}/in")
        assert up.code == 0, up.err
        assert rclone_s3.keys(s3) == {f"in/{name}": len(data) for name, data in made.items()}
        envs = ["--from-env", ".env.s3", "--to-env", ".env.azure"]
        across = run("sync", *envs, f"sv://{s3}/in", f"sv://{azure}/out")
        assert across.code == 0, across.err
        assert across.actions == {("copy", "done"): 400}
        assert azurite.keys(azure) == {f"out/{name}": len(data) for name, data in made.items()}
        again = run("sync", *envs, f"sv://{s3}/in", f"sv://{azure}/out")
        assert (again.code, again.actions) == (0, {("skip", "done"): 400})
        checked = run("check", *envs, f"sv://{s3}/in", f"sv://{azure}/out")
        assert (checked.code, checked.actions) == (0, {("check", "done"): 400})
        back = run("cp", "-r", "--from-env", ".env.azure", f"sv://{azure}/out/", "back/")
        assert back.code == 0, back.err
        assert tree_of(tmp_path / "back") == made
    finally:
        rclone_s3.drop_bucket(s3)
        azurite.drop_bucket(azure)


def test_migrate_makes_buckets_copies_and_checks(run, rclone_s3, make_tree, tree_of, tmp_path):
    name = f"dask-{free_port()}"
    made = make_tree(tmp_path / "data/storage" / name, 300)
    (tmp_path / ".env.disk").write_text(f"STORAGE_PROVIDER=http\nDATA_PATH={tmp_path / 'data'}\n")
    rclone_s3.write_env(tmp_path / ".env.s3")
    envs = ["--from-env", ".env.disk", "--to-env", ".env.s3"]
    done = run("migrate", *envs, "--buckets", name)
    try:
        assert done.code == 0, done.err
        assert rclone_s3.keys(name) == {key: len(data) for key, data in made.items()}
        assert done.actions == {("copy", "done"): 300, ("check", "done"): 300}
    finally:
        rclone_s3.drop_bucket(name)


def test_deletes_what_the_source_lost(run, make_tree, tree_of, tmp_path):
    made = make_tree(tmp_path / "src", 600)
    make_tree(tmp_path / "dst", 650)
    (tmp_path / "dst/zz").write_text("last of all")
    planned = run("sync", "--delete", "--dry-run", "src", "dst")
    assert planned.code == 0, planned.err
    assert len(tree_of(tmp_path / "dst")) == 651
    assert planned.actions[("delete", "planned")] == 51
    done = run("sync", "--delete", "src", "dst")
    assert done.code == 0, done.err
    assert tree_of(tmp_path / "dst") == made
    assert done.actions[("delete", "done")] == 51


def test_nothing_is_deleted_beyond_the_limit(run, make_tree, tree_of, tmp_path):
    make_tree(tmp_path / "src", 300)
    make_tree(tmp_path / "dst", 320)
    done = run("sync", "--delete", "--max-delete", "19", "src", "dst")
    assert done.code != 0
    assert "--max-delete" in done.err
    assert len(tree_of(tmp_path / "dst")) == 320


def test_a_failure_is_named_keeps_deletions_back_and_stops_no_other(
    run, make_tree, tree_of, tmp_path
):
    made = make_tree(tmp_path / "src", 600)
    make_tree(tmp_path / "dst/extra", 1)
    (tmp_path / "dst/d3/e1/f00199").mkdir(parents=True)  # a folder where a file is to go
    (tmp_path / "dst/d3/e1/f00199/in the way").write_text("")
    wrong = next(name for name in made if name.endswith("f00199"))
    (tmp_path / "dst" / wrong).mkdir(parents=True, exist_ok=True)
    (tmp_path / "dst" / wrong / "in the way").write_text("")
    done = run("sync", "--delete", "src", "dst")
    assert done.code == 1
    assert [row["key"] for row in done.report if row["status"] == "failed"] == [wrong]
    assert wrong in done.err
    assert done.actions[("copy", "done")] == 599
    assert (tmp_path / "dst/extra").exists()
    assert "deleted" in done.err


def test_stops_after_so_many_errors(run, make_tree, tmp_path):
    made = make_tree(tmp_path / "src", 900)
    for name in made:
        (tmp_path / "dst" / name / "in the way").mkdir(parents=True)
    done = run("cp", "-r", "--max-errors", "3", "src/", "dst/")
    assert done.code == 1
    assert "--max-errors" in done.err
    failed = done.actions[("copy", "failed")]
    assert 4 <= failed < 900


def test_goes_where_it_was_told_and_says_what_it_does_itself(run, make_tree, tree_of, tmp_path):
    made = make_tree(tmp_path / "src", 5)
    one = next(iter(made))
    done = run("cp", f"src/{one}", "single")  # one object is no tree
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "single").read_bytes() == made[one]
    done = run("sync", "src", "memory://there/")
    assert done.code == 0, done.err
    assert "this process does all the work" in done.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--engine", "dask", "--workers", "none"], 2, "--workers"),
        (
            ["--engine", "dask", "--workers", "2", "--scheduler", "tcp://127.0.0.1:1"],
            2,
            "--workers",
        ),
        (["--engine", "dask", "--scheduler", "nonsense://x"], 2, "--scheduler"),
        (["--workers", "2"], 2, "--workers"),
    ],
)
def test_bad_options_are_told(words, code, said, make_tree, tmp_path):
    make_tree(tmp_path / "src", 2)
    done = subprocess.run(
        [sys.executable, "-m", "svstorage.cli", "cp", "-r", "src/", "dst/", *words],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert not (tmp_path / "dst").exists()


def test_a_scheduler_that_is_not_there(make_tree, tmp_path, monkeypatch):
    import svstorage
    from svstorage.transfer.options import TransferOptions
    from svstorage_dask import crew

    monkeypatch.setattr(crew, "CONNECT_SECONDS", 1)
    make_tree(tmp_path / "src", 2)
    options = TransferOptions(
        engine="dask", engine_options={"scheduler": f"tcp://127.0.0.1:{free_port()}"}
    )
    report = svstorage.sync("src", "dst", options=options)
    assert report.exit_code == 3
    assert "no Dask scheduler answers" in (report.fatal or "")


def test_help_tells_the_engines_options():
    done = subprocess.run(
        [sys.executable, "-m", "svstorage.cli", "cp", "--engine", "dask", "--help"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "Engine dask" in done.stdout
    assert "--scheduler ADDRESS" in done.stdout


def test_nothing_is_loaded_before_it_is_asked_for():
    code = (
        "import sys, svstorage.plugins as p; assert 'dask' in p.plugins().registry.engines;"
        "sys.exit(any(name in sys.modules for name in ('distributed', 'dask', 'fsspec')))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
