"""The files of a new plugin, as ``svstorage plugins new`` writes them."""

from __future__ import annotations

from string import Template

_PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "svstorage-$name"
version = "0.1.0"
description = "$title as a storage of svstorage: STORAGE_PROVIDER=$name"
readme = "README.md"
requires-python = ">=3.10"
dependencies = ["svstorage>=$version"]

[project.optional-dependencies]
test = ["pytest"]

# This makes it a plugin: svstorage loads every module that is named in this group.
[project.entry-points.svstorage]
$name = "$package"

[tool.hatch.build.targets.wheel]
packages = ["src/$package"]

[tool.pytest.ini_options]
testpaths = ["tests"]
"""

_README = """\
# svstorage-$name

$title as a storage of svstorage.

```sh
pip install svstorage-$name
cat > .env <<END
STORAGE_PROVIDER=$name
$variable=/srv/$name
END
svstorage mb sv://books
svstorage cp -r ./folder sv://books/
```

| variable | meaning |
|---|---|
| `$variable` | folder that holds the buckets |

## Development

```sh
pip install -e '.[test]'
pytest
```
"""

_MODULE = '''\
"""$title as a storage of svstorage: ``STORAGE_PROVIDER=$name``.

svstorage loads this module at every start: import what is heavy where it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from svstorage import Settings, hookimpl
from svstorage.providers import BaseProvider
from svstorage.settings import Variable

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

FOLDER = "$variable"


class ${camel}Provider(BaseProvider):
    """What ``STORAGE_PROVIDER=$name`` selects."""

    name = "$name"
    summary = "$title"
    # The settings that only this provider has, and the common ones (by name) that it reads.
    variables = (Variable(FOLDER, "folder that holds the buckets"),)

    def parse_config(self, settings: Settings) -> Any:
        """Check the settings before anything is done. The default keeps them as they are."""
        settings.required_text(FOLDER)
        return super().parse_config(settings)

    def filesystem(self, config: Any, credentials: Any) -> AbstractFileSystem:
        """Put your own fsspec filesystem here; its paths have the form ``bucket/key``."""
        from fsspec.implementations.dirfs import DirFileSystem
        from fsspec.implementations.local import LocalFileSystem

        folder = str(config.settings.path(FOLDER))
        return DirFileSystem(folder, LocalFileSystem(), skip_instance_cache=True)


@hookimpl
def svstorage_register_providers(registry: Any) -> None:
    """Called by svstorage when it starts."""
    registry.add_provider(${camel}Provider())
'''

_TEST = '''\
"""What every provider of svstorage must pass."""

import pytest
import svstorage
from svstorage.testing import ProviderContract, Subject


class Test$camel(ProviderContract):
    @pytest.fixture
    def subject(self, tmp_path):
        def connect():
            return svstorage.connect(provider="$name", ${keyword}=str(tmp_path)).store

        store = connect()
        store.create_bucket("contract")
        return Subject(store, "contract", reconnect=connect, page=20)
'''

_IGNORE = """\
__pycache__/
*.egg-info/
dist/
.pytest_cache/
.venv/
"""

_FILES = {
    "pyproject.toml": _PYPROJECT,
    "README.md": _README,
    ".gitignore": _IGNORE,
    "src/$package/__init__.py": _MODULE,
    "src/$package/py.typed": "",
    "tests/test_contract.py": _TEST,
}


def files(name: str, version: str) -> dict[str, str]:
    """Path below the plugin's folder and text of every file, for a provider called ``name``.

    ``version`` is the oldest svstorage that it is to work with.
    """
    words = name.split("-")
    joined = "_".join(words)
    values = {
        "name": name,
        "version": version,
        "title": " ".join(words).capitalize(),
        "camel": "".join(word.capitalize() for word in words),
        "package": f"svstorage_{joined}",
        "keyword": f"{joined}_folder",
        "variable": f"STORAGE_{joined.upper()}_FOLDER",
    }
    return {
        Template(path).substitute(values): Template(text).substitute(values)
        for path, text in _FILES.items()
    }
