"""Commands of plugins: a distribution of its own, found by its entry point."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import spawn

GOOD = '''
import click
from svstorage import hookimpl

@click.command("greet", epilog="Examples: svstorage greet")
@click.pass_context
def greet(ctx):
    """Say hello from a plugin."""
    ctx.obj.out.record({"hello": True}) if ctx.obj.json else ctx.obj.out.line("hello")

@click.command("ls")
def clash():
    """Never reached: the name is taken."""

@hookimpl
def svstorage_register_commands(cli):
    cli.add_command(greet)
    cli.add_command(clash)
'''
BROKEN = """
from svstorage import hookimpl

@hookimpl
def svstorage_register_commands(cli):
    raise RuntimeError("this plugin is broken")
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with two installed distributions, as pip leaves them."""
    for name, program in (("goodplugin", GOOD), ("brokenplugin", BROKEN)):
        (tmp_path / f"{name}.py").write_text(program)
        info = tmp_path / f"{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[svstorage]\n{name} = {name}\n")
    return tmp_path


def test_a_plugin_brings_a_command(site: Path) -> None:
    env = {"PYTHONPATH": str(site)}
    assert spawn("greet", env=env).ok().out == "hello\n"
    # The global options work on it as on any other.
    assert spawn("greet", "--json", env=env).ok().json == {"hello": True}
    helped = spawn("--help", env=env).ok()
    assert "From plugins:" in helped.out
    assert "Say hello from a plugin." in helped.out
    assert helped.out.count("Never reached") == 0
    for warning in ("brokenplugin", "the command name 'ls' is taken"):
        assert warning in helped.err
    assert "Traceback" not in helped.err


def test_it_is_listed_with_its_distribution(site: Path) -> None:
    rows = spawn("--json", "plugins", env={"PYTHONPATH": str(site)}).ok().lines
    (row,) = [row for row in rows if row["kind"] == "command"]
    assert (row["name"], row["distribution"], row["version"]) == ("greet", "goodplugin", "1.2")


def test_plugins_are_held_off(site: Path) -> None:
    for name, value in (("SVSTORAGE_DISABLE_PLUGINS", "*"), ("SVSTORAGE_PLUGINS", "")):
        done = spawn("greet", env={"PYTHONPATH": str(site), name: value})
        assert done.code == 2
        assert "there is no command 'greet'" in done.err
        spawn("ls", "--help", env={"PYTHONPATH": str(site), name: value}).ok()


def test_a_broken_plugin_stops_nothing(site: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("1")
    done = spawn("cp", tmp_path / "x", tmp_path / "y", env={"PYTHONPATH": str(site)})
    assert done.code == 0
    assert (tmp_path / "y").read_text() == "1"
