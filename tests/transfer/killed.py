"""A sync in a process of its own, for tests that kill it. Not a test itself.

Run as ``python killed.py JOB.json``: parts are of 5 MiB, as in the fixture ``small_parts``.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import svstorage
from svstorage.strategies import part_plan, parts
from svstorage.transfer import carry
from svstorage.transfer.options import TransferOptions


def main() -> int:
    job = json.loads(Path(sys.argv[1]).read_text())
    parts.PARTS_THRESHOLD = carry.PARTS_THRESHOLD = 10 << 20
    parts.part_size = partial(part_plan.part_size, preferred=5 << 20)
    with ExitStack() as stack:
        ends = {
            role: stack.enter_context(svstorage.connect(**job[role])) if job[role] else None
            for role in ("source", "destination")
        }
        report = svstorage.sync(
            job["src"], job["dst"], **ends, options=TransferOptions(**job["options"])
        )
    print(json.dumps({"exit": report.exit_code, "copied": report.counters.copied}))
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
