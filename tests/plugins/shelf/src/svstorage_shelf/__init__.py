"""A plugin with one of each: provider, config parser, credential resolver, copy strategy."""

from __future__ import annotations

from dataclasses import dataclass, field

from svstorage import Secret, hookimpl
from svstorage.providers import BaseProvider
from svstorage.settings import Variable


@dataclass(frozen=True)
class ShelfConfig:
    root: str
    label: str
    endpoint_is_vendors: bool = False

    @property
    def location(self) -> str:
        return f"{self.root} ({self.label})"


class ShelfProvider(BaseProvider):
    name = "shelf"
    other_names = ("bookshelf",)
    summary = "folders on a shelf"
    schemes = ("shelf",)
    variables = (Variable("STORAGE_SHELF_LABEL", "which shelf", "top"), "STORAGE_SECRET_KEY")

    def parse_config(self, settings):
        label = settings.text("STORAGE_SHELF_LABEL", "top")
        if "/" in label:
            raise settings.error("STORAGE_SHELF_LABEL", "it has a slash", "Write a plain name")
        return ShelfConfig(str(settings.data_path / "shelf"), label)

    def filesystem(self, config, credentials):
        from pathlib import Path

        from fsspec.implementations.dirfs import DirFileSystem
        from fsspec.implementations.local import LocalFileSystem

        if credentials is None or credentials.get().word.reveal() != "open sesame":
            raise PermissionError("the shelf stays shut")
        Path(config.root).mkdir(parents=True, exist_ok=True)
        return DirFileSystem(config.root, LocalFileSystem(), skip_instance_cache=True)


@dataclass(frozen=True)
class Word:
    word: Secret
    expires_at: None = None


@dataclass
class WordSource:
    name: str
    word: Secret = field(repr=False)

    def get(self):
        return Word(self.word)

    def expired(self, used):
        raise AssertionError("a word does not expire")


class WordResolver:
    name = "word"
    providers = ("shelf",)
    order = 10
    ambient = False
    summary = "the word that opens the shelf"

    def resolve(self, config, settings):
        word = settings.secret("STORAGE_SECRET_KEY") or Secret("open sesame")
        return WordSource(self.name, word)


class ByHandStrategy:
    """Carries what goes on a shelf, cheaper than the built-in ones say they are."""

    name = "by-hand"
    summary = "one at a time, by hand"

    def can_carry(self, job):
        there = job.pair.destination.store
        if not there.identity.startswith("shelf ") or job.entry.is_folder_marker:
            return None
        return 0.1

    def carry(self, job, context):
        from svstorage.strategies.base import Confirmed

        source, destination = job.pair.source, job.pair.destination
        with source.store.read(source.bucket, job.entry.key, if_match=job.entry.etag) as reader:
            data = reader.read(-1)
        context.progress(len(data))
        stored = destination.store.put(
            destination.bucket, job.destination_key, data, size=len(data)
        )
        return Confirmed(stored, source=job.entry, bytes_sent=len(data))


@hookimpl
def svstorage_register_providers(registry):
    registry.add_provider(ShelfProvider())


@hookimpl
def svstorage_register_credential_resolvers(registry):
    registry.add_resolver(WordResolver())


@hookimpl
def svstorage_register_copy_strategies(registry):
    registry.add_strategy(ByHandStrategy())


@hookimpl
def svstorage_register_commands(cli):
    import click

    @cli.command("dust")
    def dust():
        """Dust the shelf."""
        click.echo("dusted")
