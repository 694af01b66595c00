"""The HTML report of a migration: one file, well-formed, harmless whatever the keys are called."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from svstorage.cli.html_report import MOST_SAMPLES, Recorder
from svstorage.transfer.report import Counters, Progress, Result
from tests.cli.conftest import Store
from tests.jupyter.browser import Browser

_VOID = {"meta", "br", "line"}


class Page(HTMLParser):
    """Checks that every tag is closed, and keeps tags and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), name
            assert name not in ("src", "href"), value
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_of_a_migration_with_hostile_names(new_store: Callable[..., Store], tmp_path: Path) -> None:
    one, two = new_store("disk"), new_store("disk", make=False)
    one.write("plain", b"1" * 5000)
    evil = "<script>alert(1)</script>"
    one.write(evil.replace("/", "\u2215"), b"1")
    # The one that fails: a folder lies where the file must go.
    one.write("<img src=x onerror=alert(1)>", b"1")
    (two.server.root / one.public / "<img src=x onerror=alert(1)>" / "x").mkdir(parents=True)
    report = tmp_path / "report.html"
    done = one("migrate", "--to-env", two.env_file, "--html-report", report, "--retries", "0")
    assert done.code == 1
    page = Page(report.read_text())
    text = "".join(page.text)
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert "Migration NOT complete" in text
    assert f"sv://{one.public}/<img src=x onerror=alert(1)>" in text
    assert one.public in text
    assert "2 objects the same afterwards" in text
    assert report.stat().st_mode & 0o777 == 0o600
    (two.server.root / one.public / "<img src=x onerror=alert(1)>" / "x").rmdir()
    (two.server.root / one.public / "<img src=x onerror=alert(1)>").rmdir()
    one("--json", "migrate", "--to-env", two.env_file, "--html-report", report).ok()
    text = "".join(Page(report.read_text()).text)
    assert "Migration complete" in text
    assert "None." in text
    assert not list(tmp_path.glob(".report-*"))


def test_what_cannot_be_written_is_told_before(disk: Store, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "report.html"):
        done = disk("migrate", "--to-env", disk.env_file, "--html-report", path)
        assert done.code == 2
        assert "--html-report" in done.err


def test_the_recorder_does_not_grow() -> None:
    recorder = Recorder()
    progress = Progress(Counters(), 0, False, 1.0, 5.0, None, 1, "copying")
    for number in range(5000):
        recorder.on_progress(progress)
        recorder.on_result(Result("copy", "failed", str(number), "s", "d", error="no"))
        recorder.on_result(Result("copy", "done", str(number), "s", "d", size=number))
    assert len(recorder.samples) <= MOST_SAMPLES
    assert {rate for _, rate in recorder.samples} == {5.0}
    assert (recorder.failed, len(recorder.failures)) == (5000, 1000)
    assert sum(one.objects for one in recorder.sizes) == 5000
    assert sum(one.size for one in recorder.sizes) == sum(range(5000))
    assert [one.objects for one in recorder.sizes][:3] == [1, 1024, 3975]


def test_in_a_browser(new_store: Callable[..., Store], tmp_path: Path) -> None:
    """It fits a phone, is dark where that is wanted, and asks nothing of anybody."""
    one, two = new_store("disk"), new_store("disk", make=False)
    one.write("a-name-without-a-blank-" * 10, b"1")
    (two.server.root / one.public / ("a-name-without-a-blank-" * 10) / "x").mkdir(parents=True)
    for number in range(8):
        one.write(f"{number}.bin", bytes(100_000))
    site = tmp_path / "site"
    site.mkdir()
    words = ("--bwlimit", "1M", "--retries", "0", "--html-report", site / "report.html")
    assert one("migrate", "--to-env", two.env_file, *words).code == 1
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with Browser(tmp_path / "browser") as browser:
            browser.page("goto", f"http://127.0.0.1:{server.server_port}/report.html")
            assert "Migration NOT complete" in browser.see("h1")
            shown = browser.page("evaluate", "document.querySelector('polyline').getBBox().width")
            assert shown > 100
            for width in (1280, 360):
                browser.page("setViewportSize", {"width": width, "height": 800})
                wide = browser.page("evaluate", "document.documentElement.scrollWidth")
                assert wide <= width
            colours = set()
            for scheme in ("light", "dark"):
                browser.page("emulateMedia", {"colorScheme": scheme})
                colours.add(browser.page("evaluate", "getComputedStyle(document.body).color"))
            assert len(colours) == 2
            assert browser.errors() == []
    finally:
        server.shutdown()
        server.server_close()
    assert set(asked) <= {"/report.html", "/favicon.ico"}
