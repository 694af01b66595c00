"""Drives the headless browser of `browser.js`."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.servers.process import clean_environment

_MODULES = Path(__file__).parent.parent / "servers/node/node_modules"


class Browser:
    """One page. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        chromium, node = shutil.which("chromium"), shutil.which("node")
        if chromium is None or node is None or not (_MODULES / "playwright-core").exists():
            pytest.skip("chromium or playwright-core is not installed (run tests/setup.sh)")
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [node, str(Path(__file__).with_name("browser.js")), chromium, str(folder / "profile")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=clean_environment(folder, NODE_PATH=str(_MODULES)),
        )
        self._answer()

    def page(self, method: str, *args: Any) -> Any:
        return self._ask(None, method, args)

    def on(self, selector: str, method: str, *args: Any) -> Any:
        return self._ask(selector, method, args)

    def keys(self, method: str, *args: Any) -> Any:
        return self._ask("keyboard", method, args)

    def see(self, selector: str, seconds: float = 60) -> str:
        """Wait for something to be visible; its text."""
        self.on(selector, "waitFor", {"state": "visible", "timeout": seconds * 1000})
        return str(self.on(selector, "innerText"))

    def errors(self) -> list[str]:
        return self._ask(None, "errors", ())

    def _ask(self, on: str | None, method: str, args: tuple[Any, ...]) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"on": on, "method": method, "args": args}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError("the browser has ended")
        answer = json.loads(line)
        if not answer["ok"]:
            raise AssertionError(answer["error"])
        return answer.get("value")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if kind is not None:
            with contextlib.suppress(AssertionError, OSError):
                self.page("screenshot", {"path": str(self.folder / "failed.png")})
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
