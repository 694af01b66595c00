"""What docker compose reads from a .env file, byte for byte, but for ``$``."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest

from svstorage.errors import SettingsError
from svstorage.settings import Settings, envfile

CANARY = "canary-7f3a9c"


def value(line: str | bytes, name: str = "K") -> str:
    data = line if isinstance(line, bytes) else line.encode()
    return dict(envfile.parse(data, ".env"))[name].value


def error(text: str | bytes) -> SettingsError:
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(SettingsError) as caught:
        dict(envfile.parse(data, ".env"))
    return caught.value


# Expectations are those of compose-go's own tests and of its parser, read by hand.
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("K=bar", "bar"),
        ("K =bar", "bar"),
        ("K= bar", "bar"),
        ("K = bar", "bar"),
        ("  K=bar", "bar"),
        ("\tK=bar", "bar"),
        ("K=", ""),
        ("K=''", ""),
        ('K=""', ""),
        # YAML's way of writing it
        ("K: 1", "1"),
        ("K: Foo=bar", "Foo=bar"),
        ("K:1", "1"),
        ("K : 'a b'", "a b"),
        ("K=1:B", "1:B"),
        ("K: 'a\nb' # c", "a\nb"),
        # export
        ("export K=2", "2"),
        ("export\tK=2", "2"),
        ("  export K='export A'", "export A"),
        # comments
        ("K=bar # this is foo", "bar"),
        ("K=bar #this is foo", "bar"),
        ("K=bar #", "bar"),
        ("K=123#not-a-comment", "123#not-a-comment"),
        ("K=a\t#b", "a\t#b"),
        ("K=#b", "#b"),
        ("K= # b", "# b"),
        ('K="bar#baz"', "bar#baz"),
        ('K="bar#baz"#', "bar#baz"),
        ('K="bar#baz" # comment', "bar#baz"),
        ("K='bar #baz'\t# comment", "bar #baz"),
        # blanks
        ("K=bar ", "bar"),
        ("K=bar\t \v", "bar"),
        ("K=a  b", "a  b"),
        ("K=' a '", " a "),
        ("K=bar\r", "bar"),
        # no quotes: nothing is special
        (r"K=a\tb", r"a\tb"),
        ("K=a'b\"c", "a'b\"c"),
        ("K=a\\", "a\\"),
        ("K=a+b/c==", "a+b/c=="),
        ("K=%41&x=?*[]{}|~!;", "%41&x=?*[]{}|~!;"),
        ("K=zażółć→🙂", "zażółć→🙂"),
        # double quotes
        (r'K="bar\nbaz"', "bar\nbaz"),
        (r'K="Z\aZ\bZ\fZ\nZ\rZ\tZ\vZ\\Z\0123Z"', "Z\aZ\bZ\fZ\nZ\rZ\tZ\vZ\\ZSZ"),
        (r'K="escaped\"bar"', 'escaped"bar'),
        (r'K="\"quoted\""', '"quoted"'),
        ("K=\"'d'\"", "'d'"),
        (r'K="bar\\\n\ b\az"', "bar\\\n\\ b\az"),
        (r'K="bar\\r\ b\az"', "bar\\r\\ b\az"),
        (r'K="bar\nbaz\\"', "bar\nbaz\\"),
        (r'K="\x07"', r"\x07"),
        (r'K="\u12e4"', r"\u12e4"),
        (r'K="\c\'"', r"\c\'"),
        (r'K="\012\08\0400\0128"', r"\012\08\0400\0128"),
        (r'K="\0351"', "é"),
        ('K="first\nsecond\n\nthird"', "first\nsecond\n\nthird"),
        ('K="first\r\nsecond"', "first\r\nsecond"),
        # single quotes
        (r"K='\n'", r"\n"),
        (r"K='Let\'s go!'", "Let's go!"),
        (r"K='a\\b'", r"a\\b"),
        (r"K='a\\'", r"a\\"),
        (r"K='\\\''", r"\\'"),
        ("K='a\nb'", "a\nb"),
        # $ stands for itself, which is where we differ from compose
        ("K=a$b", "a$b"),
        ("K=a${HOME}b", "a${HOME}b"),
        ("K=a$$b", "a$$b"),
        ("K='a${b}c'", "a${b}c"),
        ('K="a${b}c"', "a${b}c"),
        (r'K="a\$b"', "a$b"),
        # others
        ("K.x=1\nK=2", "2"),
        ("# c\n\n \t\n#K=1\nK=2", "2"),
        ("\ufeffK=1", "1"),
        ("A=1\r\nK=2\r\nB=3\r\n", "2"),
        ("A=1\nK=2", "2"),
    ],
)
def test_reads_as_compose(line: str, expected: str) -> None:
    assert value(line) == expected


def test_a_value_ends_where_the_next_line_begins() -> None:
    text = "A='1\\\\'\nB: \"2\"\nC: 3 # '\nexport D=4 # \"\nE=it's\nF='6'"
    read = {name: s.value for name, s in envfile.parse(text.encode(), ".env")}
    assert read == {"A": r"1\\", "B": "2", "C": "3", "D": "4", "E": "it's", "F": "6"}


def test_lines_are_counted_through_values_of_several_lines() -> None:
    text = "\r\n# c\r\nA='1\r\n2\r\n'\r\n\r\n\r\nB: 2\r\nexport C=3\r\n"
    assert {n: s.source.line for n, s in envfile.parse(text.encode(), ".env")} == {
        "A": 3,
        "B": 8,
        "C": 9,
    }


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (f"{CANARY}", "no value"),
        (f"export {CANARY.replace('-', '_')}", "no value"),
        (f"this is {CANARY}", "cannot be read"),
        (f"={CANARY}", "cannot be read"),
        (f"K EY={CANARY}", "cannot be read"),
        (f"K$={CANARY}", "characters"),
        (f"'K'={CANARY}", "characters"),
        (f"K='{CANARY}", "never closed"),
        (f'K="{CANARY}', "never closed"),
        (f"K='{CANARY}\\'", "never closed"),
        (f'K="{CANARY}\\"', "never closed"),
        (f"K='{CANARY}'x", "after the closing quote"),
        (f"K='q'{CANARY}'", "after the closing quote"),
        (f'K="q"{CANARY}"', "after the closing quote"),
        (f'K="{CANARY}" B=1', "after the closing quote"),
        (f"K={CANARY}\rB=1", "carriage return"),
        (f"#{CANARY}\rB=1", "carriage return"),
        (f"K='{CANARY}'\rB=1", "carriage return|after the closing"),
        (f'K="{CANARY}\\0000"', "NUL"),
        (f"K={CANARY}\0", "NUL"),
        (f"OK={CANARY}", "set twice, first on line 1"),
        (f"OK: {CANARY}", "set twice, first on line 1"),
    ],
)
def test_a_bad_line_is_an_error_with_its_number_and_never_its_text(bad: str, words: str) -> None:
    caught = error(f"OK=1\n\n{bad}\nLAST=9\n")
    assert re.search(words, str(caught))
    assert "line 3" in str(caught)
    assert CANARY not in _everything(caught)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"A=1\nK=caf\xe9 " + CANARY.encode(), 2),
        (f"A={CANARY}\n".encode("utf-16"), 1),
        (b"A=1\n\n\nK=\xed\xa0\x80" + CANARY.encode(), 4),
    ],
)
def test_what_is_not_utf8_is_an_error(data: bytes, line: int) -> None:
    caught = error(data)
    assert "UTF-8" in str(caught)
    assert f"line {line}" in str(caught)
    assert CANARY not in _everything(caught)


def _everything(exc: BaseException | None) -> str:
    """All that an error carries along: its text, its arguments, and what it was raised from."""
    text = ""
    while exc is not None:
        text += f"{exc!r} {exc} {exc.args} {vars(exc)} {getattr(exc, 'object', '')}"
        exc = exc.__cause__ or exc.__context__
    return text


# Files that are none


def load_error(path: str | Path) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.load(path, environ={})
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    assert re.search(
        r"^file .*gone\.env: there is no such file\. Correct", load_error(tmp_path / "gone.env")
    )
    with pytest.raises(SettingsError, match=r"SVSTORAGE_ENV_FILE: there is no such file"):
        Settings.load(environ={"SVSTORAGE_ENV_FILE": str(tmp_path / "gone.env")})
    with pytest.raises(SettingsError, match="no such file"):
        Settings.load("a\0b", environ={})
    with pytest.raises(SettingsError, match="empty"):
        Settings.load("", environ={})


def test_folders_fifos_and_devices_are_refused(tmp_path: Path) -> None:
    assert "folder" in load_error(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    found: list[str] = []
    reader = threading.Thread(
        target=lambda: found.append(load_error(tmp_path / "fifo")), daemon=True
    )
    reader.start()
    reader.join(5)
    assert found, "reading a FIFO waits for a writer"
    assert "regular" in found[0]
    assert "regular" in load_error("/dev/zero")


def test_the_null_device_means_no_file() -> None:
    assert list(Settings.load(os.devnull, environ={})) == []


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.env"
    path.write_bytes(b"#" * (envfile.MAX_BYTES + 1))
    assert "larger than 1024 KiB" in load_error(path)
    path.write_bytes(b"#" * envfile.MAX_BYTES)
    Settings.load(path, environ={})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.env"
    path.write_text("")
    path.chmod(0)
    assert "cannot be read" in load_error(path)


# Who may read and write it


def write(path: Path, text: str, mode: int) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_secrets_that_others_may_read_are_warned_of(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "a.env", f"STORAGE_SECRET_KEY={CANARY}\n", mode)
    (warning,) = Settings.load(path, environ={}).warnings
    assert "chmod 600" in warning
    assert "a.env" in warning
    assert CANARY not in warning


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("STORAGE_SECRET_KEY=x\n", 0o600),
        ("STORAGE_SECRET_KEY=\n", 0o666),
        ("STORAGE_REGION=x\n", 0o666),
    ],
)
def test_other_files_are_not(tmp_path: Path, text: str, mode: int) -> None:
    assert Settings.load(write(tmp_path / "a.env", text, mode), environ={}).warnings == ()


@pytest.mark.parametrize("name", ["STORAGE_SECRET_KEY", "STORAGE_SAS_TOKEN", "DB_PASSWORD"])
def test_secrets_that_anyone_may_rewrite_are_refused(tmp_path: Path, name: str) -> None:
    message = load_error(write(tmp_path / "a.env", f"{name}={CANARY}\n", 0o602))
    assert "chmod 600" in message
    assert CANARY not in message


@pytest.mark.parametrize(
    ("written", "warned"),
    [
        ("pa$x", True),
        ('"pa$x"', True),
        ('"pa\\\\$x"', True),
        ("'pa$x'", False),
        ('"pa\\$x"', False),
        ("pax", False),
    ],
)
def test_a_dollar_that_compose_would_replace_is_warned_of(
    tmp_path: Path, written: str, warned: bool
) -> None:
    path = write(tmp_path / "a.env", f"STORAGE_SECRET_KEY={written}\n", 0o600)
    warnings = Settings.load(path, environ={}).warnings
    assert any("single quotes" in warning for warning in warnings) is warned
    assert not any("pa" in warning.replace("replaced", "") for warning in warnings)


def test_a_comment_where_a_value_belongs_is_warned_of(tmp_path: Path) -> None:
    path = write(tmp_path / "a.env", "STORAGE_REGION= # optional\nOTHER= # x\n", 0o600)
    settings = Settings.load(path, environ={})
    assert settings.text("STORAGE_REGION") == "# optional"
    (warning,) = settings.warnings
    assert "STORAGE_REGION begins with #" in warning
