"""How a folder stands and how a pass ended, in lines for people."""

from __future__ import annotations

from datetime import datetime

from svstorage.jupyter.bench import Account
from svstorage.jupyter.status import Status

_MOST = 20


def account_lines(account: Account) -> list[str]:
    """One line with what was done, then one for each thing that needs a look."""
    done = [
        (account.pushed, "sent"),
        (account.pulled, "fetched"),
        (account.copied, "copied in the storage"),
        (account.deleted_remote, "deleted in the storage"),
        (account.deleted_local, "deleted in the folder"),
        (len(account.to_push), "to push"),
        (len(account.to_pull), "to pull"),
    ]
    told = [f"{count} {word}" for count, word in done if count]
    lines = [", ".join([*told, f"{account.in_step} in step before"] if told else
                       [f"{account.in_step} files in step"])]  # fmt: skip
    lines += _each("conflict", (f"{k}: both versions were kept" for k in account.new_conflicts))
    lines += _each("left out", (f"{k}: {why}" for k, why in account.problems.items()))
    lines += _each("still being written", account.waiting)
    lines += _each("changed meanwhile", account.again)
    lines += account.held
    return lines


def status_lines(status: Status) -> list[str]:
    """The state, then what is behind it."""
    lines = [f"{status.state}: {status.message}" if status.message else status.state]
    if status.target:
        lines.append(f"{status.folder} <-> {status.target}")
    if status.last_pass is not None:
        when = datetime.fromtimestamp(status.last_pass).isoformat(" ", "seconds")
        lines.append(f"last pass {when}, {status.in_step} files in step")
    lines += _each("not sent yet", status.pending)
    lines += _each(
        "conflict", (f"{one['key']} beside {one['original']}" for one in status.conflicts)
    )
    lines += _each("left out", (f"{key}: {why}" for key, why in status.problems.items()))
    lines += [sentence for sentence in status.held if sentence != status.message]
    return lines


def _each(word: str, things: object) -> list[str]:
    found = [f"{word}: {thing}" for thing in things]  # type: ignore[attr-defined]
    more = len(found) - _MOST
    return [*found[:_MOST], f"{word}: … and {more} more"] if more > 0 else found
