"""What an address means once it is opened: a store, a bucket and an exact key."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from svstorage.addresses import Address, Kind, Role, has_glob, parse, storage_url
from svstorage.errors import ConnectionFailed, ObjectNotFound, ServiceError, Throttled, UsageError
from svstorage.links import Link, Links
from svstorage.model import ObjectInfo
from svstorage.plugins import Registry, plugins
from svstorage.providers.base import ObjectStore
from svstorage.storage import Storage, connect

if TYPE_CHECKING:
    from svstorage.transfer.options import Links as LinkPolicy


T = TypeVar("T")


def asked(ask: Callable[[], T]) -> T:
    """The answer of ``ask``, with further tries: a copy must not end on one lost packet."""
    from svstorage.transfer.retry import retrying
    from svstorage.transfer.stop import StopToken

    try:
        return retrying(ask, StopToken())
    except (ServiceError, Throttled) as error:
        # Nothing has begun yet: to whoever waits, the storage cannot be reached.
        raise ConnectionFailed(str(error)) from None


@dataclass(frozen=True, slots=True)
class Place:
    """One address, opened. ``bucket`` is empty for ``sv://`` alone and for plain folders."""

    store: ObjectStore
    bucket: str
    key: str
    text: str
    """The address as it was written."""
    base: str
    """What stands before a key in reports and messages."""
    is_folder_form: bool
    is_glob: bool = False
    is_local_path: bool = False
    """A path in a tree without buckets: of this machine, or of a filesystem such as SFTP."""
    name: str = ""
    """The last component, as a copy into a folder would call it."""

    @property
    def folder(self) -> str:
        """The key as the prefix of everything below it: empty, or ending in ``/``."""
        return self.key if not self.key or self.key.endswith("/") else f"{self.key}/"

    def head(self) -> ObjectInfo | None:
        """The object of exactly this key, or None."""
        if not self.key:
            return None
        try:
            return asked(lambda: self.store.head(self.bucket, self.key))
        except ObjectNotFound:
            return None

    def is_folder(self) -> bool:
        """True where something lies below the key (a bucket counts when it is there)."""
        if not self.key:
            return self.bucket_exists()
        try:
            return asked(self._first_below) is not None
        except ObjectNotFound:
            return False

    def bucket_exists(self) -> bool:
        """True where the bucket is there."""
        return asked(lambda: self.store.bucket_exists(self.bucket))

    def _first_below(self) -> object:
        return next(iter(self.store.list_level(self.bucket, self.folder)), None)

    def overlap_path(self, prefix: str) -> str:
        """A path by which two places can be told to lie in one another."""
        local_path = getattr(self.store, "local_path", None)
        if local_path is not None:
            path: str = os.path.realpath(local_path(self.bucket, prefix.rstrip("/")))
            return f"{path}/"
        return f"{self.store.identity}|{self.bucket}/{prefix}"


@dataclass
class Opener:
    """Opens addresses on one side of a transfer; each storage is connected once.

    ``storage`` is what ``sv://`` means here, connected only if an address asks for it.
    """

    storage: Callable[[], Storage]
    link_policy: LinkPolicy = "follow"
    registry: Registry | None = None
    _linked: dict[str, Storage] = field(default_factory=dict)

    @cached_property
    def _links(self) -> Links:
        registry = self.registry or plugins().registry
        schemes = {name: provider.schemes for name, provider in registry.providers.items()}
        from svstorage.settings import Settings

        # A links file is a setting like the others, also where sv:// itself is not used.
        try:
            settings = self.storage().settings
        except UsageError:
            settings = Settings.load()
        return Links.from_settings(settings, schemes)

    def open(self, address: str | os.PathLike[str], *, role: Role = "address") -> Place:
        """Open an address of any form of contract section 2.

        Raises:
            UsageError: it is malformed, or names a storage that no links file has.
        """
        text = os.fspath(address)
        parsed = parse(text, role=role)
        if parsed.kind is Kind.SHORT:
            parsed = parsed.in_prefix(self.storage().prefix)
        if parsed.kind is Kind.LOCAL:
            return self._local(parsed, text)
        if parsed.kind is Kind.STORAGE and parsed.storage is None:
            return self._in(self.storage().store, parsed, text, storage_url(parsed.bucket))
        link = self._links.find(parsed) if parsed.kind in (Kind.STORAGE, Kind.LINKED) else None
        if link is None:
            return self._fsspec(parsed, text)
        if link.path is not None and parsed.scheme == "fs":
            return self._in_folder(link, parsed, text)
        base = text[: len(text) - len(parsed.key)].rstrip("/")
        return self._in(self._storage_of(link).store, parsed, text, base)

    def _in_folder(self, link: Link, parsed: Address, text: str) -> Place:
        """Below the folder of an entry. Its store is rooted there, so that no symbolic link on
        the way leads out of it (unlike a path, where the user names what is followed)."""
        from svstorage.providers.local.store import LocalStore

        link.local_path(parsed.key)  # refuses what is no path below a folder
        store = LocalStore.for_folder(str(link.path), links=self.link_policy, durability="folder")
        return Place(
            store,
            "",
            parsed.key,
            text,
            base=f"fs://{link.name}/",
            is_folder_form=parsed.is_directory_form,
            is_glob=has_glob(parsed),
            is_local_path=True,
            name=(parsed.key.rstrip("/") or link.name).rpartition("/")[2],
        )

    def _storage_of(self, link: Link) -> Storage:
        if link.name not in self._linked:
            self._linked[link.name] = connect(settings=link.settings, registry=self.registry)
        return self._linked[link.name]

    def _in(self, store: ObjectStore, parsed: Address, text: str, base: str) -> Place:
        return Place(
            store,
            parsed.bucket,
            parsed.key,
            text,
            base=f"{base}/",
            is_folder_form=parsed.is_directory_form,
            is_glob=has_glob(parsed),
            name=(parsed.key.rstrip("/") or parsed.bucket).rpartition("/")[2],
        )

    def _local(self, parsed: Address, text: str) -> Place:
        """A local path: the store's root is the folder itself, or the one that holds the file.

        What the user names is followed where it is a symbolic link; what lies below is subject
        to the policy for links. Folders are written to disk once at the end of a run
        (`LocalStore.flush`), not after each of their files.
        """
        from svstorage.providers.local.store import LocalStore

        path = os.path.abspath(parsed.path)
        name = os.path.basename(path)
        is_folder = os.path.isdir(path)
        if is_folder or (parsed.is_directory_form and not os.path.lexists(path)):
            store = LocalStore.for_folder(path, links=self.link_policy, durability="folder")
            base = path if path.endswith("/") else f"{path}/"
            return Place(store, "", "", text, base, parsed.is_directory_form, False, True, name)
        if os.path.islink(path) and os.path.isfile(path):
            path = os.path.realpath(path)
        folder, key = os.path.split(path)
        glob = has_glob(parsed) and not os.path.lexists(path)
        if glob:
            folder, key = _split_at_glob(path)
        store = LocalStore.for_folder(folder, links=self.link_policy, durability="folder")
        base = folder if folder.endswith("/") else f"{folder}/"
        return Place(store, "", key, text, base, parsed.is_directory_form, glob, True, name)

    def _fsspec(self, parsed: Address, text: str) -> Place:
        """Any other fsspec URL, with that library's own defaults."""
        import fsspec

        from svstorage.providers.fsspec_store import FsspecStore
        from svstorage.providers.fsspec_store.failures import failure

        try:
            # An instance of its own: its listing cache is turned off.
            fs, path = fsspec.core.url_to_fs(text, skip_instance_cache=True)
        except (ValueError, ImportError) as error:
            raise UsageError(f"{parsed}: fsspec cannot open it ({error})") from None
        except Exception as error:  # some connect as soon as they are made
            raise failure(error, "open", str(parsed)) from error
        bucket, _, key = path.partition("/")
        # Object stores, which are asynchronous, have buckets. SFTP, memory, archives and the like
        # are one tree; and a single name that is a file lies in the root.
        lone = bool(path) and not key and not text.endswith("/")
        single_folder = not fs.async_impl or (
            lone and FsspecStore(fs, single_folder=True).has("", path)
        )
        if single_folder:
            bucket, key = "", path.lstrip("/")
        if key and text.endswith("/") and not key.endswith("/"):
            key += "/"
        start = text[: len(text) - len(key)] if key and text.endswith(key) else ""
        return Place(
            FsspecStore(fs, single_folder=single_folder),
            bucket,
            key,
            text,
            base=start or f"{parsed.scheme or fs.protocol}://{bucket}{'/' if bucket else ''}",
            is_folder_form=text.endswith("/") or not key,
            is_glob=any(c in key for c in "*?["),
            is_local_path=single_folder,
            name=(key.rstrip("/") or bucket).rpartition("/")[2],
        )


def _split_at_glob(path: str) -> tuple[str, str]:
    """(the deepest folder without a wildcard, the pattern below it)."""
    parts = path.split("/")
    first = next(i for i, part in enumerate(parts) if any(c in part for c in "*?["))
    return "/".join(parts[:first]) or "/", "/".join(parts[first:])
