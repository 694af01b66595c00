"""The completion scripts, tried in the shells that are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import run


@pytest.mark.parametrize(
    ("shell", "sign"),
    [("bash", "complete -o nosort -F"), ("zsh", "#compdef svstorage"), ("fish", "complete --no-")],
)
def test_script(shell: str, sign: str, tmp_path: Path) -> None:
    done = run("completion", shell).ok()
    assert sign in done.out
    assert "_SVSTORAGE_COMPLETE" in done.out
    assert done.err == ""
    program = shutil.which(shell)
    if program is not None:
        script = tmp_path / "script"
        script.write_text(done.out)
        checked = subprocess.run([program, "-n", script], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr


def _complete(words: str, position: int) -> list[str]:
    """What the program answers to the script's question, without a shell."""
    program = "import sys; from svstorage.cli import main; sys.argv = ['svstorage']; main()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "_SVSTORAGE_COMPLETE": "bash_complete", "COMP_WORDS": words,
             "COMP_CWORD": str(position)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_commands_and_options() -> None:
    assert _complete("svstorage mi", 1) == ["migrate"]
    assert "--to-env" in _complete("svstorage migrate --to", 2)
    assert _complete("svstorage cp --verify ", 3) == ["none", "size", "checksum"]
    assert set(_complete("svstorage config ", 2)) == {"show", "check", "init"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_in_bash(tmp_path: Path) -> None:
    script = tmp_path / "completion.bash"
    script.write_text(run("completion", "bash").ok().out)
    beside = Path(sys.executable).parent
    done = subprocess.run(
        ["bash", "--norc", "-c",
         f'. "{script}"; COMP_WORDS=(svstorage che); COMP_CWORD=1; '
         '_svstorage_completion svstorage; echo "${COMPREPLY[@]}"'],
        env={**os.environ, "PATH": f"{beside}:{os.environ['PATH']}"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.split() == ["check"], done.stderr
