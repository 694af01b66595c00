"""Plugins that fail in every way: each named in one warning, and the rest works."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugins.conftest import Place, Warned

HEAD = "from svstorage import hookimpl\nfrom svstorage.providers import BaseProvider\n"
PROVIDER = """
class Mine(BaseProvider):
    name = {name!r}
    def filesystem(self, config, credentials):
        from fsspec.implementations.memory import MemoryFileSystem
        return MemoryFileSystem()

@hookimpl
def svstorage_register_providers(registry):
    registry.add_provider({what})
"""


def provider(name: str = "mine", what: str = "Mine()") -> str:
    return HEAD + PROVIDER.format(name=name, what=what)


HOSTILE = {
    "import-error": ("import no_such_module_at_all", "ModuleNotFoundError"),
    "syntax-error": ("def (", "SyntaxError"),
    "exit": ("raise SystemExit('goodbye')", "SystemExit"),
    "raises": ("1 / 0", "ZeroDivisionError"),
    "name-clash": (provider("minio"), "the provider name 'minio' is taken by plugin 'minio'"),
    "other-name-clash": (
        provider().replace("name =", "other_names = ('s3',)\n    name ="),
        "the provider name 's3' is taken by plugin 'minio'",
    ),
    "strategy-clash": (
        HEAD
        + """
class Stream:
    name = "stream"
    def can_carry(self, job): return 0.0
    def carry(self, job, context): raise OSError("stolen")

@hookimpl
def svstorage_register_copy_strategies(registry):
    registry.add_strategy(Stream())
""",
        "the strategy name 'stream' is taken by plugin 'strategies'",
    ),
    "wrong-type": (provider(what="object()"), "object is registered as a provider"),
    "none": (provider(what="None"), "NoneType is registered as a provider"),
    "class-not-instance": (provider(what="Mine"), "register an instance of it"),
    "no-name": (provider(name=""), "it has no name"),
    "hook-raises": (
        provider().replace("registry.add_provider", "raise RuntimeError('boom') #"),
        "svstorage_register_providers failed (RuntimeError: boom)",
    ),
    "wrong-signature": (
        provider().replace("(registry)", "(registry, more)").replace("(registry,", "(registry ,"),
        "PluginValidationError",
    ),
    "misspelt-hook": (
        provider().replace("register_providers", "register_provider"),
        "did you mean svstorage_register_providers?",
    ),
    "no-hooks": ("x = 1", "it registers nothing"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_named_in_one_warning_and_the_rest_works(
    place: Place, tree: Path, tmp_path: Path, case: str
) -> None:
    code, said = HOSTILE[case]
    place.add("hostile-plugin", {"hostile": "hostile_module"}, hostile_module=code)
    # Entry points are taken in the order of their names: one comes after the hostile one.
    place.add("good-plugin", {"z-good": "good_module"}, good_module=provider("good"))
    (tmp_path / "data" / "storage" / "b").mkdir(parents=True)
    program = (
        "import logging, svstorage\n"
        "logging.basicConfig(format='%(levelname)s %(message)s')\n"
        f"s = svstorage.connect(provider='http', data_path={str(tmp_path / 'data')!r})\n"
        f"svstorage.copy({str(tree)!r}, 'sv://b/x/', source=s, destination=s, recursive=True)\n"
        "print(svstorage.connect(provider='good').store)\n"
    )
    done = place.python("-c", program)
    assert done.returncode == 0, done.stderr
    assert "FsspecStore" in done.stdout
    assert (tmp_path / "data" / "storage" / "b" / "x" / "a.txt").read_text() == "one"
    (warning,) = done.stderr.splitlines()
    assert warning.startswith("WARNING plugin 'hostile'")
    assert said in warning


def test_command_line_warns_and_works(place: Place, tree: Path, warned: Warned) -> None:
    place.add("hostile-plugin", {"hostile": "hostile_module"}, hostile_module="1 / 0")
    done = place.svstorage("cp", "-r", str(tree), f"{tree}-copy")
    assert done.returncode == 0, done.stderr
    assert Path(f"{tree}-copy/a.txt").read_text() == "one"
    (warning,) = warned(done)
    assert "'hostile'" in warning


def test_what_it_registered_before_it_failed_stays(place: Place) -> None:
    code = provider("early") + "    raise RuntimeError('late')\n"
    place.add("half-plugin", {"half": "half_module"}, half_module=code)
    done = place.svstorage("ls", "sv://", STORAGE_PROVIDER="early")
    assert done.returncode == 0, done.stderr
    assert "RuntimeError: late" in done.stderr


def test_status_is_told(place: Place) -> None:
    place.add("bad-plugin", {"bad": "bad_module"}, bad_module="1 / 0")
    place.add("odd-plugin", {"odd": "odd_module"}, odd_module="x = 1")
    status = {row["name"]: row["status"] for row in place.rows("plugins") if row["status"]}
    assert status["bad"] == "broken: ZeroDivisionError"
    assert status["odd"] == "active, with warnings"
    assert status["minio"] == "active"


def test_first_example_of_a_plugin_is_short_and_works(place: Place, tree: Path) -> None:
    """The one in the docstring of `BaseProvider`."""
    import inspect
    import textwrap

    from svstorage.providers import BaseProvider

    text = inspect.getdoc(BaseProvider) or ""
    start, end = text.index("    from svstorage import hookimpl"), text.index("``STORAGE_PROVIDER=")
    example = textwrap.dedent(text[start:end])
    assert len([line for line in example.splitlines() if line.strip()]) < 20
    place.add("example", {"example": "example_module"}, example_module=example)
    program = (
        "import svstorage\n"
        "s = svstorage.connect(provider='memory')\n"
        "s.store.create_bucket('b')\n"
        f"print(svstorage.copy({str(tree)!r}, 'sv://b/', source=s, destination=s, recursive=True)"
        ".counters.copied, s.fs.find('b'))\n"
    )
    done = place.python("-c", program)
    assert done.returncode == 0, done.stderr
    assert "b/tree/a.txt" in done.stdout
    assert "2 [" in done.stdout
