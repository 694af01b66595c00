"""The steps of a pass that change the storage: push, copy there, delete."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

from svstorage.errors import ObjectChanged, StorageError
from svstorage.jupyter import lineage
from svstorage.jupyter.bench import Bench, in_threads, outcome_or_error
from svstorage.jupyter.looking import Seen
from svstorage.jupyter.manifest import Base
from svstorage.jupyter.moving import move
from svstorage.jupyter.plan import same_content
from svstorage.jupyter.versions import (
    digest_of,
    local_version,
    remote_version,
    stored_version,
)
from svstorage.model import Entry, ObjectInfo
from svstorage.providers.deleting import delete_version
from svstorage.strategies.base import Job, Pair
from svstorage.transfer.retry import retrying
from svstorage.transfer.work import Outcome

_BATCH = 100
_BIG = 64 << 20
"""From this size on, a file takes so long that others should not wait for it."""


def push(bench: Bench, items: list[Seen]) -> None:
    """Send the folder's versions. An object that changed since it was looked at is left alone."""
    there = bench.heads(one.key for one in items if one.remote is not None)
    ready = [one for one in items if _is_as_seen(one, there)]
    bench.account.again += [one.key for one in items if not _is_as_seen(one, there)]
    copies = _copies(bench, ready)
    notes = {one.key: _lineage(bench, one, there) for one in ready if one.key not in copies}
    local, remote = bench.local_end(notes), bench.remote_end()

    def jobs(some: list[Seen]) -> Iterator[tuple[str, Job]]:
        for one in some:
            if one.key in copies:
                yield one.key, Job(Pair(remote, remote), copies[one.key], bench.full(one.key))
            else:
                yield one.key, Job(Pair(local, remote), one.file, bench.full(one.key))

    by_key = {one.key: one for one in ready}
    rows: list[Base] = []
    try:
        for key, outcome in _moved(bench, ready, jobs):
            if outcome.error is not None:
                bench.failed(key, outcome.error)
                continue
            row = _row(bench, by_key[key], outcome, copied=key in copies)
            if row is not None:
                rows.append(row)
            if len(rows) >= _BATCH:
                bench.manifest.change(rows)
                rows = []
    finally:
        bench.manifest.change(rows)
    _look_again(bench, [one for one in ready if one.remote is not None])


def _look_again(bench: Bench, replaced: list[Seen]) -> None:
    """Versions that took the place of others are looked at once more.

    Somebody who was about to delete the one before may have deleted ours in its stead. What is
    not there is not taken for deleted, and sent again.
    """
    if not replaced:
        return
    unseen = {row.key: row for row in bench.manifest.rows() if not row.listed}
    heads = bench.heads(one.key for one in replaced if one.key in unseen)
    bench.manifest.change(
        dataclasses.replace(unseen[key], listed=True)
        for key, info in heads.items()
        if info is not None and remote_version(info.entry) == unseen[key].remote
    )


def _moved(
    bench: Bench, items: list[Seen], jobs: Callable[[list[Seen]], Iterator[tuple[str, Job]]]
) -> Iterator[tuple[str, Outcome]]:
    """Carry small files first; big ones one by one, and only while no new save waits for them."""
    small = [one for one in items if one.file.size < _BIG]
    yield from move(jobs(small), retries=bench.options.retries, stop=bench.stop)
    for one in sorted(items, key=lambda one: one.file.size)[len(small) :]:
        if bench.hurry():
            bench.account.again.append(one.key)
        else:
            yield from move(jobs([one]), retries=bench.options.retries, stop=bench.stop)


def delete(bench: Bench, items: list[Seen]) -> None:
    """Delete objects whose files are gone here and that are still the versions that were known."""
    doomed = {one.key: one for one in items}
    store, bucket = bench.target.storage.store, bench.target.bucket

    def remove(key: str) -> None:
        # Looked at in the last moment, since not every service deletes only a given version.
        there = bench.heads([key])
        if not _is_as_seen(doomed[key], there):
            raise ObjectChanged(f"{key}: it was changed meanwhile")
        info = there[key]
        etag = info.entry.etag if info is not None else None
        retrying(lambda: delete_version(store, bucket, bench.full(key), etag), bench.stop)

    gone = []
    for key, error in in_threads(outcome_or_error(remove), doomed):
        if error is None:
            gone.append(key)
        else:
            bench.failed(key, error)
    bench.account.deleted_remote += len(gone)
    bench.manifest.change(forget=gone)


def _is_as_seen(one: Seen, there: dict[str, ObjectInfo | None]) -> bool:
    if one.remote is None:
        return True
    info = there[one.key]
    return info is not None and remote_version(info.entry) == remote_version(one.remote)


def _lineage(bench: Bench, one: Seen, there: dict[str, ObjectInfo | None]) -> dict[str, str]:
    info = there.get(one.key)
    metadata = info.attributes.metadata if info is not None else {}
    content = None
    if bench.target.storage.store.capabilities.is_local:
        with contextlib.suppress(OSError):  # the transfer will say what is wrong with it
            content = digest_of(bench.folder.path(one.key))
    return lineage.extended(metadata, one.base.digest if one.base is not None else None, content)


def _copies(bench: Bench, items: list[Seen]) -> dict[str, Entry]:
    """New files whose bytes the storage holds under another key: key -> that object."""
    store = bench.target.storage.store
    if not store.capabilities.server_side_copy:
        return {}
    same = same_content(bench.plan, items, bench.folder, bench.manifest.rows)
    there = bench.heads({row.key for row in same.values()})
    found = {}
    for key, row in same.items():
        info = there[row.key]
        if info is not None and remote_version(info.entry) == row.remote:
            found[key] = info.entry
    return found


def _row(bench: Bench, one: Seen, outcome: Outcome, *, copied: bool) -> Base | None:
    """What is to be remembered of a file that was sent; None where that cannot be told."""
    account, target, key = bench.account, bench.target, one.key
    etag = outcome.stored.etag if outcome.stored is not None else None
    entry = one.file if copied else outcome.source
    try:
        store = target.storage.store
        remote = stored_version(store, target.bucket, bench.full(key), etag, entry.size)
        digest = None if copied else bench.digest_told(outcome)
        now = bench.folder.entry(key)
        if digest is None:
            digest = digest_of(bench.folder.path(key)) if now is not None else ""
            now = bench.folder.entry(key)
        if now is None or local_version(now) != local_version(entry):
            raise ObjectChanged(f"{key}: it was saved again meanwhile")
    except (StorageError, OSError) as error:
        # It is there; that the memory does not say so costs one more look.
        bench.failed(key, error)
        return None
    if copied:
        account.copied += 1
    else:
        account.pushed += 1
    listed = one.remote is None
    return bench.planner.row(key, entry, remote, digest, listed=listed)
