"""The links file: further storages by name, each with its own provider and credentials.

``STORAGE_LINKS_FILE`` names a YAML file with one entry by storage. The fields of an entry are
the settings in lower case, plus ``buckets`` (those reached as ``s3://bucket/object`` and the
like) and, for local folders, ``path`` (reached as ``fs://NAME/path``). Scalars are taken as they
are written: a key of digits or the region ``no`` is text, whatever YAML makes of it.
"""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from svstorage.addresses import Address, Kind, display
from svstorage.errors import SettingsError, UsageError
from svstorage.plugins import plugins
from svstorage.settings import Settings, Source, envfile, variables
from svstorage.settings.source import shown_path

if TYPE_CHECKING:
    import yaml

log = logging.getLogger(__name__)

_warned: set[str] = set()
_NOT_IN_NAMES = frozenset(":/@?#")


@dataclass(frozen=True, slots=True)
class Link:
    """One entry: a storage by name. ``settings`` holds nothing but what the entry says."""

    name: str
    settings: Settings
    schemes: tuple[str, ...]
    buckets: tuple[str, ...] = ()
    path: Path | None = None
    """The folder that ``fs://NAME/`` means, absolute."""

    def local_path(self, key: str) -> str:
        """The file or folder that ``fs://NAME/key`` means, which is always below ``path``.

        Raises `UsageError` for a key that no path below a folder can stand for (empty, ``.`` and
        ``..`` components). Links in the folder are the concern of whoever opens the path.
        """
        if self.path is None:
            raise _no_folder(self.name)
        parts = key.removesuffix("/").split("/") if key else []
        if any(part in ("", ".", "..") for part in parts):
            raise UsageError(
                f"{display(f'fs://{self.name}/{key}')}: a folder has no file of this name. "
                "Leave out empty, . and .. components"
            )
        return f"{os.path.join(self.path, *parts)}{'/' if not key or key.endswith('/') else ''}"


@dataclass(frozen=True, slots=True)
class Links:
    """All entries of a links file; empty where there is none."""

    entries: Mapping[str, Link] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    file: Path | None = None

    @classmethod
    def from_settings(
        cls, settings: Settings, schemes: Mapping[str, tuple[str, ...]] | None = None
    ) -> Links:
        """The links file that ``STORAGE_LINKS_FILE`` names, or no links where it is not set.

        What is doubtful in it is logged, once for each process.
        """
        path = settings.path("STORAGE_LINKS_FILE")
        if path is None:
            return cls()
        links = cls.load(path, schemes)
        for warning in links.warnings:
            if warning not in _warned:  # both sides of a copy read it
                _warned.add(warning)
                log.warning("%s", warning)
        return links

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], schemes: Mapping[str, tuple[str, ...]] | None = None
    ) -> Links:
        """Reads and checks a links file.

        ``schemes`` says which link addresses mean which provider, by the provider's name; None
        takes what the installed providers say. One that it does not name has its own name.

        Raises `SettingsError`, which names file, line and entry, for whatever is wrong with it;
        the text of the file is never part of a message.
        """
        file = Path(os.path.abspath(path))
        data, mode = envfile.read_regular(file, "links file", variable="STORAGE_LINKS_FILE")
        reader = _Reader(str(file), _installed_schemes() if schemes is None else schemes)
        entries = reader.entries(data)
        held = [
            name for link in entries.values() for name in link.settings if variables.is_secret(name)
        ]
        mode_warnings = envfile.check_mode(file, mode, "links file", held)
        return cls(entries, (*mode_warnings, *reader.warnings), file)

    def named(self, name: str) -> Link:
        """The entry of that name, for ``sv://NAME@bucket/key``.

        Raises `UsageError` if there is none, or if it is but a folder, which has no buckets.
        """
        link = self.entries.get(name)
        if link is not None:
            if link.path is not None and "fs" in link.schemes and not _has_buckets(link):
                raise UsageError(
                    f"the storage {display(name)} is a folder without buckets. Write "
                    f"fs://{display(name)}/path, or give its entry a data_path"
                )
            return link
        if self.file is None:
            raise UsageError(
                f"there is no storage {display(name)}: no links file is set. Set "
                "STORAGE_LINKS_FILE to the YAML file that describes it"
            )
        close = difflib.get_close_matches(name, self.entries, 1)
        hint = f"Did you mean {close[0]}?" if close else "Add an entry of that name"
        raise UsageError(
            f"there is no storage {display(name)} in the links file "
            f"{shown_path(str(self.file))}. {hint}"
        )

    def of_bucket(self, scheme: str, bucket: str) -> Link | None:
        """The entry that lists this bucket; for ``fs`` the entry of that name with a path."""
        if scheme == "fs":
            link = self.entries.get(bucket)
            return link if link and "fs" in link.schemes and link.path else None
        for link in self.entries.values():
            if scheme in link.schemes and bucket in link.buckets:
                return link
        return None

    def find(self, address: Address) -> Link | None:
        """The entry that an address means: by name, by bucket, or None for no entry.

        None for an address that the settings' own storage or plain fsspec serves. Raises
        `UsageError` for ``sv://NAME@…`` of an unknown name and for an unknown ``fs://ID``,
        which nothing else could open.
        """
        if address.kind is Kind.STORAGE and address.storage is not None:
            return self.named(address.storage)
        if address.kind is not Kind.LINKED:
            return None
        link = self.of_bucket(address.scheme, address.bucket)
        if link is None and address.scheme == "fs":
            self.named(address.bucket)
            raise _no_folder(address.bucket)
        return link


def _installed_schemes() -> dict[str, tuple[str, ...]]:
    registry = plugins().registry
    return {name: provider.schemes for name, provider in registry.providers.items()}


def _has_buckets(link: Link) -> bool:
    return link.settings.text("DATA_PATH") is not None


def _no_folder(name: str) -> UsageError:
    return UsageError(
        f"the storage {display(name)} is no local folder. "
        "fs:// needs an entry with provider: http and a path"
    )


class _Reader:
    def __init__(self, path: str, schemes: Mapping[str, tuple[str, ...]]) -> None:
        self.path = path
        self.schemes = schemes
        self.warnings: list[str] = []

    def source(self, node: yaml.Node | None) -> Source:
        return Source("links", self.path, None if node is None else node.start_mark.line + 1)

    def error(
        self, problem: str, node: yaml.Node | None, mend: str, variable: str | None = None
    ) -> SettingsError:
        return SettingsError(problem, variable=variable, source=str(self.source(node)), mend=mend)

    def entries(self, data: bytes) -> dict[str, Link]:
        import yaml

        root = self.compose(envfile.decode(data, "links", self.path))
        if root is None or (isinstance(root, yaml.ScalarNode) and root.tag.endswith(":null")):
            return {}
        links: dict[str, Link] = {}
        listed: dict[tuple[str, str], str] = {}
        for key, node in self.pairs(root, None):
            name = key.value
            if not name or _NOT_IN_NAMES.intersection(name):
                raise self.error(
                    "the name of this entry cannot stand in an address",
                    key,
                    "Leave : / @ ? and # out of the name",
                )
            link = self.entry(name, key, node)
            links[name] = link
            for scheme in link.schemes:
                for bucket in link.buckets:
                    other = listed.setdefault((scheme, bucket), name)
                    if other != name:
                        raise self.error(
                            f"the bucket {display(bucket)} is listed by the entries "
                            f"{display(other)} and {display(name)}, both reached as {scheme}://",
                            key,
                            "List it in one of them",
                        )
        return links

    def compose(self, text: str) -> yaml.Node | None:
        import yaml

        line: int | None = None
        problem = "this is no YAML"
        # Composed only, never constructed: no tag of the file can make an object.
        loader: yaml.SafeLoader | None = None
        try:
            loader = yaml.SafeLoader(text)
            node: yaml.Node | None = loader.get_single_node()
            return node
        except yaml.MarkedYAMLError as exc:
            mark = exc.problem_mark or exc.context_mark
            line = None if mark is None else mark.line + 1
        except yaml.reader.ReaderError as exc:
            problem = "there is a character that YAML does not allow"
            line = text.count("\n", 0, exc.position) + 1
        except RecursionError:
            problem = "it is nested too deeply"
        finally:
            if loader is not None:
                loader.dispose()
        # Raised here: the YAML errors quote the file, and a context would carry them along.
        raise SettingsError(
            problem,
            source=str(Source("links", self.path, line)),
            mend="Put values with special characters in quotes, and indent with blanks",
        )

    def pairs(
        self, node: yaml.Node, entry: str | None
    ) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        """Keys and values of a mapping; no key twice, no key that is not plain text."""
        import yaml

        if not isinstance(node, yaml.MappingNode):
            what = "the file" if entry is None else "the entry"
            raise self.error(
                f"{what} is not a mapping of names to values",
                node,
                "Write name: value lines, indented alike",
                entry,
            )
        seen: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self.error("a name must be plain text", key, "Write name: value", entry)
            if key.value in seen:
                raise self.error(
                    f"{display(key.value)} is there twice, first on line {seen[key.value]}",
                    key,
                    "Remove one of the two",
                    entry,
                )
            seen[key.value] = key.start_mark.line + 1
            yield key, value

    def fields(
        self, name: str, node: yaml.Node, inside: tuple[yaml.Node, ...] = ()
    ) -> dict[str, tuple[yaml.ScalarNode, yaml.Node]]:
        """The fields of an entry, with YAML's merge key ``<<`` resolved: own fields win."""
        import yaml

        if node in inside:
            raise self.error("<< leads back to itself", node, "Remove it", name)
        own: dict[str, tuple[yaml.ScalarNode, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.ScalarNode, yaml.Node]] = {}
        for key, value in self.pairs(node, name):
            if not key.tag.endswith(":merge"):
                own[key.value] = (key, value)
                continue
            sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for source in reversed(sources):
                merged.update(self.fields(name, source, (*inside, node)))
        return {**merged, **own}

    def entry(self, name: str, key: yaml.ScalarNode, node: yaml.Node) -> Link:
        values: dict[str, str] = {}
        sources: dict[str, Source] = {}
        buckets: tuple[str, ...] = ()
        for word, (word_node, value_node) in self.fields(name, node).items():
            sources[word] = self.source(word_node)
            if word == "buckets":
                buckets = self.buckets(name, value_node)
                continue
            text = self.scalar(f"{name}.{word}", value_node)
            if text is None:
                continue
            values[word] = text
            if word != "path" and variables.by_keyword(word) is None:
                meant = variables.keyword_like(word, "buckets", "path")
                self.warnings.append(
                    f"{display(name)}.{display(word)} ({sources[word]}) is unknown."
                    + (f" Did you mean {meant}?" if meant else "")
                )
        if not values.get("provider"):
            raise self.error(
                "it is not set", key, "Add provider: minio, azure …", f"{name}.provider"
            )
        settings = Settings.from_mapping(values, sources)
        provider = settings.provider_name
        schemes = self.schemes.get(provider, (provider,))
        path = settings.path("STORAGE_PATH")
        if "fs" in schemes and path is None and settings.path("DATA_PATH") is None:
            raise self.error(
                "it is not set", key, "Add path: /the/folder to this entry", f"{name}.path"
            )
        return Link(name, settings, schemes, buckets, path)

    def buckets(self, name: str, node: yaml.Node) -> tuple[str, ...]:
        import yaml

        variable = f"{name}.buckets"
        if isinstance(node, yaml.ScalarNode) and self.scalar(variable, node) is None:
            return ()
        if not isinstance(node, yaml.SequenceNode):
            raise self.error("it is not a list", node, "Write buckets: [one, two]", variable)
        found: list[str] = []
        for item in node.value:
            bucket = self.scalar(variable, item)
            if not bucket or "/" in bucket:
                raise self.error(
                    "an item is not the name of a bucket", item, "Write bare names", variable
                )
            if bucket in found:
                raise self.error(f"{display(bucket)} is listed twice", item, "Remove one", variable)
            found.append(bucket)
        return tuple(found)

    def scalar(self, variable: str, node: yaml.Node) -> str | None:
        import yaml

        if not isinstance(node, yaml.ScalarNode):
            raise self.error("it is not a single value", node, "Write one value", variable)
        if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.endswith(":binary"):
            raise self.error("tags are not allowed", node, "Write the value alone", variable)
        if node.tag.endswith(":null"):
            return None
        return str(node.value)
