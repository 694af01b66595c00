"""Distributions to be found beside svstorage, and programs of their own that find them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Place:
    """A folder that comes first on ``sys.path``, as another ``site-packages``."""

    path: Path
    env: dict[str, str] = field(default_factory=dict)

    def add(self, distribution: str, entry_points: dict[str, str], **modules: str) -> None:
        """Install a distribution as an installer leaves it: modules and metadata."""
        for name, code in modules.items():
            (self.path / f"{name}.py").write_text(code)
        info = self.path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
        )
        lines = "".join(f"{name} = {value}\n" for name, value in entry_points.items())
        (info / "entry_points.txt").write_text(f"[svstorage]\n{lines}")

    def python(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env={
                "PATH": os.environ["PATH"],
                "HOME": os.environ["HOME"],
                "PYTHONPATH": os.pathsep.join(
                    [str(self.path), *filter(None, [os.environ.get("PYTHONPATH")])]
                ),
                **self.env,
                **env,
            },
        )

    def svstorage(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "svstorage.cli", *arguments, **env)

    def rows(self, *arguments: str, **env: str) -> list[dict[str, Any]]:
        """The results of a command that must succeed."""
        done = self.svstorage("--json", *arguments, **env)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    path = tmp_path / "site"
    path.mkdir()
    return Place(path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A few files to carry about."""
    folder = tmp_path / "tree"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("one")
    (folder / "sub" / "b.bin").write_bytes(bytes(range(256)) * 40_000)
    return folder


Warned = Callable[[subprocess.CompletedProcess[str]], list[str]]


@pytest.fixture
def warned() -> Warned:
    """The warnings that a command has given."""
    return lambda done: [row for row in done.stderr.splitlines() if row.startswith("warning: ")]
