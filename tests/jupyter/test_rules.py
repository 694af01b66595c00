"""The small rules: whose files, which are left out, what a kept version is called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svstorage.errors import SettingsError, UsageError
from svstorage.jupyter import lineage
from svstorage.jupyter.ignore import Ignore
from svstorage.jupyter.manifest import Base, Manifest, Staged
from svstorage.jupyter.names import conflict_name, conflict_of
from svstorage.jupyter.place import find_target, options_from, parse_size, user_name
from svstorage.jupyter.status import Status, read_status, status_path
from svstorage.storage import connect


@pytest.mark.parametrize(
    ("environ", "user"),
    [
        ({"JUPYTERHUB_USER": "anna", "NB_USER": "jovyan", "USER": "root"}, "anna"),
        ({"JPY_USER": "anna", "NB_USER": "jovyan"}, "anna"),
        ({"NB_USER": "jovyan", "USER": "root"}, "jovyan"),
        ({"JUPYTERHUB_USER": "", "USER": "anna"}, "anna"),
        ({"LOGNAME": "anna"}, "anna"),
        ({"JUPYTERHUB_USER": "anna.b+c@example.com"}, "anna.b+c@example.com"),
    ],
)
def test_who_the_user_is(environ: dict[str, str], user: str) -> None:
    assert user_name(environ) == user


def test_the_user_is_at_last_the_owner_of_the_process() -> None:
    import pwd

    assert user_name({}) == pwd.getpwuid(os.getuid()).pw_name


@pytest.mark.parametrize("name", ["a/b", "../ben", "..", ".", "a\0b", " anna"])
def test_a_user_cannot_leave_the_prefix(name: str) -> None:
    with pytest.raises(SettingsError, match="JUPYTERHUB_USER"):
        user_name({"JUPYTERHUB_USER": name})


@pytest.mark.parametrize(
    ("path", "bucket", "prefix"),
    [
        (None, "acme-private", "jupyter/anna/"),
        ("bucket", "bucket", ""),
        ("bucket/", "bucket", ""),
        ("bucket/a/b", "bucket", "a/b/"),
        ("bucket/a/{user}/nb/", "bucket", "a/anna/nb/"),
        ("bucket/{braces}", "bucket", "{braces}/"),
        ("sv://bucket/a//b", "bucket", "a//b/"),
        ("private:nb/{user}", "acme-private", "nb/anna/"),
    ],
)
def test_where_the_files_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str | None, bucket: str, prefix: str
) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "anna")
    if path is not None:
        monkeypatch.setenv("STORAGE_JUPYTER_PATH", path)
    for name in ("acme-private", "acme-public"):
        (tmp_path / "storage" / name).mkdir(parents=True)
    with connect(provider="http", data_path=tmp_path) as storage:
        target = find_target(storage)
    assert (target.bucket, target.prefix) == (bucket, prefix)


@pytest.mark.parametrize("path", ["/bucket/a", "bucket//a", "sv://", "s3://bucket/a", "sv://x@b/a"])
def test_paths_that_name_no_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("STORAGE_JUPYTER_PATH", path)
    with (
        connect(provider="http", data_path=tmp_path) as storage,
        pytest.raises(SettingsError, match=r"STORAGE_JUPYTER_PATH.*environment"),
    ):
        find_target(storage)


def test_sizes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert [parse_size(t) for t in ("1000", "5k", "500M", "2GiB", "1 TB", "7b")] == [
        1000, 5 << 10, 500 << 20, 2 << 30, 1 << 40, 7,
    ]  # fmt: skip
    assert [parse_size(text) for text in ("", "-1", "1.5G", "x", "1X")] == [None] * 5
    monkeypatch.setenv("STORAGE_JUPYTER_MAX_FILE_SIZE", "10M")
    with connect(provider="http", data_path=tmp_path) as storage:
        assert options_from(storage.settings).max_size == 10 << 20


def test_built_in_rules_and_those_of_the_user(tmp_path: Path) -> None:
    (tmp_path / ".svstorageignore").write_text("# mine\n*.ckpt\n/data/\n!/.config/\nsub/**/x\n")
    ignore = Ignore.of_folder(tmp_path)
    out = [".git/HEAD", "a/.ipynb_checkpoints/x", ".venv/bin/python", "m.ckpt", "a/b/m.ckpt",
           "data/d", "sub/1/2/x", ".svstorage/manifest.sqlite", ".~x.ipynb", "a/.y.txt.swp",
           ".ssh/id", "node_modules/a/b"]  # fmt: skip
    kept = ["x.ipynb", "a/data/d", ".config/mine", ".gitignore", ".svstorageignore", "a/.ssh/id",
            "environment.yml", ".env", "x/y.svstorage"]  # fmt: skip
    assert [key for key in out if not ignore.key(key)] == []
    assert [key for key in kept if ignore.key(key)] == []


def test_our_own_folder_cannot_be_taken_back(tmp_path: Path) -> None:
    (tmp_path / ".svstorageignore").write_text("!/.svstorage/\n!*\n")
    assert Ignore.of_folder(tmp_path).key(".svstorage/manifest.sqlite")


def test_a_folder_in_place_of_the_ignore_file(tmp_path: Path) -> None:
    (tmp_path / ".svstorageignore").mkdir()
    with pytest.raises(UsageError, match="nothing was carried"):
        Ignore.of_folder(tmp_path)


names = st.text(
    st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=90
).filter(lambda name: name not in (".", "..") and " (conflict " not in name)


@given(folder=st.sampled_from(["", "a/", "a b/ü/"]), name=names, number=st.integers(1, 99))
def test_a_kept_version_tells_its_original(folder: str, name: str, number: int) -> None:
    key = f"{folder}{name}"
    made = conflict_name(key, number, host="host/(x)")
    assert len(made.rpartition("/")[2].encode()) <= 255
    found = conflict_of(made)
    assert found is not None
    assert found.host == "host--x-"
    assert found.original.startswith(folder)
    if len(name.encode()) < 150:
        assert found.original == key
    assert conflict_of(key) is None


def test_long_names_are_cut_between_characters() -> None:
    made = conflict_name("ü" * 127 + ".ipynb", host="h")
    assert made.endswith(".ipynb")
    assert len(made.encode()) <= 255
    assert conflict_of(made).original.lstrip("ü") == ".ipynb"


digests = st.text("0123456789abcdef", min_size=32, max_size=32)


@given(st.lists(digests, min_size=1, max_size=80, unique=True))
def test_a_lineage_remembers_what_it_came_from(history: list[str]) -> None:
    entry = lineage.extended({}, None)
    assert not lineage.descends(entry, history[0])
    for digest in history:
        entry = lineage.extended(entry, digest)
    assert all(lineage.descends(entry, digest) for digest in history[-64:])
    assert len(history) <= 64 or not lineage.descends(entry, history[0])
    assert len(entry[lineage.NAME]) < 900
    assert lineage.descends({}, history[0]), "who says nothing is believed"


def test_the_manifest_changes_all_or_nothing(tmp_path: Path) -> None:
    row = Base("a/ü", "l", True, 1, "d", "r")
    with Manifest(tmp_path / "m.sqlite") as manifest:
        manifest.bind("here")
        manifest.change([row], stage=[Staged("s", "a/ü", "d")])
        with pytest.raises(AttributeError):
            manifest.change([Base("b", "l", True, 1, "d", "r"), None])  # type: ignore[list-item]
        assert list(manifest.rows()) == [row]
    with Manifest(tmp_path / "m.sqlite") as manifest:
        manifest.bind("here")
        assert list(manifest.rows()) == [row]
        assert manifest.staged() == [Staged("s", "a/ü", "d")]
        manifest.bind("elsewhere")
        assert list(manifest.rows()) == []
        assert len(manifest.staged()) == 1, "a version that is nowhere else is still seen to"


def test_rows_come_in_byte_order(tmp_path: Path) -> None:
    keys = ["a", "a-b", "a/b", "b", "\udcff", "ü", "😀", *(f"n{n:05}" for n in range(2500))]
    with Manifest(tmp_path / "m.sqlite") as manifest:
        manifest.change(Base(key, "l", True, 1, "d", "r") for key in keys)
        found = [row.key for row in manifest.rows()]
    assert found == sorted(keys, key=lambda key: key.encode("utf-8", "surrogateescape"))


def test_a_status_of_a_server_that_died(tmp_path: Path) -> None:
    assert read_status(tmp_path).state == "never"
    status = Status(state="in step", watching=True)
    status.write(status_path(tmp_path))
    assert read_status(tmp_path).watching
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, text=True)  # fmt: skip
    text = status_path(tmp_path).read_text()
    status_path(tmp_path).write_text(text.replace(f'"pid": {os.getpid()}', f'"pid": {done.stdout}'))
    assert read_status(tmp_path).state == "stopped"
    status_path(tmp_path).write_text("{half")
    assert read_status(tmp_path).state == "never"


def test_without_the_extra_a_server_starts_without_a_complaint() -> None:
    code = """
import importlib.util, sys
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "pathspec" else real(name, *a)
import svstorage.jupyter as module
(point,) = module._jupyter_server_extension_points()
assert point == {"module": "svstorage.jupyter"}, point
assert "svstorage.jupyter.server" not in sys.modules
import logging, types
module._load_jupyter_server_extension(types.SimpleNamespace(log=logging.getLogger()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_wheel_brings_what_jupyter_looks_for() -> None:
    """Also true of the editable install that the tests run in."""
    prefix = Path(sys.prefix)
    config = prefix / "etc/jupyter/jupyter_server_config.d/svstorage.json"
    item = prefix / "share/jupyter/labextensions/svstorage-status"
    source = Path(__file__).parents[2] / "src/svstorage/jupyter/share"
    assert config.read_bytes() == (source / "svstorage.json").read_bytes()
    for name in ("package.json", "static/remoteEntry.js"):
        assert (item / name).read_bytes() == (source / "labextension" / name).read_bytes()
