"""Pictures of the terminal: real commands in a real pseudo-terminal, drawn as SVG by rich.

``./dev pictures`` runs this and writes ``docs/assets/terminal/*.svg``, each for a dark and a light
page, and the HTML report of a migration as chromium shows it. It needs what the tests need (rclone
plays S3). Run it again when the commands say something else than the pictures show, and look at
them before you commit them.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, SVG_EXPORT_THEME, TerminalTheme
from rich.text import Text

ASSETS = Path(__file__).parents[1] / "assets" / "terminal"
HOME = "/srv/acme"
"""What the pictures show in place of the folder in which they were made."""

_STEP = re.compile(r"\n|\r|\x1b\[(?P<count>\d*)(?P<what>[A-Za-ln-z])|\x1b\[\?\d+[hl]")
"""What moves the cursor or erases; styles (``m``) are kept as part of the text."""


@dataclass(frozen=True)
class Scene:
    """One picture. ``frame`` shows the last state of a line with that word, as it was before the
    command ended; ``terminal`` False is what a log gets."""

    name: str
    command: str
    columns: int = 80
    frame: str | None = None
    terminal: bool = True
    env: dict[str, str] = field(default_factory=dict)


SCENES = (
    Scene("progress-80", "svstorage cp -r --bwlimit 8M scans private:", frame="left"),
    Scene("progress-140", "svstorage cp -r --bwlimit 8M scans private:", 140, frame="left"),
    Scene("no-colour", "svstorage cp -r --bwlimit 8M scans private:", frame="left",
          env={"NO_COLOR": "1"}),
    Scene("failure", "svstorage cp -r photos public:"),
    Scene("config-check", "svstorage --env-file .env.s3 config check"),
    Scene("config-check-wrong", "svstorage --env-file .env.wrong config check"),
    Scene("migrate", "svstorage migrate --to-env .env.s3"),
    Scene("log", "svstorage cp -r --bwlimit 700K scans private:", terminal=False),
)  # fmt: skip


def main() -> None:
    """Draw every scene, or those named as arguments."""
    ASSETS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="svstorage-") as folder, _servers(folder) as port:
        for scene in SCENES:
            if sys.argv[1:] and scene.name not in sys.argv[1:]:
                continue
            _prepare(Path(folder), port)
            text = _record(scene, folder)
            text = text.replace(folder, HOME).replace(f":{port}", ":9000")
            for mode, theme in (("dark", SVG_EXPORT_THEME), ("light", DEFAULT_TERMINAL_THEME)):
                target = ASSETS / f"{scene.name}-{mode}.svg"
                target.write_text(_svg(f"$ {scene.command}\n{text}", scene, theme))
                print(target)  # noqa: T201 - a script
        if not sys.argv[1:] or "html-report" in sys.argv[1:]:
            _prepare(Path(folder), port)
            print(_html_report(Path(folder), port))  # noqa: T201


def _html_report(folder: Path, port: int) -> Path:
    """The page for a browser, of a migration slow enough to have rates."""
    command = "svstorage migrate --to-env .env.s3 --bwlimit 1M --html-report report.html"
    _record(Scene("html-report", command), str(folder))
    page = folder / "report.html"
    page.write_text(page.read_text().replace(str(folder), HOME).replace(f":{port}", ":9000"))
    target = ASSETS / "html-report.png"
    subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
         "--disable-background-networking", f"--user-data-dir={folder}/browser",
         "--window-size=900,1330", f"--screenshot={target}", page.as_uri()],
        check=True, capture_output=True,
    )  # fmt: skip
    return target


@contextmanager
def _servers(folder: str) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    data = Path(folder, "s3")
    data.mkdir()
    rclone = shutil.which("rclone") or "rclone"
    words = ["serve", "s3", str(data), "--addr", f"127.0.0.1:{port}", "--auth-key", "acme,secret"]
    with open(os.devnull, "w") as nowhere:
        server = subprocess.Popen([rclone, *words], stdout=nowhere, stderr=nowhere)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait()


def _prepare(folder: Path, port: int) -> None:
    """The same beginning for every scene."""
    for name in ("data", "home", "s3/acme-public", "s3/acme-private"):
        shutil.rmtree(folder / name, ignore_errors=True)
    private, public = (folder / "data/storage" / f"acme-{name}" for name in ("private", "public"))
    private.mkdir(parents=True)
    for number in range(40):
        _file(folder / "photos" / f"{number}.jpg", 50_000)
        _file(folder / "scans" / f"{number}.tif", 600_000)
        _file(public / "old" / f"{number}.jpg", 50_000)
        _file(private / "old" / f"{number}.tif", 90_000)
    # A key that photos/7.jpg would have to be a file and a folder for.
    _file(public / "photos/7.jpg/thumbnail.jpg", 1000)
    _env(folder / ".env", STORAGE_PROVIDER="http", DATA_PATH=str(folder / "data"))
    s3 = {
        "STORAGE_PROVIDER": "minio",
        "STORAGE_ENDPOINT": f"http://127.0.0.1:{port}",
        "STORAGE_ACCESS_KEY": "acme",
        "STORAGE_BUCKETS_PREFIX": "acme",
    }
    _env(folder / ".env.s3", **s3, STORAGE_SECRET_KEY="secret")  # noqa: S106 - of this demo
    _env(folder / ".env.wrong", **s3, STORAGE_SECRET_KEY="sceret")  # noqa: S106
    for name in ("acme-public", "acme-private"):
        (folder / "s3" / name).mkdir()


def _file(path: Path, size: int) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))


def _env(path: Path, **values: str) -> None:
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    path.chmod(0o600)


def _record(scene: Scene, folder: str) -> str:
    """What stands on the screen, with its colours."""
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("STORAGE_", "SVSTORAGE_", "AWS_", "AZURE_", "NO_COLOR"))
    }
    env |= {"TERM": "xterm-256color", "HOME": f"{folder}/home", **scene.env}
    argv = [sys.executable, "-m", "svstorage.cli", *scene.command.split()[1:]]
    if not scene.terminal:
        done = subprocess.run(
            argv, cwd=folder, env=env, text=True, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return done.stdout
    stream = _on_terminal(argv, folder, env, scene.columns)
    if scene.frame is not None:
        frames = [part for part in re.split(r"\r|\n", stream) if scene.frame in part]
        return _STEP.sub("", frames[len(frames) * 2 // 3]).rstrip() + "\n"
    return "\n".join(_screen(stream)).rstrip() + "\n"


def _screen(stream: str) -> list[str]:
    """What stands on the screen in the end: as much of a terminal as rich's bar needs."""
    lines, row, at = [""], 0, 0
    for match in [*_STEP.finditer(stream), None]:
        text = stream[at : match.start() if match else None]
        if text:
            lines[row] += text
        if match is None:
            break
        at = match.end()
        if match[0] == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif match["what"] == "A":
            row = max(0, row - int(match["count"] or 1))
        elif match["what"] == "K":
            lines[row] = ""
    return lines


def _on_terminal(argv: list[str], folder: str, env: dict[str, str], columns: int) -> str:
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
            os.chdir(folder)
            os.execve(argv[0], argv, env)  # noqa: S606 - as above
        finally:
            os._exit(127)
    data = b""
    while select.select([terminal], [], [], 120)[0]:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # how Linux tells the end of a terminal
            break
        if not chunk:
            break
        data += chunk
    os.close(terminal)
    os.waitpid(pid, 0)
    return data.decode().replace("\r\n", "\n")


def _svg(text: str, scene: Scene, theme: TerminalTheme) -> str:
    console = Console(
        record=True, width=scene.columns, file=StringIO(), force_terminal=True, color_system="256",
        legacy_windows=False,
    )  # fmt: skip
    console.print(Text.from_ansi(text.rstrip("\n")), soft_wrap=False, highlight=False)
    title = "log of a pipeline" if not scene.terminal else f"{scene.columns} columns"
    svg = console.export_svg(title=title, theme=theme, unique_id=f"t-{scene.name}")
    # rich names a font on another host; a picture of ours loads nothing.
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.S)
    # Its clips cut the descenders of other fonts than the one it names.
    svg = re.sub(r' clip-path="url\([^"]*\)"', "", svg)
    svg = re.sub(r"<clipPath .*?</clipPath>", "", svg, flags=re.S)
    svg = svg.replace("Fira Code, monospace", "ui-monospace, Consolas, Menlo, monospace")
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"


if __name__ == "__main__":
    main()
