"""The examples and the README do what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import KINDS, Store, run

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()


def _python(script: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / script), *words],
        capture_output=True, text=True, env={**os.environ, **env},
    )  # fmt: skip


def test_the_same_script_on_three_storages(new_store, tmp_path: Path) -> None:
    said = {}
    for kind in KINDS:
        store: Store = new_store(kind, make=False)
        folder = tmp_path / f"run-{kind}"
        folder.mkdir()
        store.env_file.rename(folder / ".env")  # nothing else differs between the runs
        done = subprocess.run(
            [sys.executable, str(ROOT / "examples" / "same_script.py")],
            capture_output=True, text=True, cwd=folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        said[kind] = done.stdout
        for bucket in ("example-public", "example-private"):
            assert store.server.keys(bucket) == {}
            store.server.drop(bucket)
    assert said["disk"] == said["s3"] == said["azure"]
    assert "the same: True" in said["disk"]


def test_the_demo_on_local_disk(tmp_path: Path) -> None:
    for _ in range(2):  # it is safe to run again
        done = _python("demo.py")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "121 objects" in done.stdout
        assert "121 the same" in done.stdout
        assert "0 copied, 121 unchanged" in done.stdout
    made = tmp_path / "demo-data"
    stored = made / "platform/storage/demo-public/shapes"
    for path in (made / "shapes").rglob("*.png"):
        assert (stored / path.relative_to(made / "shapes")).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kind", ["s3", "azure"])
def test_the_demo_on_a_service(new_store, kind: str) -> None:
    store: Store = new_store(kind, make=False)
    done = _python("demo.py", "--env-file", str(store.env_file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(store.server.keys("demo-public")) == 121
    for bucket in ("demo-public", "demo-private"):
        store.server.drop(bucket)


def test_the_demo_stops_where_a_step_fails(tmp_path: Path) -> None:
    env_file = tmp_path / "wrong.env"
    env_file.write_text("STORAGE_PROVIDER=nothing\n")
    done = _python("demo.py", "--env-file", str(env_file))
    assert done.returncode == 2
    assert "The demo stopped" in done.stdout


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_readme_links_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert len(links) > 8
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_readme_commands_exist() -> None:
    from svstorage.cli.app import _load

    words = re.findall(r"^svstorage (\w+)", "\n".join(_blocks("sh")), re.MULTILINE)
    words += re.findall(r"`svstorage (\w+)", README)
    assert len(words) > 6
    assert [word for word in words if _load(word) is None] == []


def test_readme_settings_are_read(tmp_path: Path) -> None:
    files = [block for block in _blocks("sh") if block.startswith("STORAGE_")]
    assert len(files) == 3
    for block in files:
        env_file = tmp_path / "readme.env"
        env_file.write_text(block)
        env_file.chmod(0o600)
        done = run("--env-file", env_file, "config", "show").ok()
        assert done.err == ""


def test_readme_python_runs(disk: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (program,) = _blocks("python")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"1")
    for bucket in ("acme-public", "acme-private"):
        disk("mb", f"sv://{bucket}").ok()
    monkeypatch.setenv("SVSTORAGE_ENV_FILE", str(disk.env_file))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert disk.holds("acme-public") == {"photos/a.jpg": 1}
