"""What people see: a bar on a terminal only, lines elsewhere, nothing that steers the screen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import termios
from pathlib import Path

import pytest

from svstorage.cli.output import Output
from svstorage.cli.progress import LINE_SECONDS, _Bar, _Lines, line
from svstorage.cli.units import human_size, human_time, parse_duration, parse_moment, parse_size
from svstorage.transfer.report import Counters, Progress
from tests.cli.conftest import Store, command, spawn

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def _on_terminal(*words: object, columns: int = 80, **env: str) -> tuple[int, str]:
    """Run the command with a terminal of that width as its three streams."""
    argv = command(*words)
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover - another process
        try:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            os.execve(argv[0], argv, {**os.environ, "TERM": "xterm-256color", **env})
        finally:
            os._exit(127)
    data = b""
    while select.select([terminal], [], [], 60)[0]:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # how Linux tells the end of a terminal
            break
        if not chunk:
            break
        data += chunk
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), data.decode().replace("\r\n", "\n")


@pytest.fixture
def big(tmp_path: Path) -> Path:
    folder = tmp_path / "big"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.bin").write_bytes(os.urandom(300_000))
    return folder


@pytest.mark.parametrize("columns", [80, 140])
def test_a_bar_that_fits_and_goes(disk: Store, big: Path, columns: int) -> None:
    words = ("--env-file", disk.env_file, "cp", "-r", "--bwlimit", "2M", f"{big}/", "public:")
    code, seen = _on_terminal(*words, columns=columns)
    assert code == 0
    assert "copying" in seen
    assert "left" in seen
    frames = [_ESCAPE.sub("", part) for part in re.split(r"\r|\n", seen)]
    assert max(map(len, frames)) <= columns
    assert "8 copied" in frames[-2]


@pytest.mark.parametrize(("columns", "of_all"), [(80, False), (140, True)])
def test_a_bar_of_ten_million_objects_fits(
    monkeypatch: pytest.MonkeyPatch, columns: int, of_all: bool
) -> None:
    from rich.console import Console

    monkeypatch.setenv("COLUMNS", str(columns))
    bar = _Bar(Output())
    many = Counters(listed=10_000_000, copied=1_234_567, failed=99, bytes_listed=20 << 40,
                    bytes_copied=1234 << 30)  # fmt: skip
    bar.update(_progress(counters=many, listing_done=True, rate=987.6 * 2**20, eta=180_000.0))
    console = Console(width=columns)
    with console.capture() as seen:
        console.print(bar.bar.get_renderable())
    (row,) = seen.get().splitlines()
    for words in ("1234666/10000000", "1.2 TiB", "987.6 MiB/s", "2d02h left", "99 failed"):
        assert words in row
    assert ("of 20.0 TiB" in row) == of_all


def test_no_bar_where_none_is_wanted(disk: Store, big: Path) -> None:
    words = ("--env-file", disk.env_file, "cp", "-r", f"{big}/", "public:")
    for more, term in ((["--no-progress"], "xterm"), (["-q"], "xterm"), ([], "dumb")):
        code, seen = _on_terminal(*words, *more, TERM=term)
        assert code == 0
        assert "\x1b" not in seen
        assert "copying" not in seen


def test_no_colour(disk: Store, big: Path) -> None:
    words = ("--env-file", disk.env_file, "cp", "-r", "--bwlimit", "2M", f"{big}/", "public:")
    _, seen = _on_terminal(*words, NO_COLOR="1")
    assert "copying" in seen
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", seen)


def test_without_a_terminal_there_are_no_escapes(disk: Store, big: Path) -> None:
    words = ("--env-file", disk.env_file, "cp", "-r", "--bwlimit", "2M", f"{big}/", "public:")
    done = spawn(*words).ok()
    assert done.out == ""
    assert done.err.splitlines() == [done.err.strip()]
    assert "\x1b" not in done.err
    assert "\r" not in done.err


def test_names_never_reach_the_terminal_raw(disk: Store, tmp_path: Path) -> None:
    evil = "evil\x1b[31m\x07\u202e\nname"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / evil).write_bytes(b"1")
    base = ("--env-file", disk.env_file)
    for words in (
        ["cp", "-r", "-v", f"{tmp_path}/in/", "public:"],
        ["cp", "-r", "-n", f"{tmp_path}/in/", "public:"],
        ["ls", "-l", "public:"],
        ["find", "public:"],
        ["stat", f"public:{evil}"],
        ["cat", f"public:no{evil}"],
        ["rm", "-v", f"public:{evil}"],
    ):
        _, seen = _on_terminal(*base, *words, "--no-progress" if words[0] == "cp" else "--quiet"
                               if words[0] in ("find", "stat") else "-v")  # fmt: skip
        for raw in ("\x1b", "\x07", "\u202e"):
            assert raw not in seen, (words, seen)
        assert "evil\\x1b[31m\\x07\\u202e\\nname" in seen, (words, seen)


def test_check_of_settings_wraps_at_the_width(disk: Store) -> None:
    env_file = disk.write_env(disk.env_file, STORAGE_PROVIDER="nothing-like-this")
    code, seen = _on_terminal("--env-file", env_file, "config", "check")
    assert code == 2
    rows = seen.splitlines()
    start = next(i for i, row in enumerate(rows) if row.startswith("FAILED  provider"))
    assert len(rows[start]) <= 80
    assert rows[start + 1].startswith(" " * 20)


def _progress(**changes: object) -> Progress:
    values: dict = {
        "counters": Counters(listed=10, copied=3, skipped=1, failed=1, bytes_copied=5 << 20),
        "bytes_moving": 1 << 20, "listing_done": False, "seconds": 60.0, "rate": 2.0 * (1 << 20),
        "eta": None, "concurrency": 8, "phase": "copying", **changes,
    }  # fmt: skip
    return Progress(**values)


def test_a_line_every_thirty_seconds() -> None:
    said: list[str] = []
    out, now = Output(), [1000.0]
    with out.through(said.append):
        lines = _Lines(out, clock=lambda: now[0])
        for _ in range(4 * 95):
            now[0] += 0.25
            lines.update(_progress())
    assert LINE_SECONDS == 30
    assert len(said) == 3
    assert said[0] == "copying: 5/10+ objects, 6.0 MiB copied, 2.0 MiB/s, 1 failed"
    assert line(_progress(listing_done=True, eta=75.0)).endswith("2.0 MiB/s, 1m15s left, 1 failed")


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("10", 10), ("10K", 10240), ("10KiB", 10240), ("10KB", 10000), ("1.5G", 3 << 29),
     (" 2 m ", 2 << 20), ("3T", 3 << 40)],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "K", "-1", "1X", "1 2", "0x10", "1e3", "ten", "1iB"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


def test_times() -> None:
    assert parse_duration("1h30m") == 5400
    assert parse_moment("2d", now=1_000_000.0) == 1_000_000 - 172800
    assert parse_moment("1970-01-02T00:00:00Z") == 86400
    for text in ("", "1x", "h", "2026-13-01", "-5m"):
        with pytest.raises(ValueError, match=r"neither a duration|not a date"):
            parse_moment(text)
    assert [human_time(s) for s in (0.04, 12, 185, 7620, 100800)] == [
        "0.0s", "12s", "3m05s", "2h07m", "1d04h",
    ]  # fmt: skip
    assert [human_size(n) for n in (0, 1023, 1024, 1 << 20, 5 << 40)] == [
        "0 B", "1023 B", "1.0 KiB", "1.0 MiB", "5.0 TiB",
    ]  # fmt: skip
