"""Start-up is light: help and plain import load none of the heavy libraries."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "s3fs", "adlfs", "azure", "botocore", "aiobotocore", "urllib3", "fsspec", "obstore", "aiohttp",
    "rich", "yaml", "asyncio",
)  # fmt: skip
FORBIDDEN = ("s3fs", "adlfs", "azure", "botocore", "urllib3", "fsspec")

_PROGRAM = """
import sys
sys.argv = ["svstorage", *{words!r}]
try:
    {run}
except SystemExit as end:
    assert end.code == 0, end.code
loaded = sorted({{name.partition(".")[0] for name in sys.modules}} & set({names!r}))
print("LOADED", *loaded, file=sys.stderr)
"""


def _loaded(run: str, *words: str, names: tuple[str, ...] = HEAVY) -> list[str]:
    program = _PROGRAM.format(words=words, run=run, names=names)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr.rpartition("LOADED")[2].split()


def test_plain_import() -> None:
    assert _loaded("import svstorage; svstorage.StorageError; svstorage.__version__") == []


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["cp", "--help"], ["migrate", "--help"], ["completion", "bash"],
     ["config", "--help"]],
    ids=" ".join,
)  # fmt: skip
def test_help(words: list[str]) -> None:
    assert _loaded("from svstorage.cli import main; main()", *words) == []


@pytest.mark.parametrize("words", [["config", "show"], ["plugins"], ["config", "init", "minio"]])
def test_what_asks_no_storage(words: list[str]) -> None:
    run = "from svstorage.cli import main; main()"
    assert _loaded(run, *words, names=FORBIDDEN) == []


def test_the_vendors_libraries_stay_out_of_a_local_copy(tmp_path) -> None:
    (tmp_path / "x").write_text("1")
    run = "from svstorage.cli import main; main()"
    names = ("s3fs", "adlfs", "azure", "botocore", "aiobotocore")
    assert _loaded(run, "cp", str(tmp_path / "x"), str(tmp_path / "y"), names=names) == []


def test_short_help_is_said_alike_in_both_places() -> None:
    from svstorage.cli.app import SECTIONS, _available, _load

    for names in SECTIONS.values():
        for name, text in names.items():
            if name in _available():
                command = _load(name)
                assert command is not None
                assert command.get_short_help_str(limit=200) == text, name
