"""``svstorage jupyter``: a notebook folder and a prefix in the storage, kept in step."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from svstorage.cli.state import State, pass_state
from svstorage.cli.stopping import stop_on_signals
from svstorage.errors import ConnectionFailed, UsageError

if TYPE_CHECKING:
    from svstorage.jupyter.bench import Account, Direction
    from svstorage.jupyter.decide import Deletes
    from svstorage.jupyter.session import Session


@click.group(
    "jupyter",
    epilog="""\b
Examples:
  svstorage jupyter lab
  svstorage jupyter sync ~/notebooks
  svstorage jupyter pull --path acme-private/jupyter/anna ~/notebooks
  svstorage jupyter status
""",
)
def command() -> None:
    """Keep a notebook folder and the storage in step.

    The prefix is STORAGE_JUPYTER_PATH, by default <prefix>-private/jupyter/{user}. What changed
    on one side goes to the other; what changed on both is kept in both versions.
    """


def _shared(function: Any) -> Any:
    for add in reversed(
        (
            click.argument("folder", required=False, default=".", type=click.Path(path_type=Path)),
            click.option(
                "--path",
                metavar="BUCKET/PREFIX",
                help="Where the files lie in the storage, instead of STORAGE_JUPYTER_PATH.",
            ),
            click.option(
                "--max-size",
                metavar="SIZE",
                help="Leave out files over this size (STORAGE_JUPYTER_MAX_FILE_SIZE, default 1G).",
            ),
            click.option(
                "--accept-deletes",
                is_flag=True,
                help="Carry also deletions that were held back because a side was empty.",
            ),
            click.option(
                "--undo-deletes",
                is_flag=True,
                help="Bring back what one side has deleted, instead of deleting it on the other.",
            ),
        )
    ):
        function = add(function)
    return function


def _open(state: State, folder: Path, path: str | None, max_size: str | None) -> Session:
    size = None
    _require_extra()
    from svstorage.jupyter.place import parse_size
    from svstorage.jupyter.session import Session

    if max_size is not None:
        size = parse_size(max_size)
        if size is None:
            raise UsageError(f"--max-size: {max_size!r} is no size; write bytes, or 500M, or 2G")
    return Session.open(folder, storage=state.storage, path=path, max_size=size)


def _require_extra() -> None:
    import importlib.util

    missing = [name for name in ("pathspec", "watchfiles") if not importlib.util.find_spec(name)]
    if missing:
        raise UsageError(
            f"{missing[0]} is not installed. Install what notebooks need: "
            "pip install 'svstorage[jupyter]'"
        )


def _carry(state: State, direction: Direction, values: dict[str, Any]) -> int:
    from svstorage.transfer.stop import StopToken

    if values["accept_deletes"] and values["undo_deletes"]:
        raise UsageError("--accept-deletes and --undo-deletes contradict each other")
    deletes: Deletes = "carry"
    if values["accept_deletes"]:
        deletes = "accept"
    if values["undo_deletes"]:
        deletes = "undo"
    session = _open(state, values["folder"], values["path"], values["max_size"])
    stop = StopToken()
    with session, stop_on_signals(state.out, stop):
        account = session.carry(direction, deletes=deletes, stop=stop, create=direction == "pull")
    return _tell(state, account)


def _tell(state: State, account: Account) -> int:
    from svstorage.jupyter.words import account_lines

    if state.json:
        import dataclasses

        state.out.record(dataclasses.asdict(account))
    for key, reason in account.problems.items():
        state.out.failure(f"{key}: {reason}", key=key)
    if not state.json:
        for line in account_lines(account):
            if not line.startswith("left out: "):  # said above
                state.out.note(line)
    return 0 if account.clean else 1


@command.command("pull")
@_shared
@pass_state
def pull(state: State, **values: Any) -> int:
    """Bring what is new in the storage into FOLDER (default: here).

    FOLDER is made where it is missing. A file that changed on both sides is kept in both
    versions. Nothing in the storage is changed.
    """
    return _carry(state, "pull", values)


@command.command("push")
@_shared
@pass_state
def push(state: State, **values: Any) -> int:
    """Send what is new in FOLDER (default: here) to the storage.

    A file that changed on both sides is kept in both versions.
    """
    return _carry(state, "push", values)


@command.command("sync")
@_shared
@pass_state
def sync(state: State, **values: Any) -> int:
    """Bring FOLDER (default: here) and the storage in step, both ways, once."""
    return _carry(state, "both", values)


@command.command("status")
@click.argument("folder", required=False, default=".", type=click.Path(path_type=Path))
@pass_state
def status(state: State, folder: Path) -> int:
    """Tell how FOLDER (default: here) stands, without asking the storage.

    Exit code 1 where something needs a look: a conflict, a file left out, files not sent.
    """
    _require_extra()
    from svstorage.jupyter.session import status_now
    from svstorage.jupyter.words import status_lines

    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder")
    found = status_now(folder, state.settings(state.env_file))
    if state.json:
        state.out.record(found.as_dict())
    else:
        for line in status_lines(found):
            state.out.line(line)
    return 1 if found.pending or found.conflicts or found.problems or found.held else 0


@command.command(
    "lab", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@pass_state
def lab(state: State, arguments: tuple[str, ...]) -> int:
    """Start JupyterLab on a folder that is kept in step with the storage.

    ARGUMENTS go to ``jupyter lab``. With JUPYTER_DOWNLOAD_FILES_BEFORE_START=true the files are
    there before the server is. When it ends, what was not sent yet is sent.
    """
    import importlib.util

    _require_extra()
    if importlib.util.find_spec("jupyterlab") is None:
        raise UsageError("jupyterlab is not installed. Install it: pip install jupyterlab")
    from svstorage.jupyter.cycle import check_bucket
    from svstorage.jupyter.place import SYNC, find_target, options_from, settings_file

    storage = state.storage
    options_from(storage.settings)
    try:
        check_bucket(find_target(storage))
    except ConnectionFailed as error:
        # Work can go on without it; what is saved meanwhile goes up when it is back.
        state.out.note(f"warning: the storage cannot be reached: {error}")
    environment = {**os.environ, SYNC: "true"}
    file = settings_file(storage.settings)
    if file is not None:
        environment["SVSTORAGE_ENV_FILE"] = str(file)
    sys.stdout.flush()
    words = [sys.executable, "-m", "jupyterlab", _ENABLE, *arguments]
    os.execve(sys.executable, words, environment)  # noqa: S606 - a list, and no shell


_ENABLE = "--ServerApp.jpserver_extensions=svstorage.jupyter=True"
