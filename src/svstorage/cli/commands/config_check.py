"""``svstorage config check``: does it work, end to end, and if not, what to do."""

from __future__ import annotations

import sys

import click

from svstorage.cli.checkup import Checkup, Step
from svstorage.cli.options import subcommand
from svstorage.cli.state import State, pass_state


@subcommand(
    "check",
    epilog="""\b
Examples:
  svstorage config check
  svstorage config check --env-file .env.s3 --bucket acme-private
  svstorage config check --read-only --json
""",
)
@click.option("--bucket", metavar="NAME", help="The bucket to try. [default: <prefix>-private]")
@click.option("--read-only", is_flag=True, help="Write nothing.")
@pass_state
def check(state: State, bucket: str | None, read_only: bool) -> int:
    """Try the settings: resolve, connect, list, write, read back, delete.

    Writes one small object of a name of its own and deletes it again. Exit code 2: something
    is wrong in the settings; 3: the storage cannot be reached or refuses the credentials; 1: a
    bucket is missing, or an object could not be written, read or deleted.
    """
    checkup = Checkup(state, bucket, read_only=read_only)

    def tell(step: Step) -> None:
        if not state.json:
            mark = "ok    " if step.ok else "FAILED"
            first, *more = step.detail.splitlines() or [""]
            state.out.wrapped(f"{mark}  {step.name:<12}", first)
            for line in more:
                state.out.wrapped(f"{'':20}", line.strip())
            for advice in step.advice:
                head = f"{'':17}-> "
                if "svstorage " in advice:  # a command stays on one line, to be copied
                    state.out.line(head + advice)
                else:
                    state.out.wrapped(head, advice)

    checkup.run(tell)
    if state.json:
        state.out.record(
            {
                "ok": checkup.exit_code == 0,
                "exit_code": checkup.exit_code,
                "steps": [
                    {"step": s.name, "ok": s.ok, "detail": s.detail, "advice": list(s.advice)}
                    for s in checkup.steps
                ],
            }
        )
    failed = [step for step in checkup.steps if not step.ok]
    if failed:
        # On a terminal the reason stands right above; logs may hold stderr alone.
        on_screen = sys.stdout.isatty() and not state.json
        reason = "failed, see above" if on_screen else failed[0].detail.splitlines()[0]
        state.out.failure(
            f"{failed[0].name}: {reason}", kind=failed[0].kind, exit_code=checkup.exit_code
        )
    return checkup.exit_code
