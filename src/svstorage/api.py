"""The public operations: copy, sync, check, migrate.

Each takes addresses (contract section 2), optionally a connected storage for either side, and
gives a `Report`; a failed object is in the report, not raised. What is raised is a request that
cannot be meant (`UsageError`, exit code 2) or a storage that cannot be used at all.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from svstorage.ends import Opener, Place, asked
from svstorage.errors import BucketNotFound, Interrupted, ObjectExists, UsageError
from svstorage.plugins import Registry, plugins
from svstorage.storage import Storage, connect
from svstorage.strategies.base import End, Pair
from svstorage.transfer.checking import Checker, CheckPlanner, ObjectsCheckPlanner
from svstorage.transfer.files_plan import FilesPlanner
from svstorage.transfer.filters import build_filter
from svstorage.transfer.legs import Leg, Tree, copy_legs, source_end, sync_pair
from svstorage.transfer.options import OnExists, TransferOptions
from svstorage.transfer.reopening import referrer
from svstorage.transfer.report import Counters, Progress, Report, Result
from svstorage.transfer.reporter import ReportFile
from svstorage.transfer.run import Hooks, Run, journal_of
from svstorage.transfer.stop import StopToken
from svstorage.transfer.tree_task import Shape

Address = str | os.PathLike[str]
OnProgress = Callable[[Progress], None]
OnResult = Callable[[Result], None]
T = TypeVar("T")

__all__ = ["StopToken", "check", "copy", "migrate", "sync"]


def copy(
    src: Address | Sequence[Address],
    dst: Address,
    *,
    source: Storage | None = None,
    destination: Storage | None = None,
    recursive: bool = False,
    options: TransferOptions | None = None,
    on_progress: OnProgress | None = None,
    on_result: OnResult | None = None,
    stop: StopToken | None = None,
) -> Report:
    """Copy objects and folders, by the directory rules of fsspec.

    Args:
        src: one address or several; globs are spread out.
        dst: where to. A trailing slash says that it is a folder.
        source: the storage that ``sv://`` means in ``src``; None connects by the settings.
        destination: likewise for ``dst``.
        recursive: copy folders with all that is in them.
        options: see `TransferOptions`; existing objects are overwritten unless it says else.
        on_progress: called about four times a second in the calling thread.
        on_result: called with the outcome of each object, in the calling thread.
        stop: another thread may call its ``stop()`` to end the run early.

    Raises:
        UsageError: the request cannot be meant; nothing was touched.
        ObjectNotFound: the only source does not exist (of several: a failure in the report).
        ConnectionFailed, AccessRefused: a storage cannot be used.

    Examples:
        >>> report = copy("data/", "sv://acme-public/data/", recursive=True)  # doctest: +SKIP
        >>> report.ok, report.counters.copied  # doctest: +SKIP
        (True, 120)
    """
    options = options or TransferOptions()
    with _Session(source, destination, options, on_progress, on_result, stop) as session:
        addresses = [src] if isinstance(src, (str, os.PathLike)) else list(src)
        if not addresses:
            raise UsageError("name at least one source")
        places = [session.source.open(one, role="source") for one in addresses]
        place = session.destination.open(dst, role="destination")
        legs = copy_legs(places, place, recursive=recursive)
        session.require_bucket(place)
        session.several = len(legs) > 1
        reports = [session.copy_leg(leg) for leg in session.while_running(legs)]
    return _joined("copy", reports, cut_short=session.cut_short)


def sync(
    src: Address,
    dst: Address,
    *,
    source: Storage | None = None,
    destination: Storage | None = None,
    options: TransferOptions | None = None,
    on_progress: OnProgress | None = None,
    on_result: OnResult | None = None,
    stop: StopToken | None = None,
) -> Report:
    """Make ``dst`` hold what ``src`` holds. Copies what differs; deletes only with
    ``options.delete``, and then only when everything else went well.

    Arguments and errors as for `copy`.
    """
    options = options or TransferOptions()
    with _Session(source, destination, options, on_progress, on_result, stop) as session:
        one = session.source.open(src, role="source")
        two = session.destination.open(dst, role="destination")
        pair = sync_pair(one, two)
        session.require_bucket(two)
        return session.copy_tree("sync", pair, on_exists="changed", keep_journal=True)


def check(
    src: Address,
    dst: Address,
    *,
    source: Storage | None = None,
    destination: Storage | None = None,
    options: TransferOptions | None = None,
    on_progress: OnProgress | None = None,
    on_result: OnResult | None = None,
    stop: StopToken | None = None,
) -> Report:
    """Compare two trees by names, sizes and checksums. ``report.differences`` lists what differs.

    Checksums are compared where both ends offer them; with ``options.read_back``, what is left
    is read. Arguments and errors as for `copy`.
    """
    options = options or TransferOptions()
    with _Session(source, destination, options, on_progress, on_result, stop) as session:
        one = session.source.open(src, role="source")
        two = session.destination.open(dst, role="destination")
        if not one.is_folder() and one.head() is not None:
            return session.check_objects(one, two)
        pair = sync_pair(one, two)
        session.require_bucket(two)
        return session.check_tree(pair)


def migrate(
    *,
    source: Storage | None = None,
    destination: Storage,
    buckets: Sequence[str] | None = None,
    options: TransferOptions | None = None,
    on_progress: OnProgress | None = None,
    on_result: OnResult | None = None,
    stop: StopToken | None = None,
) -> Report:
    """Copy whole buckets from one storage to another and check every object afterwards.

    Args:
        source: None connects by the settings.
        destination: where to; missing buckets are made.
        buckets: names; None means ``<prefix>-public`` and ``<prefix>-private``.

    The other arguments and errors are those of `copy`. The report has one part for each bucket
    and step (``migrate``, then ``check``). Safe to run again while the source is in use: what
    has not changed is not copied again.
    """
    options = options or TransferOptions()
    with _Session(source, destination, options, on_progress, on_result, stop) as session:
        storage = session.source_storage()
        names = list(buckets) if buckets else [storage.public, storage.private]
        for name in names:
            if not asked(partial(storage.store.bucket_exists, name)):
                raise BucketNotFound(f"the source has no bucket {name!r}")
        parts: list[Report] = []
        session.several = len(names) > 1
        # All of them first: a bucket that cannot be made is told before anything is moved.
        ready = [session.ready_bucket(storage, destination, name) for name in names]
        for pair, on_exists in session.while_running(ready):
            parts.extend(session.migrate_bucket(pair, on_exists))
    return _joined("migrate", parts, cut_short=session.cut_short)


class _Session:
    """What the operations share: both openers, hooks, the report file."""

    def __init__(
        self,
        source: Storage | None,
        destination: Storage | None,
        options: TransferOptions,
        on_progress: OnProgress | None,
        on_result: OnResult | None,
        stop: StopToken | None,
    ) -> None:
        build_filter(options)
        self.options = options
        self.registry: Registry = plugins().registry
        self._stack = ExitStack()
        self._default: Storage | None = None
        self._given = source
        self.cut_short = self.several = False
        """More than one pair of trees: a journal that was named is one file for each."""
        self.source = Opener(
            lambda: source or self._connected(), link_policy=options.links, registry=self.registry
        )
        self.destination = Opener(
            lambda: destination or self._connected(),
            link_policy=options.links,
            registry=self.registry,
        )
        self._hooks = Hooks(
            on_progress,
            on_result,
            stop or StopToken(),
            references=referrer(self.source, self.destination),
        )

    def __enter__(self) -> _Session:
        if self.options.report is not None:
            self._hooks.report = ReportFile(self.options.report)
            self._stack.callback(self._hooks.report.close)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def source_storage(self) -> Storage:
        return self._given or self._connected()

    def _connected(self) -> Storage:
        if self._default is None:
            self._default = self._stack.enter_context(connect())
        return self._default

    def while_running(self, items: Iterable[T]) -> Iterator[T]:
        """The items until the run is asked to stop; `cut_short` tells whether any were left."""
        for item in items:
            if self._hooks.stop.stopped:
                self.cut_short = True
                return
            yield item

    def require_bucket(self, place: Place) -> None:
        """A destination bucket that is missing is told before anything is read."""
        if not place.is_local_path and not place.bucket_exists():
            raise BucketNotFound(
                f"{place.text}: there is no such bucket. "
                f"Make it with: svstorage mb {place.base.rstrip('/')}"
            )

    def copy_leg(self, leg: Leg) -> Report:
        if isinstance(leg, Tree):
            return self.copy_tree("copy", leg.pair, on_exists="overwrite", keep_journal=False)
        run = self._run("copy", leg.pair, "overwrite", keep_journal=False)
        return run.execute(
            lambda run, _deletions: FilesPlanner(
                leg,
                on_exists=run.on_exists,
                why_excluded=build_filter(self.options),
                counters=run.ledger.planned,
                tell=run.ledger.tell,
                stop=run.stop,
                journal=run.ledger.journal,
            )
        )

    def copy_tree(
        self, operation: str, pair: Pair, *, on_exists: OnExists, keep_journal: bool
    ) -> Report:
        run = self._run(operation, pair, on_exists, keep_journal=keep_journal)
        return run.execute(lambda run, deletions: run.tree_planner(deletions), shape=Shape())

    def check_tree(self, pair: Pair, *, extra_differs: bool = True) -> Report:
        return self._check(pair, CheckPlanner, extra_differs=extra_differs)

    def check_objects(self, one: Place, two: Place) -> Report:
        """One object against another; a folder as the second means the one of the same name."""
        key = two.folder + one.name if two.is_folder_form or not two.key else two.key
        if two.key and not two.is_folder_form and two.head() is None and two.is_folder():
            key = two.folder + one.name
        pair = Pair(
            source_end(one, one.key),
            End(two.store, two.bucket, key, location=two.text, base=two.base),
        )
        return self._check(pair, ObjectsCheckPlanner)

    def _check(
        self,
        pair: Pair,
        planner: type[CheckPlanner],
        *,
        extra_differs: bool = True,
    ) -> Report:
        options = dataclasses.replace(self.options, journal="none", delete=False, dry_run=False)
        run = Run(
            "check",
            pair,
            options=options,
            default_on_exists="changed",
            registry=self.registry,
            hooks=self._hooks,
            keep_journal=False,
        )
        return run.execute(
            lambda run, _deletions: planner(
                pair,
                why_excluded=build_filter(options),
                counters=run.ledger.planned,
                tell=run.ledger.tell,
                tell_all=run.ledger.tells_all,
                compare_checksums=options.verify == "checksum",
                read_back=options.read_back,
                extra_differs=extra_differs,
                stop=run.stop,
            ),
            Checker(run.stop, read_back=options.read_back),
            Shape(check=True, extra_differs=extra_differs) if planner is CheckPlanner else None,
        )

    def ready_bucket(
        self, source: Storage, destination: Storage, name: str
    ) -> tuple[Pair, OnExists]:
        """The two buckets; the one of the destination is made where it is missing."""
        ends = [
            End(
                storage.store,
                name,
                location=f"{storage.config.location}/{name}",
                base=f"sv://{name}/",
            )
            for storage in (source, destination)
        ]
        pair = Pair(*ends)
        if pair.same_service:
            raise UsageError("source and destination are the same storage; nothing to move")
        on_exists: OnExists = "changed"
        # Asked first: credentials that may fill a bucket often may not make one.
        if not asked(partial(destination.store.bucket_exists, name)):
            if self.options.dry_run:
                on_exists = "overwrite"  # there is no listing to compare with: all would be copied
            else:
                with suppress(ObjectExists):
                    destination.store.create_bucket(name)
        return pair, on_exists

    def migrate_bucket(self, pair: Pair, on_exists: OnExists) -> list[Report]:
        moved = self.copy_tree("migrate", pair, on_exists=on_exists, keep_journal=True)
        if moved.interrupted or moved.fatal or self.options.dry_run:
            return [moved]
        # What only the destination has was deleted from a source in use, or was there before:
        # it is told and left alone, and no re-run could make it disappear.
        return [moved, self.check_tree(pair, extra_differs=False)]

    def _run(self, operation: str, pair: Pair, on_exists: OnExists, *, keep_journal: bool) -> Run:
        options, journal = self.options, self.options.journal
        if self.several and isinstance(journal, Path):
            options = dataclasses.replace(options, journal=journal_of(pair, journal))
        return Run(
            operation,
            pair,
            options=options,
            default_on_exists=on_exists,
            registry=self.registry,
            hooks=self._hooks,
            keep_journal=keep_journal,
        )


def _joined(operation: str, reports: Sequence[Report], *, cut_short: bool) -> Report:
    """Several reports as one, without counters of checks. ``cut_short``: more was to come."""
    if not reports:
        raise Interrupted("stopped before anything was begun")
    interrupted = cut_short or any(r.interrupted for r in reports)
    if len(reports) == 1:
        return dataclasses.replace(reports[0], operation=operation, interrupted=interrupted)
    counters = Counters()
    for report in (r for r in reports if operation == "check" or r.operation != "check"):
        for field in dataclasses.fields(Counters):
            value = getattr(counters, field.name) + getattr(report.counters, field.name)
            setattr(counters, field.name, value)
    strategies: dict[str, int] = {}
    for name, count in (item for report in reports for item in report.strategies.items()):
        strategies[name] = strategies.get(name, 0) + count
    first_fatal = next((r for r in reports if r.fatal), None)
    return Report(
        operation=operation,
        source=", ".join(dict.fromkeys(r.source for r in reports)),
        destination=", ".join(dict.fromkeys(r.destination for r in reports)),
        counters=counters,
        seconds=sum(r.seconds for r in reports),
        failures=tuple(f for r in reports for f in r.failures)[:1000],
        differences=tuple(d for r in reports for d in r.differences)[:1000],
        interrupted=interrupted,
        dry_run=any(r.dry_run for r in reports),
        warnings=tuple(w for r in reports for w in r.warnings),
        strategies=strategies,
        parts=tuple(reports),
        fatal=first_fatal.fatal if first_fatal else None,
        fatal_exit_code=first_fatal.fatal_exit_code if first_fatal else 1,
    )
