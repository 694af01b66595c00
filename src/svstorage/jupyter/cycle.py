"""One pass over a folder and its prefix: look, decide, carry, remember.

Whenever the process dies, the next pass finds each file either as remembered or as a question
that the bytes answer: nothing is remembered before both sides hold it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from svstorage.errors import BucketNotFound, StorageError, UsageError
from svstorage.jupyter import pulling, pushing
from svstorage.jupyter.bench import Account, Bench, Direction
from svstorage.jupyter.decide import Deletes, Verdict, held
from svstorage.jupyter.folder import Folder
from svstorage.jupyter.ignore import Ignore
from svstorage.jupyter.looking import Seen, Sides, joined, local_files, read_ahead, remote_files
from svstorage.jupyter.manifest import Base, Manifest
from svstorage.jupyter.names import conflict_of
from svstorage.jupyter.place import Options, Target, settings_file
from svstorage.jupyter.plan import Plan, Planner
from svstorage.jupyter.versions import digest_of, local_version, remote_version
from svstorage.model import Problem
from svstorage.transfer.retry import retrying
from svstorage.transfer.stop import StopToken

MOST_PASSES = 3
LOST_MOUNT = (
    "another disk was mounted here, and is not now: its files are left as they are in the storage. "
    "Mount it again, or remove the empty folder if it is gone for good"
)
_MOST_HEADS = 200
_WAITS_FOR = {
    Verdict.DELETE_REMOTE: (
        "hold_remote",
        "{n} gone from the folder, and {why}: nothing was deleted in the storage. To "
        "bring them back: svstorage jupyter pull --undo-deletes; to delete them there too: "
        "svstorage jupyter push --accept-deletes",
    ),
    Verdict.DELETE_LOCAL: (
        "hold_local",
        "{n} gone from the storage, and {why}: nothing was deleted in the folder. To "
        "bring them back: svstorage jupyter push --undo-deletes; to delete them here too: "
        "svstorage jupyter pull --accept-deletes",
    ),
}
_PUSHES = (Verdict.PUSH, Verdict.DELETE_REMOTE)
_PULLS = (Verdict.PULL, Verdict.DELETE_LOCAL)
_ONLY_REMEMBERED = (Verdict.ADOPT, Verdict.FORGET, Verdict.NOTHING)
Tell = Callable[[str], None]


class _Many(Exception):
    """More files changed than are worth a question each."""


class Cycle:
    """Passes over one folder. Each opens and closes everything it needs."""

    def __init__(
        self,
        root: Path,
        target: Target,
        options: Options | None = None,
        *,
        tell: Tell = lambda text: None,
        on_work: Callable[[int], None] = lambda count: None,
    ) -> None:
        """``tell`` hears what people should know, ``on_work`` how many files are to be carried."""
        self.folder = Folder(root)
        self.hurry: Callable[[], bool] = lambda: False
        self.on_work = on_work
        self.target = target
        self.options = options or Options()
        self._tell = tell

    def run(
        self,
        direction: Direction = "both",
        *,
        deletes: Deletes = "carry",
        stop: StopToken | None = None,
        quick: bool = False,
        settle: float | None = None,
        create: bool = True,
        wait: float = 60.0,
    ) -> Account:
        """One pass.

        Args:
            direction: ``pull`` leaves the storage as it is, ``push`` the folder (but for
                conflicts, of which both versions come to lie in the folder).
            deletes: see `Deletes`.
            quick: ask the storage only about files that changed here, and pull nothing.
            settle: seconds for which a file must not change before it is sent.
            create: make the folder where it is missing.
            wait: seconds to wait for another process that is at work on the folder.

        Raises:
            UsageError: the folder or its ignore file cannot be used; nothing was touched.
            StorageError: a side could not be looked at, or the service went away.
            Interrupted: ``stop`` was set; what is done stays done.
        """
        self._check_folder(create=create)
        try:
            with self.folder.locked(wait) as now, self._manifest() as manifest:
                bench = self._bench(manifest, now, deletes, stop or StopToken())
                self._look_at_mounts(bench)
                pulling.recover(bench)
                bench.plan = self._look(bench, quick=quick)
                self._take_down(bench)
                self._leave_out(bench, direction)
                self._settle(bench, self.options.settle if settle is None else settle)
                self._hold(bench, direction, quick=quick, deletes=deletes)
                self._carry(bench)
                return bench.account
        except sqlite3.Error as error:
            raise StorageError(
                f"{self.folder.own / 'manifest.sqlite'}: the memory of the folder cannot be used "
                f"({error}). Is the disk full, or may nothing be written there?"
            ) from error

    def _bench(self, manifest: Manifest, now_ns: int, deletes: Deletes, stop: StopToken) -> Bench:
        planner = Planner(
            self.folder,
            now_ns=now_ns,
            max_size=self.options.max_size,
            undo_deletes=deletes == "undo",
            check_stop=stop.check,
        )
        return Bench(
            self.folder,
            self.target,
            manifest,
            self.options,
            stop,
            planner,
            Plan(),
            Account(),
            self._tell,
            self.hurry,
        )

    def until_done(self, direction: Direction = "both", **how: object) -> Account:
        """Passes until one leaves nothing for the next, at most `MOST_PASSES`."""
        account = self.run(direction, **how)  # type: ignore[arg-type]
        for _ in range(MOST_PASSES - 1):
            if not account.again and not account.waiting:
                break
            time.sleep(0.2)
            account.add(self.run(direction, **how))  # type: ignore[arg-type]
        return account

    # The parts of a pass

    def _check_folder(self, *, create: bool) -> None:
        root = self.folder.root
        # A storage on a local disk may lie in the folder, or the folder in it: each pass would
        # carry what the last one has made.
        local_path = getattr(self.target.storage.store, "local_path", None)
        if local_path is not None:
            place = Path(local_path(self.target.bucket, self.target.prefix.rstrip("/"))).resolve()
            if place.is_relative_to(root) or root.is_relative_to(place):
                raise UsageError(
                    f"{root}: the folder and the storage at {place} lie inside one another. Keep "
                    "the notebooks in a folder of their own, or name another with DATA_PATH"
                )
        if not root.is_dir():
            if root.exists():
                raise UsageError(f"{root}: is a file, not a folder")
            if not create:
                raise UsageError(f"{root}: there is no such folder")
            root.mkdir(parents=True)

    def _manifest(self) -> Manifest:
        self.folder.prepare()
        manifest = Manifest(self.folder.own / "manifest.sqlite")
        manifest.bind(self.target.identity)
        return manifest

    def _look_at_mounts(self, bench: Bench) -> None:
        before = bench.manifest.mounts()
        now = self.folder.look_at_mounts(before)
        if now != before:
            bench.manifest.set_mounts(now)

    def _sides(self, ignore: Ignore) -> Sides:
        sides = Sides()
        for point in self.folder.lost_mounts:
            if not ignore.folder(f"{point}/"):
                sides.note(Problem(point, LOST_MOUNT), point, "local")
        return sides

    def _ignore(self) -> Ignore:
        file = settings_file(self.target.storage.settings)
        return Ignore.of_folder(self.folder.root, file)

    def _look(self, bench: Bench, *, quick: bool) -> Plan:
        if quick:
            with contextlib.suppress(_Many):
                return self._look_here(bench)
        ignore = self._ignore()
        sides = self._sides(ignore)
        ahead = read_ahead(lambda: remote_files(self.target))
        try:
            seen = joined(
                bench.manifest.rows(),
                local_files(self.folder, ignore),
                ahead,
                prefix=self.target.prefix,
                ignore=ignore,
                sides=sides,
            )
            return bench.planner.plan(seen, sides, self._noting_conflicts(bench))
        finally:
            ahead.close()

    def _look_here(self, bench: Bench) -> Plan:
        """Of the storage only those files are asked for that changed here."""
        ignore = self._ignore()
        sides = self._sides(ignore)
        changed: list[Seen] = []
        unchanged = 0
        note = self._noting_conflicts(bench)
        for one in joined(
            bench.manifest.rows(),
            local_files(self.folder, ignore),
            (),
            prefix=self.target.prefix,
            ignore=ignore,
            sides=sides,
        ):
            bench.stop.check()
            base, entry = one.base, one.local
            if base is not None and entry is not None and base.local == local_version(entry):
                unchanged += 1
                note(one.key)
            else:
                changed.append(one)
            if len(changed) > _MOST_HEADS:
                raise _Many
        heads = bench.heads(one.key for one in changed)
        for one in changed:
            info = heads[one.key]
            one.remote = info.entry if info is not None else None
        plan = bench.planner.plan(changed, sides, note)
        plan.in_step += unchanged
        plan.known += unchanged
        for verdict in _PULLS:
            plan.todo.pop(verdict, None)
        return plan

    def _noting_conflicts(self, bench: Bench) -> Callable[[str], None]:
        def note(key: str) -> None:
            found = conflict_of(key)
            if found is not None:
                bench.account.conflicts.append(found)

        return note

    def _take_down(self, bench: Bench) -> None:
        plan, account = bench.plan, bench.account
        account.problems.update(plan.sides.problems)
        account.left_out.update(plan.sides.left_out)
        limit = self.options.max_size
        for key, size in plan.too_large.items():
            account.problems[key] = (
                f"it has {size} bytes, more than the limit of {limit} (STORAGE_JUPYTER_MAX_FILE_"
                "SIZE): it stays where it is"
            )
        account.in_step = plan.in_step
        bench.manifest.change(
            [*plan.refreshed, *self._adopted(bench)],
            [one.key for one in plan.of(Verdict.FORGET)],
        )

    def _adopted(self, bench: Bench) -> Iterator[Base]:
        for one in bench.plan.of(Verdict.ADOPT):
            told = one.object.checksum
            digest = told.value if told else digest_of(self.folder.path(one.key))
            bench.account.in_step += 1
            yield bench.planner.row(one.key, one.file, remote_version(one.object), digest)

    def _leave_out(self, bench: Bench, direction: Direction) -> None:
        plan, account = bench.plan, bench.account
        if direction == "pull":
            for verdict in _PUSHES:
                account.to_push += [one.key for one in plan.todo.pop(verdict, [])]
        if direction == "push":
            for verdict in _PULLS:
                account.to_pull += [one.key for one in plan.todo.pop(verdict, [])]

    def _settle(self, bench: Bench, wait: float) -> None:
        """Leave alone what is still being written: a save has several steps."""
        sending = (Verdict.PUSH, Verdict.CONFLICT, Verdict.COMPARE, Verdict.DELETE_REMOTE)
        if wait <= 0 or not any(bench.plan.of(verdict) for verdict in sending):
            return
        bench.stop.event.wait(wait)
        bench.stop.check()
        for verdict in sending:
            still = []
            for one in bench.plan.of(verdict):
                now = self.folder.entry(one.key)
                before = one.local
                if (now is None) != (before is None):
                    bench.account.again.append(one.key)
                elif now is None or before is None or local_version(now) == local_version(before):
                    still.append(one)
                else:
                    bench.account.waiting.append(one.key)
            bench.plan.todo[verdict] = still

    def _hold(self, bench: Bench, direction: Direction, *, quick: bool, deletes: Deletes) -> None:
        plan, sides = bench.plan, bench.plan.sides
        left_out = {"pull": _PUSHES, "push": _PULLS, "both": ()}[direction]
        for verdict, (name, sentence) in _WAITS_FOR.items():
            if deletes == "undo":
                # Undoing what is gone here is a pull, though deleting it there were a push.
                undoes = direction != ("push" if verdict is Verdict.DELETE_REMOTE else "pull")
                if undoes:
                    bench.manifest.set_text(name, None)
                continue
            if verdict in left_out or (quick and verdict in _PULLS):
                continue
            from_here = verdict is Verdict.DELETE_REMOTE
            doomed = plan.of(verdict)
            why = held(
                len(doomed),
                present=sides.local_files if from_here else sides.remote_files,
                known=plan.known,
                trusted=sides.local_trusted if from_here else sides.remote_trusted,
                was_held=bench.manifest.text(name) is not None,
                accepted=deletes == "accept",
            )
            if why is None:
                bench.manifest.set_text(name, None)
                continue
            plan.todo[verdict] = []
            if why != "part of that side could not be read":
                bench.manifest.set_text(name, "1")
            n = f"{len(doomed)} file{'s are' if len(doomed) != 1 else ' is'}"
            bench.account.held.append(sentence.format(n=n, why=why))

    def _carry(self, bench: Bench) -> None:
        plan = bench.plan
        count = sum(len(plan.of(v)) for v in Verdict if v not in _ONLY_REMEMBERED)
        if count:
            self.on_work(count)
        # First what brings versions to further places, last what takes them away.
        pulling.compare(bench, plan.of(Verdict.COMPARE))
        pulling.keep_both(bench, plan.of(Verdict.CONFLICT))
        pulling.pull(bench, plan.of(Verdict.PULL))
        pushing.push(bench, plan.of(Verdict.PUSH))
        pushing.delete(bench, plan.of(Verdict.DELETE_REMOTE))
        pulling.delete(bench, plan.of(Verdict.DELETE_LOCAL))


def check_bucket(target: Target) -> None:
    """Raises `BucketNotFound`, with the mend, where the bucket is missing."""
    store = target.storage.store
    if not retrying(lambda: store.bucket_exists(target.bucket), StopToken()):
        raise BucketNotFound(
            f"the storage has no bucket {target.bucket!r} for the notebook files. Make it with: "
            f"svstorage mb sv://{target.bucket}, or name another in STORAGE_JUPYTER_PATH"
        )
