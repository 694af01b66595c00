"""What the pages name exists: commands with their options, settings, Python names."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from svstorage.cli.app import cli
from svstorage.plugins import plugins
from svstorage.settings import variables

REPO = Path(__file__).parents[2]
PAGES = [REPO / "README.md", *sorted((REPO / "docs").rglob("*.md"))]
# Read from the process environment alone, so that they are no settings of a storage; and words of
# pages about tests and benchmarks.
_EXAMPLES = {"STORAGE_SHELF_FOLDER"}  # of the plugin that the tutorial writes
_ENVIRONMENT = {"SVSTORAGE_ENV_FILE", "SVSTORAGE_PLUGINS", "SVSTORAGE_DISABLE_PLUGINS",
                "SVSTORAGE_STATE_PATH"}  # fmt: skip


def _id(page: Path) -> str:
    return str(page.relative_to(REPO))


def _commands(text: str) -> Iterator[str]:
    """What is typed: in inline code, after a prompt, and in blocks of a shell."""
    blocks = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```$", re.M | re.S)
    for language, block in blocks.findall(text):
        if language in ("sh", "bash", "console"):
            joined = block.replace("\\\n", " ")
            for line in joined.splitlines():
                for part in re.split(r"&&|\|\||[|;]", line.split(" # ")[0]):
                    words = re.sub(r"^[ $]*(?:[A-Z_]+=\S+ +)*", "", part)
                    if words.startswith("svstorage "):
                        yield words
    yield from re.findall(r"`(svstorage [^`]+)`", blocks.sub("", text))


def _wrong(words: list[str]) -> str | None:
    """What is not known of a command line; None where all of it is."""
    context, command = click.Context(cli, info_name="svstorage"), cli
    for word in words[1:]:
        if isinstance(command, click.Group) and not word.startswith("-"):
            if not re.fullmatch(r"[a-z][a-z-]*", word):
                continue  # the value of an option, or a word in capitals for any command
            found = command.get_command(context, word)
            if found is None:
                return f"there is no command {word}"
            command = found
            continue
        option = word.split("=")[0]
        known = {name for one in command.params for name in one.opts} | {"-h", "--help"}
        letters = [f"-{letter}" for letter in option[1:]] if option[1:2] != "-" else [option]
        if word.startswith("-") and option != "-" and not (option in known or {*letters} <= known):
            return f"{command.name} has no {option}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_commands_and_their_options_exist(page: Path) -> None:
    wrong = {}
    for line in _commands(page.read_text()):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue  # cut in the middle of a quoted text
        words = words[: words.index("--")] if "--" in words else words
        found = _wrong([word for word in words if not word.startswith((">", "<", "2>"))])
        # What follows `jupyter lab` is Jupyter's.
        if found and words[1:3] != ["jupyter", "lab"]:
            wrong[line] = found
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_settings_exist(page: Path) -> None:
    known = {variable.name for variable in variables.known()} | _ENVIRONMENT
    for provider in plugins().registry.providers.values():
        known |= {variable.name for variable in variables.of_provider(provider.name)}
    named = set(re.findall(r"\bSV?STORAGE_[A-Z_]*[A-Z]\b(?![*_])", page.read_text()))
    named |= set(re.findall(r"\bSTORAGE_[A-Z_]*[A-Z]\b(?![*_])", page.read_text()))
    tests_own = {name for name in named if name.startswith(("SVSTORAGE_TEST_", "SVSTORAGE_BENCH"))}
    assert not named - known - tests_own - _EXAMPLES


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_python_names_exist(page: Path) -> None:
    text = re.sub(r"<!--.*?-->", "", page.read_text(), flags=re.S)
    missing = []
    for name in set(re.findall(r"(?<![\w./@-])svstorage(?:\.[A-Za-z_]\w*)+", text)):
        if name.endswith((".jsonl", ".log", ".env", ".toml", ".md")):
            continue
        found: object = importlib.import_module("svstorage")
        path = "svstorage"
        for part in name.split(".")[1:]:
            path += f".{part}"
            found = getattr(found, part, None) or _module(path)
            if found is None:
                missing.append(path)
                break
    assert not missing


def _module(name: str) -> object | None:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


def test_it_would_notice() -> None:
    assert _wrong(["svstorage", "cp", "-r", "--bwlimit", "1M", "a", "b"]) is None
    assert _wrong(["svstorage", "--env-file", ".env.s3", "config", "check"]) is None
    assert _wrong(["svstorage", "cp", "--bandwidth", "1M"]) == "cp has no --bandwidth"
    assert _wrong(["svstorage", "config", "chek"]) == "there is no command chek"
    assert _wrong(["svstorage", "ls", "-lR"]) is None
    assert _wrong(["svstorage", "ls", "-lX"]) == "ls has no -lX"
    text = "```sh\nA=1 svstorage ls | head # svstorage no\n```\n`svstorage du sv://b`"
    assert list(_commands(text)) == ["svstorage ls ", "svstorage du sv://b"]


def test_the_strategies_of_the_explanation_are_those_that_there_are() -> None:
    text = (REPO / "docs/explanation/how-a-copy-works.md").read_text()
    table = text[text.index("| strategy | carries |") :].split("\n\n")[0]
    own = {
        name
        for name in plugins().registry.strategies
        if plugins().registry.owners["strategy", name] == "strategies"
    }
    assert set(re.findall(r"^\| `([a-z-]+)`", table, re.M)) == own
