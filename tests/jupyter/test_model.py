"""The promise itself: random edits at three places, passes killed at random steps, and at the end
every version that nobody replaced knowingly is in both folders and in the storage.

Each edit writes bytes of its own, so that a version can be told wherever it lies. A version is
replaced knowingly when somebody edits or deletes the very copy that holds it.
"""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from . import passes
from .conftest import Bay, Desk

KEYS = ["a.ipynb", "b c.ipynb", "d/e.ipynb", "d/f ü.ipynb", "g:h.txt"]


@pytest.fixture(scope="module")
def spawn() -> Callable[..., multiprocessing.Process]:
    """Starts a process that has everything imported already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tests.jupyter.passes", "svstorage.jupyter.cycle", "svstorage.providers.local",
         "svstorage.transfer.local_engine", "urllib3", "obstore"]
    )  # fmt: skip

    def start(*arguments: object) -> multiprocessing.Process:
        process = context.Process(target=passes.run, args=arguments)
        process.start()
        return process

    return start


@dataclass
class World:
    """Two desks, a storage, and which versions must not be lost."""

    bay: Bay
    desks: list[Desk]
    files: list[Path]
    seed: int
    random: random.Random
    alive: set[bytes] = field(default_factory=set)
    count: int = 0
    story: list[str] = field(default_factory=list)

    def new(self) -> bytes:
        self.count += 1
        return (
            f"version {self.count} of seed {self.seed} {'x' * self.random.randrange(40)}".encode()
        )

    def edit(self, number: int) -> None:
        """Something happens at a desk."""
        desk = self.desks[number]
        held = desk.held()
        action = self.random.random()
        if held and action < 0.2:
            key = self.random.choice(sorted(held))
            self.alive.discard(held[key])
            (desk.root / key).unlink()
            self.story.append(f"desk {number} deletes {key}")
        elif held and action < 0.35:
            key, other = self.random.choice(sorted(held)), self.random.choice(KEYS)
            target = desk.root / other
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                (desk.root / key).rename(target)
                self.story.append(f"desk {number} moves {key} to {other}")
        else:
            key, data = self.random.choice(KEYS), self.new()
            self.alive.discard(held.get(key, b""))
            if self.random.random() < 0.5 and key in held:
                draft = desk.write(f"{key}.draft", data)
                draft.rename(desk.root / key)
            else:
                desk.write(key, data)
            self.alive.add(data)
            self.story.append(f"desk {number} writes {key}: {data[:12]!r}")

    def edit_storage(self) -> None:
        """Another program writes to the storage."""
        held = self.bay.held()
        if held and self.random.random() < 0.25:
            key = self.random.choice(sorted(held))
            self.alive.discard(held[key])
            self.bay.delete(key)
            self.story.append(f"storage loses {key}")
        else:
            key, data = self.random.choice(KEYS), self.new()
            self.alive.discard(held.get(key, b""))
            self.bay.put(key, data)
            self.alive.add(data)
            self.story.append(f"storage gets {key}: {data[:12]!r}")

    def settle_down(self) -> None:
        for _ in range(8):
            moved = 0
            for desk in self.desks:
                account = desk.sync(deletes="accept")
                assert not account.problems, (account.problems, self.story)
                moved += account.moved
            if not moved:
                return
        raise AssertionError(f"it never comes to rest: {self.story}")

    def check(self) -> None:
        self.settle_down()
        one, other = (desk.held() for desk in self.desks)
        stored = self.bay.held()
        assert one == other == stored, self.story
        lost = self.alive - set(stored.values())
        assert not lost, f"lost {lost}; {self.story}"
        for desk in self.desks:
            stage = desk.root / ".svstorage/stage"
            assert list(stage.iterdir()) == []


def world(bay: Bay, desk: Callable[..., Desk], tmp_path: Path, seed: int) -> World:
    print(f"seed {seed}")
    desks = [desk(bay, name) for name in ("anna", "ben")]
    files = [tmp_path / f"{name}.env" for name in ("anna", "ben")]
    return World(bay, desks, files, seed, random.Random(seed))


def play(one: World, spawn: Callable, rounds: int) -> int:
    """Edits and passes in turn; how many passes were killed."""
    killed = 0
    for _ in range(rounds):
        for _ in range(one.random.randrange(1, 4)):
            where = one.random.randrange(5)
            if where == 4:
                one.edit_storage()
            else:
                one.edit(where % 2)
        number = one.random.randrange(2)
        kill_at = one.random.randrange(1, 90) if one.random.random() < 0.7 else None
        direction = one.random.choice(["both", "both", "pull", "push"])
        desk = one.desks[number]
        process = spawn(str(desk.root), str(one.files[number]), direction, kill_at)
        process.join(60)
        assert process.exitcode in (0, -9), one.story
        killed += process.exitcode == -9
        died = f" and dies at step {kill_at}" if process.exitcode else ""
        one.story.append(f"desk {number}: {direction}{died}")
    return killed


@pytest.mark.parametrize("seed", range(5))
def test_no_version_is_lost_on_disk(
    disk: Bay, desk: Callable, spawn: Callable, tmp_path: Path, seed: int
) -> None:
    one = world(disk, desk, tmp_path, seed)
    killed = play(one, spawn, rounds=14)
    one.check()
    print(f"{killed} passes were killed")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["s3", "azure"])
@pytest.mark.parametrize("seed", [101])
def test_no_version_is_lost_in_a_service(
    request: pytest.FixtureRequest,
    desk: Callable,
    spawn: Callable,
    tmp_path: Path,
    kind: str,
    seed: int,
) -> None:
    one = world(request.getfixturevalue(kind), desk, tmp_path, seed)
    play(one, spawn, rounds=8)
    one.check()


@pytest.mark.parametrize("seed", range(3))
def test_two_servers_at_the_same_moment(
    disk: Bay, desk: Callable, spawn: Callable, tmp_path: Path, seed: int
) -> None:
    """Both run passes over one prefix at once; neither is told of the other."""
    one = world(disk, desk, tmp_path, seed)
    for _ in range(8):
        for number in (0, 1):
            for _ in range(2):
                one.edit(number)
        running = [
            spawn(str(desk_.root), str(file), "both", None)
            for desk_, file in zip(one.desks, one.files, strict=True)
        ]
        for process in running:
            process.join(60)
            assert process.exitcode == 0
    one.check()


@pytest.mark.slow
def test_killed_at_step_after_step(
    disk: Bay, desk: Callable, spawn: Callable, tmp_path: Path
) -> None:
    """One pass that does everything at once, killed at one step after another."""
    step = 1
    while True:
        one = world(disk, desk, tmp_path, step)
        anna, ben = one.desks
        for key in ("edited", "pulled", "gone", "gone there", "conflict", "moved"):
            anna.write(key, f"{key} {step}")
        one.settle_down()
        anna.write("edited", f"edited again {step}")
        ben.write("pulled", f"pulled again {step}")
        ben.write("conflict", f"by ben {step}")
        (ben.root / "gone there").unlink()
        ben.sync()
        anna.write("conflict", f"by anna {step}")
        anna.write("new", f"new {step}")
        (anna.root / "gone").unlink()
        (anna.root / "moved").rename(anna.root / "moved on")
        process = spawn(str(anna.root), str(one.files[0]), "both", step)
        process.join(60)
        one.alive = {
            f"{text} {step}".encode()
            for text in ("edited again", "pulled again", "by ben", "by anna", "new", "moved")
        }
        one.check()
        texts = [data.decode() for data in anna.held().values()]
        assert sorted(texts) == sorted(data.decode() for data in one.alive), step
        if process.exitcode == 0:
            break
        for path in (*anna.root.iterdir(), *ben.root.iterdir()):
            if path.is_file():
                path.unlink()
        one.settle_down()
        step += 3 if step < 50 else 7
    print(f"{step} steps")
    assert step > 60
