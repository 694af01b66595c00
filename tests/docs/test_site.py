"""The site builds strictly (a broken link or anchor is an error), and its tables are complete."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="the group docs is not installed")
    folder = tmp_path_factory.mktemp("site")
    # Not with --quiet: what is not told is not counted either.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", folder]
    done = subprocess.run(
        command, cwd=REPO, capture_output=True, text=True, env={**os.environ, "CI": "true"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("href", "src") and value]


def test_every_file_that_a_page_names_is_there(site: Path) -> None:
    # mkdocs looks at links in Markdown only; pictures and links in HTML count as well.
    missing = []
    for page in site.rglob("*.html"):
        if page.name == "404.html":
            continue  # its links are absolute, for whatever address was not found
        parser = _Links()
        parser.feed(page.read_text())
        for link in parser.found:
            path = link.partition("#")[0].partition("?")[0]
            if not path or ":" in path or path.startswith("//"):
                continue
            if not (page.parent / path).exists():
                missing.append(f"{page.relative_to(site)}: {link}")
    assert not missing


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    # Who reads the docs of a storage tool on a closed network sees them whole.
    loaded = re.compile(
        r"<(?:script|img|iframe)[^>]*\bsrc=\"https?://|<link[^>]*stylesheet[^>]*http"
    )
    assert not [page for page in site.rglob("*.html") if loaded.search(page.read_text())]


def test_the_tables_come_from_the_code(site: Path) -> None:
    from svstorage import errors
    from svstorage.cli.app import SECTIONS

    names = [kind for kind, value in vars(errors).items() if isinstance(value, type)]
    said = {path.stem: path.read_text() for path in (site / "reference").glob("*.html")}
    assert not [name for name in names if name not in said["errors"]]
    assert "Connection refused" in said["errors"]
    commands = [name for section in SECTIONS.values() for name in section]
    assert not [name for name in commands if f"svstorage {name}" not in said["cli"]]
    # In a process of its own, for other tests load plugins whose variables are not the site's.
    ours = subprocess.run(
        [
            sys.executable, "-c",
            "from svstorage.plugins import plugins\n"
            "from svstorage.settings import variables\n"
            "plugins()\n"
            "for kind in ('http', 'minio', 'azure'):\n"
            "    for variable in variables.of_provider(kind): print(variable.name)",
        ],
        env={**os.environ, "SVSTORAGE_DISABLE_PLUGINS": "*"},
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert "STORAGE_ENDPOINT" in ours
    assert not [name for name in ours if name not in said["settings"]]
    assert not [stem for stem, page in said.items() if "&lt;!-- svstorage:" in page]


def test_readme_and_changelog_link_to_what_is_there() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", (REPO / name).read_text()):
            assert (REPO / target).exists(), f"{name}: {target}"
