"""The steps of a pass that change the folder: pull, keep both, delete."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from svstorage.errors import ObjectChanged, StorageError
from svstorage.jupyter import lineage
from svstorage.jupyter.bench import Bench
from svstorage.jupyter.decide import Side, Verdict, decide
from svstorage.jupyter.folder import Folder
from svstorage.jupyter.looking import Seen
from svstorage.jupyter.manifest import Base, Staged
from svstorage.jupyter.moving import move
from svstorage.jupyter.names import conflict_of
from svstorage.jupyter.versions import digest_of, local_version, remote_version, same_inode
from svstorage.model import Entry
from svstorage.strategies.base import Job, Pair
from svstorage.transfer.compare import read_digest
from svstorage.transfer.work import Outcome

_T = TypeVar("_T")
_BATCH = 200


@dataclass(slots=True)
class _Arrived:
    """The storage's version of a file, whole and checked, in the staging folder."""

    seen: Seen
    name: str
    digest: str
    remote: str


def pull(bench: Bench, items: list[Seen]) -> None:
    """Bring the storage's versions into the folder. What would be lost by it is kept."""
    fine = _without_obstacles(bench, items)
    unseen = _overwritten_unseen(bench, fine)
    keep_both(bench, [one for one in fine if one.key in unseen])
    for batch in _batches(_arrivals(bench, [one for one in fine if one.key not in unseen])):
        _publish(bench, batch)


def keep_both(bench: Bench, items: list[Seen]) -> None:
    """The storage's version gets the name, the folder's a name that tells."""
    for batch in _batches(_arrivals(bench, _without_obstacles(bench, items))):
        _publish_beside(bench, batch)


def compare(bench: Bench, items: list[Seen]) -> None:
    """Both sides are new, of one size, and no digest tells: fetch the storage's and look."""
    for batch in _batches(_arrivals(bench, items)):
        equal: list[_Arrived] = []
        other: list[_Arrived] = []
        for one in batch:
            try:
                same = digest_of(bench.folder.path(one.seen.key)) == one.digest
            except OSError as error:
                bench.failed(one.seen.key, error)
                continue
            (equal if same else other).append(one)
        for one in equal:
            os.unlink(bench.folder.staged(one.name, one.seen.key))
        bench.manifest.change(
            bench.planner.row(one.seen.key, one.seen.file, one.remote, one.digest) for one in equal
        )
        bench.account.in_step += len(equal)
        _publish_beside(bench, other)


def delete(bench: Bench, items: list[Seen]) -> None:
    """Remove files that are gone in the storage and have not changed here."""
    folder, account = bench.folder, bench.account
    for batch in _batches(iter(items)):
        named = [(folder.staged_name(), one) for one in batch]
        bench.manifest.change(stage=[Staged(name, one.key, one.row.digest) for name, one in named])
        gone: list[str] = []
        for name, one in named:
            bench.stop.check()
            try:
                kept = folder.remove(one.key, one.file, name, one.row.digest)
            except (StorageError, OSError) as error:
                bench.failed(one.key, error)
                continue
            gone.append(one.key)
            account.deleted_local += 1
            _note_kept(bench, kept)
        # What is still staged could not be looked at to the end: `recover` does.
        done = [name for name, one in named if not _is_staged(folder, name, one.key)]
        bench.manifest.change(forget=gone, unstage=done)


def recover(bench: Bench) -> None:
    """See to what a pass that was killed left in the staging folder.

    A version that may be nowhere else is kept as a conflict, the rest is removed. What lies in a
    file system that is not mounted waits until it is.
    """
    folder, manifest = bench.folder, bench.manifest
    left = [one for one in manifest.staged() if not folder.is_lost(one.key)]
    for one in left:
        file = folder.staged(one.name, one.key)
        if file.exists() and digest_of(file) not in one.known.split(","):
            _note_kept(bench, [folder.keep(file, one.key)])
    manifest.change(unstage=[one.name for one in left])
    for stage in folder.stages():
        for path in stage.iterdir():
            path.unlink()


def _is_staged(folder: Folder, name: str, key: str) -> bool:
    try:
        return folder.staged(name, key).exists()
    except OSError:
        return False  # not even the staging folder could be made


def _without_obstacles(bench: Bench, items: Iterable[Seen]) -> list[Seen]:
    """Those that can lie in the folder. Of ``a`` and ``a/b``, which a disk cannot both hold, it
    is ``a`` that is fetched."""
    wanted = list(items)
    files = {one.key for one in wanted}
    fine = []
    for one in wanted:
        reason = bench.folder.obstacle(one.key)
        above = next((folder for folder in _above(one.key) if folder in files), None)
        if above is not None:
            reason = f"{above} is a file, so nothing can lie in it"
        if reason is None:
            fine.append(one)
        else:
            bench.account.problems[one.key] = reason
    return fine


def _above(key: str) -> Iterator[str]:
    while key := key.rpartition("/")[0]:
        yield key


def _overwritten_unseen(bench: Bench, items: list[Seen]) -> set[str]:
    """Keys whose version in the storage was made by somebody who had not seen ours."""
    replaced = {one.key: one.base for one in items if one.base is not None and one.local}
    found = set()
    for key, info in bench.heads(replaced).items():
        base = replaced[key]
        if info is None or base is None:
            continue
        metadata = info.attributes.metadata
        descends = lineage.descends(metadata, base.digest)
        if not descends and lineage.CONTENT in metadata:
            held = read_digest(bench.remote_end(), info.entry, bench.stop.check)
            descends = held.value != metadata[lineage.CONTENT]
        verdict = decide(True, Side.SAME, Side.CHANGED, descends=descends)
        if verdict is Verdict.CONFLICT:
            found.add(key)
    return found


def _arrivals(bench: Bench, items: list[Seen]) -> Iterator[_Arrived]:
    """Fetch into the staging folders. Bytes that lie in the folder already are copied there."""
    by_stage: dict[Path, list[Seen]] = {}
    for one in items:
        try:
            by_stage.setdefault(bench.folder.stage_of(one.key), []).append(one)
        except OSError as error:  # a mount that may not be written
            bench.failed(one.key, error)
    for stage, some in by_stage.items():
        yield from _arrivals_in(bench, stage, some)


def _arrivals_in(bench: Bench, folder: Path, items: list[Seen]) -> Iterator[_Arrived]:
    by_name = {bench.folder.staged_name(): one for one in items}
    stage = bench.stage_end(folder)
    remote = Pair(bench.remote_end(), stage)
    here = _same_bytes_here(bench, items)
    local = Pair(bench.local_end(), stage)

    def jobs(names: Iterable[str]) -> Iterator[tuple[str, Job]]:
        for name in names:
            one = by_name[name]
            if one.key in here:
                yield name, Job(local, here[one.key], name)
            else:
                yield name, Job(remote, one.object, name)

    def carried(names: Iterable[str]) -> Iterator[tuple[str, Outcome]]:
        yield from move(jobs(names), retries=bench.options.retries, stop=bench.stop)

    def outcomes() -> Iterator[tuple[str, Outcome]]:
        refused: dict[str, Outcome] = {}
        for name, outcome in carried(by_name):
            if _met_a_full_disk(outcome):
                refused[name] = outcome
            else:
                yield name, outcome
        # A big one may have taken the room for a moment and let go of it.
        fitting = _that_fit(folder, {name: by_name[name] for name in refused})
        yield from ((name, refused[name]) for name in refused if name not in fitting)
        if fitting:
            yield from carried(fitting)

    for name, outcome in outcomes():
        one = by_name[name]
        if outcome.error is not None:
            bench.failed(one.key, outcome.error, name)
            continue
        arrived = _arrived(bench, one, name, outcome, copied=one.key in here)
        if arrived is not None:
            yield arrived
    stage.store.close()  # the names in the staging folder reach the disk


def _met_a_full_disk(outcome: Outcome) -> bool:
    cause = outcome.error.__cause__ if outcome.error is not None else None
    return isinstance(cause, OSError) and cause.errno == errno.ENOSPC


def _that_fit(folder: Path, items: dict[str, Seen]) -> set[str]:
    """Names of those that the disk has room for now, all of them together; the smallest first."""
    disk = os.statvfs(folder)
    left = disk.f_bavail
    fitting = set()
    for name, one in sorted(items.items(), key=lambda item: item[1].object.size):
        left -= one.object.size // disk.f_frsize + 2  # the last block, and one for its name
        if left < 0:
            break
        fitting.add(name)
    return fitting


def _arrived(
    bench: Bench, one: Seen, name: str, outcome: Outcome, *, copied: bool
) -> _Arrived | None:
    digest = bench.digest_told(outcome) or digest_of(bench.folder.staged(name, one.key))
    if not copied:
        return _Arrived(one, name, digest, remote_version(outcome.source))
    told = one.object.checksum
    if told is None or told.value != digest:
        bench.account.again.append(one.key)
        return None
    return _Arrived(one, name, digest, remote_version(one.object))


def _same_bytes_here(bench: Bench, items: list[Seen]) -> dict[str, Entry]:
    """Local files in step that hold the bytes which new objects announce."""
    wanted = {
        (one.remote.size, one.remote.checksum.value)
        for one in items
        if one.local is None
        and one.remote is not None
        and one.remote.size
        and one.remote.checksum is not None
        and one.remote.checksum.algorithm == "md5"
    }
    if not wanted:
        return {}
    rows = {}
    for row in bench.manifest.rows():
        if (row.size, row.digest) in wanted:
            entry = bench.folder.entry(row.key)
            if entry is not None and row.settled and local_version(entry) == row.local:
                rows[row.size, row.digest] = entry
    return {
        one.key: rows[key]
        for one in items
        if one.local is None
        and one.remote is not None
        and one.remote.checksum is not None
        and (key := (one.remote.size, one.remote.checksum.value)) in rows
    }


def _publish(bench: Bench, batch: list[_Arrived]) -> None:
    replacing = [one for one in batch if one.seen.local is not None]
    bench.manifest.change(
        stage=[
            Staged(one.name, one.seen.key, f"{_old_digest(one.seen)},{one.digest}")
            for one in replacing
        ]
    )
    rows = []
    for one in batch:
        expected = one.seen.local
        old = _old_digest(one.seen) or None
        row = _published(bench, one, expected, old)
        if row is not None:
            rows.append(row)
            bench.account.pulled += 1
    _remember(bench, batch, rows)


def _old_digest(seen: Seen) -> str:
    return seen.base.digest if seen.base is not None else ""


def _publish_beside(bench: Bench, batch: list[_Arrived]) -> None:
    folder = bench.folder
    rows = []
    for one in batch:
        key, expected = one.seen.key, one.seen.local
        try:
            if expected is None:
                raise ObjectChanged(f"{key}: it was removed meanwhile")
            digest = digest_of(folder.path(key))
            known = f"{digest},{one.digest}"
            bench.manifest.change(stage=[Staged(one.name, key, known)])
            if not _is_kept(bench, key, expected.size, digest):
                _note_kept(bench, [folder.keep_link(key)])
            now = folder.entry(key)
            if now is None or not same_inode(local_version(now), local_version(expected)):
                raise ObjectChanged(f"{key}: it was changed meanwhile")
        except (StorageError, OSError) as error:
            bench.failed(key, error)
            continue
        row = _published(bench, one, now, digest)
        if row is not None:
            rows.append(row)
    _remember(bench, batch, rows)


def _is_kept(bench: Bench, key: str, size: int, digest: str) -> bool:
    """Whether a pass that was killed has kept this very version already."""
    for path in bench.folder.path(key).parent.iterdir():
        other = str(path.relative_to(bench.folder.root))
        found = conflict_of(other)
        if found is not None and found.original == key:
            entry = bench.folder.entry(other)
            if entry is not None and entry.size == size and digest_of(path) == digest:
                return True
    return False


def _published(
    bench: Bench, one: _Arrived, expected: Entry | None, old_digest: str | None
) -> Base | None:
    folder, key = bench.folder, one.seen.key
    staged = os.lstat(folder.staged(one.name, key))
    try:
        kept = folder.publish(one.name, key, expected, old_digest)
    except (StorageError, OSError) as error:
        bench.failed(key, error)
        return None
    _note_kept(bench, kept)
    entry = folder.entry(key)
    if entry is None or (entry.etag or "").rpartition("-")[2] != f"{staged.st_ino:x}":
        # Somebody has saved already: the row matches nothing, so that the next pass looks.
        return Base(key, "-", False, staged.st_size, one.digest, one.remote)
    return bench.planner.row(key, entry, one.remote, one.digest)


def _remember(bench: Bench, batch: list[_Arrived], rows: list[Base]) -> None:
    bench.folder.sync_folders({row.key for row in rows})
    done = []
    for one in batch:
        file = bench.folder.staged(one.name, one.seen.key)
        # Not published: it is the storage's version. Anything else is left for `recover`.
        if file.exists() and digest_of(file) == one.digest:
            file.unlink()
        if not file.exists():
            done.append(one.name)
    bench.manifest.change(rows, unstage=done)


def _note_kept(bench: Bench, keys: list[str]) -> None:
    bench.account.new_conflicts.extend(keys)
    bench.account.again.extend(keys)
    for key in keys:
        bench.tell(f"both versions were kept: {key}")


def _batches(items: Iterable[_T]) -> Iterator[list[_T]]:
    batch: list[_T] = []
    for item in items:
        batch.append(item)
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
