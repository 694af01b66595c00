"""Every form of address through the command: links files, fsspec URLs, globs taken literally."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import TREE, Store, read_tree, run


@pytest.fixture
def linked(new_store: Callable[..., Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A local storage whose links file names an S3 and an Azure storage and a folder."""
    disk, s3, azure = (new_store(kind) for kind in ("disk", "s3", "azure"))
    (tmp_path / "shared").mkdir()
    entries = {
        "cars": ("minio", s3), "boats": ("azure", azure),
    }  # fmt: skip
    text = ""
    for name, (provider, store) in entries.items():
        server = store.server.server
        text += (
            f"{name}:\n  provider: {provider}\n  endpoint: {server.endpoint}\n"
            f"  access_key: {server.access_key}\n  secret_key: '{server.secret_key}'\n"
            f"  buckets: [{store.public}]\n"
        )
    text += f"shared:\n  provider: http\n  path: {tmp_path / 'shared'}\n"
    links = tmp_path / "links.yml"
    links.write_text(text)
    links.chmod(0o600)
    disk.write_env(disk.env_file, STORAGE_LINKS_FILE=str(links))
    return disk, s3, azure


def test_links_file(linked: tuple[Store, Store, Store], tree: Path, tmp_path: Path) -> None:
    disk, s3, azure = linked
    disk("cp", "-r", f"{tree}/", f"s3://{s3.public}/in/").ok()
    assert s3.holds() == {f"in/{name}": len(data) for name, data in TREE.items()}
    disk("cp", "-r", f"s3://{s3.public}/in/", f"azure://{azure.public}/in/").ok()
    assert azure.holds() == s3.holds()
    disk("check", f"sv://cars@{s3.public}/in", f"sv://boats@{azure.public}/in").ok()
    assert disk("ls", f"sv://boats@{azure.public}/in").ok().out.split("\n")[:2] == ["-rf", "a.txt"]
    disk("cp", "-r", f"sv://boats@{azure.public}/in/", "fs://shared/out/").ok()
    assert read_tree(tmp_path / "shared/out") == TREE
    disk("cp", "fs://shared/out/a.txt", "public:").ok()
    assert disk.read("a.txt") == TREE["a.txt"]
    outside = disk("ls", "fs://shared/../")
    assert outside.code == 2
    unknown = disk("ls", "sv://planes@x/")
    assert unknown.code == 2
    assert "planes" in unknown.err


def test_other_fsspec_urls(disk: Store, tree: Path, tmp_path: Path) -> None:
    archive = tmp_path / "made.zip"
    import zipfile

    with zipfile.ZipFile(archive, "w") as file:
        for name, data in TREE.items():
            file.writestr(name, data)
    disk("cp", f"zip://a.txt::file://{archive}", "public:").ok()
    assert disk.read("a.txt") == TREE["a.txt"]


def test_a_literal_name_comes_before_a_glob(store: Store, tmp_path: Path) -> None:
    for key in ("x[1].txt", "x1.txt", "x2.txt"):
        store.write(key, key.encode())
    assert store("cat", "public:x[1].txt").ok().out == "x[1].txt"
    assert store("cat", "public:x[12].txt").ok().out == "x1.txtx2.txt"
    store("cp", "public:x[[]1].txt", f"{tmp_path}/down/").ok()
    assert read_tree(tmp_path / "down") == {"x[1].txt": b"x[1].txt"}
    store("rm", "public:x[1].txt").ok()
    assert set(store.holds()) == {"x1.txt", "x2.txt"}


def test_file_urls_and_dots(disk: Store, tree: Path) -> None:
    run("cp", f"file://{tree}/a.txt", "./copied").ok()
    assert Path("copied").read_bytes() == TREE["a.txt"]
    run("ls", ".").ok()
    assert run("cat", "./copied").ok().out == "hello\n"
    assert not Path("sv:").exists()
