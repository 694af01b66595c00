"""The tutorial, followed word for word: its commands in two terminals, its clicks in a browser."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.process import clean_environment

from .browser import Browser
from .test_keeper import wait_until

PAGE = Path(__file__).parents[2] / "docs/tutorials/jupyter.md"
_BLOCK = re.compile(r'^```bash title="(?P<terminal>[^"]+)"\n(?P<code>.*?)^```$', re.M | re.S)
TOKEN = "tour"
PICTURES = os.environ.get("SVSTORAGE_TEST_PICTURES")
"""The full path of docs/assets, to take the tutorial's pictures anew."""

READER = os.environ.get("SVSTORAGE_TEST_READER")
"""The folder that the pictures are to name."""


class Terminal:
    """A shell that stays; what is written to it is run as if typed."""

    def __init__(self, folder: Path, environment: dict[str, str], log: Path) -> None:
        self.log = log
        self._out = open(log, "wb")  # noqa: SIM115 - closed at the end
        self._shell = subprocess.Popen(
            ["bash"], stdin=subprocess.PIPE, stdout=self._out, stderr=subprocess.STDOUT,
            cwd=folder, env=environment, start_new_session=True,
        )  # fmt: skip
        self._count = 0

    def run(self, code: str, *, seconds: float | None = 60) -> str:
        """Type ``code``; what it said. ``seconds`` None: do not wait, a server stays."""
        assert self._shell.stdin is not None
        self._count += 1
        mark = f"end of block {self._count}"
        before = self.log.stat().st_size
        self._shell.stdin.write(f"{code}echo {mark} $?\n".encode())
        self._shell.stdin.flush()
        if seconds is None:
            return ""
        wait_until(lambda: mark in self.text(before), seconds)
        text = self.text(before)
        assert f"{mark} 0" in text, text
        return text

    def text(self, start: int = 0) -> str:
        return self.log.read_bytes()[start:].decode()

    def close(self) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        try:
            self._shell.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self._shell.pid, 9)
        self._out.close()


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[dict[str, Terminal]]:
    """What a reader has: an empty folder, a browser that opens by itself, a user who is no root."""
    home, folder = tmp_path / "home", reader(tmp_path)
    config = home / ".jupyter"
    (config / "labconfig").mkdir(parents=True)
    folder.mkdir(exist_ok=True)
    (config / "jupyter_server_config.py").write_text(
        "c.ServerApp.allow_root = True\nc.ServerApp.open_browser = False\n"
        f"c.ServerApp.ip = '127.0.0.1'\nc.IdentityProvider.token = '{TOKEN}'\n"
        "c.SvStorageExtension.poll_seconds = 1\n"
    )
    (config / "labconfig/page_config.json").write_text(
        '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}'
    )
    environment = clean_environment(home, HOME=str(home), JUPYTER_CONFIG_DIR=str(config))
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
    found = {
        name: Terminal(folder, environment, tmp_path / f"{name}.log")
        for name in ("first terminal", "second terminal")
    }
    yield found
    for terminal in found.values():
        terminal.close()


def reader(tmp_path: Path) -> Path:
    """Where the reader begins; the folder that a picture shows may be named."""
    return Path(READER or tmp_path / "reader")


def picture(browser: Browser, name: str) -> None:
    if PICTURES:
        browser.page("screenshot", {"path": str(Path(PICTURES) / name)})


def up(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=5):
            return True
    except OSError:
        return False


def taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_tutorial(terminals: dict[str, Terminal], tmp_path: Path) -> None:
    blocks = [(m["terminal"], m["code"]) for m in _BLOCK.finditer(PAGE.read_text())]
    assert len(blocks) == 7
    if taken(8801) or taken(8802):
        pytest.skip("the tutorial's ports are taken")
    steps = iter(blocks)
    storage = reader(tmp_path) / "tour/data/storage/acme-private/jupyter/anna"

    def follow(seconds: float | None = 60) -> str:
        name, code = next(steps)
        return terminals[name].run(code, seconds=seconds)

    follow()
    follow(None)
    wait_until(lambda: up(8801), 60)
    item = ".svstorage-status button"
    with Browser(tmp_path / "browser") as browser:
        browser.page("goto", f"http://127.0.0.1:8801/lab?token={TOKEN}")
        assert "Storage: in step" in browser.see(item, 60)
        browser.on('.jp-LauncherCard[data-category="Notebook"] >> text="Python 3 (ipykernel)"',
                   "click")  # fmt: skip
        browser.see(".jp-Notebook .cm-content")
        browser.on(".jp-Notebook .cm-content", "click")
        browser.see('.jp-Toolbar-kernelStatus[title*="Idle"], [data-status="idle"]', 60)
        browser.keys("type", "6 * 7")
        browser.keys("press", "Shift+Enter")
        assert browser.see(".jp-OutputArea-output", 60).strip() == "42"
        browser.keys("press", "Control+s")
        browser.on(".jp-Dialog input.jp-mod-styled", "fill", "answer.ipynb")
        browser.on('.jp-Dialog button:has-text("Rename and Save")', "click")
        wait_until((storage / "answer.ipynb").exists)
        wait_until(lambda: "42" in (storage / "answer.ipynb").read_text())
        wait_until(lambda: "in step" in browser.see(item))
        picture(browser, "jupyter-in-step.png")
        assert "jupyter/anna/answer.ipynb" in follow()
        follow()
        wait_until(lambda: not taken(8801))

        follow(None)
        wait_until(lambda: up(8802), 60)
        browser.page("goto", f"http://127.0.0.1:8802/lab?token={TOKEN}&reset")
        browser.on('.jp-DirListing-item:has-text("answer.ipynb")', "dblclick")
        assert browser.see(".jp-OutputArea-output", 60).strip() == "42"

        browser.on('.jp-Notebook .cm-content:has-text("6 * 7")', "click")
        browser.keys("press", "End")
        browser.keys("type", "0")
        browser.keys("press", "Control+s")
        wait_until(lambda: "6 * 70" in (storage / "answer.ipynb").read_text())
        said = follow()
        assert re.search(r"conflict: answer \(conflict .*\)\.ipynb: both versions were kept", said)
        wait_until(lambda: "Storage: conflict (1)" in browser.see(item))
        browser.on(item, "click")
        assert "answer (conflict " in browser.see(".svstorage-details")
        time.sleep(0.5)  # the dialog fades in
        picture(browser, "jupyter-conflict.png")
        assert browser.errors() == []
    second = reader(tmp_path) / "tour/container-2"
    (copy,) = second.glob("answer (conflict *).ipynb")
    assert "6 * 9" in copy.read_text()
    assert "6 * 70" in (second / "answer.ipynb").read_text()
    follow()
    wait_until(lambda: not taken(8802))
    time.sleep(0.5)
    assert not (reader(tmp_path) / "tour").exists()
    assert next(steps, None) is None
