"""What is written is read back the same, by us and by python-dotenv, and safely placed."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import example, given
from hypothesis import strategies as st

from svstorage.errors import SettingsError
from svstorage.settings import envfile, envfile_writer, variables

# Much of what is special to some reader, and any other text beside it.
_SPECIAL = st.text("ab \t\n\r\\'\"#$={}:;`!%\x85\xa0\u2028\ufeff\x0b\x0c\x1cnt0\x00"[:-1])
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.one_of(_SPECIAL, _TEXT), st.one_of(_SPECIAL, _TEXT))
@example("a\\", "b'")
@example("\\'", '\\"')
@example("x #y", "#")
@example("${HOME}", "\\$")
def test_reading_back_gives_the_same(first: str, second: str) -> None:
    text = "".join(
        f"{name}={envfile_writer.quote(value)}\n"
        for name, value in (("A", first), ("B", second), ("END", "1"))
    )
    read = dict(envfile.parse(text.encode(), ".env"))
    assert [read[name].value for name in ("A", "B", "END")] == [first, second, "1"]
    # compose, which replaces $, must read the same.
    assert not any(setting.interpolated_by_compose for setting in read.values())


@given(st.text("ab \n\r\\'\"#={}:;!%"))
def test_python_dotenv_reads_the_same(value: str) -> None:
    text = f"A={envfile_writer.quote(value)}\nB=1\n"
    read = dotenv_values(stream=io.StringIO(text, newline=""), interpolate=False)
    assert read == {"A": value, "B": "1"}


@pytest.mark.parametrize("value", ["a\0b", "\udcff"])
def test_what_no_file_can_hold_is_refused(value: str) -> None:
    with pytest.raises(SettingsError):
        envfile_writer.quote(value)


def test_ordinary_values_stay_readable() -> None:
    for plain in ("https://host:9000/x?a=b", "AKIA+/=", "C:\\data", "eu-central-1"):
        assert envfile_writer.quote(plain) == plain
    assert envfile_writer.quote("a b") == "'a b'"
    assert envfile_writer.quote("it's $5") == "'it\\'s $5'"


@pytest.mark.parametrize("provider", ["http", "minio", "azure", "acme"])
def test_a_rendered_file_is_read_back(provider: str) -> None:
    values = {"STORAGE_SECRET_KEY": "a'b $c#d\\", "STORAGE_REGION": "eu", "ACME_X": "y z"}
    text = envfile_writer.render_env(provider, values)
    read = {name: s.value for name, s in envfile.parse(text.encode(), ".env")}
    assert read == {**values, "STORAGE_PROVIDER": provider}
    assert "instance role" in text or provider != "minio"
    assert ("# STORAGE_SAS_TOKEN=" in text) is (provider == "azure")
    assert ("# DATA_PATH=" in text) is (provider == "http")
    assert "SVSTORAGE_" not in text


def test_every_line_of_a_template_can_be_switched_on() -> None:
    text = envfile_writer.render_env("minio", {})
    on = "\n".join(
        line.removeprefix("# ") + "x" if line.startswith("# STORAGE_") and line[-1] == "=" else line
        for line in text.splitlines()
    )
    read = dict(envfile.parse(on.encode(), ".env"))
    assert {"STORAGE_ACCESS_KEY", "STORAGE_ENDPOINT", "STORAGE_IAM_ROLE"} <= set(read)
    assert all(variables.lookup(name) for name in read)


def test_a_written_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    old = os.umask(0)
    try:
        envfile_writer.write_env(path, "A=1\n")
    finally:
        os.umask(old)
    assert path.read_text() == "A=1\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [".env"]


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("old")
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="there already"):
        envfile_writer.write_env(path, "new")
    assert path.read_text() == "old"
    envfile_writer.write_env(path, "new", overwrite=True)
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [".env"]


def test_a_file_that_appears_at_the_last_moment_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ".env"
    real = os.fsync

    def late(handle: int) -> None:
        path.write_text("theirs")
        real(handle)

    monkeypatch.setattr(os, "fsync", late)
    with pytest.raises(SettingsError, match="there already"):
        envfile_writer.write_env(path, "ours")
    assert path.read_text() == "theirs"
    assert os.listdir(tmp_path) == [".env"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("target_exists", [False, True])
def test_a_link_is_never_written_through(
    tmp_path: Path, overwrite: bool, target_exists: bool
) -> None:
    target = tmp_path / "target"
    if target_exists:
        target.write_text("old")
    link = tmp_path / ".env"
    link.symlink_to(target)
    with pytest.raises(SettingsError, match="symbolic link"):
        envfile_writer.write_env(link, "new", overwrite=overwrite)
    assert target.exists() == target_exists
    assert not target_exists or target.read_text() == "old"


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    with pytest.raises(SettingsError):
        envfile_writer.write_env(tmp_path / ".env", "x", overwrite=True)
    with pytest.raises(SettingsError, match="cannot be written"):
        envfile_writer.write_env(tmp_path / "none" / ".env", "x")
