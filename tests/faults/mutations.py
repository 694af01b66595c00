"""Breaks the code on purpose, promise by promise, and sees that a test goes red.

``python -m tests.faults.mutations [WORD]`` works on a copy of the source; the tree stays as it
is. A mutation whose place is gone is an error: then this list has to follow the code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutation:
    promise: str
    what: str
    file: str
    old: str
    new: str
    test: str
    words: str


MUTATIONS = (
    Mutation("1", "links in the destination are followed",
             "providers/local/folders.py", "os.O_NOFOLLOW", "0",
             "test_destination.py", "link_in_destination and link/evil and 10"),
    Mutation("1", "failed drafts are left",
             "providers/local/draft.py",
             "            if self._name is not None:\n                os.unlink",
             "            if False:\n                os.unlink",
             "test_destination.py", "fails_late and fsync-ENOSPC"),
    Mutation("2", "the destination's checksum is not looked at",
             "transfer/verify.py", "    stored = confirmed.stored\n",
             "    stored = confirmed.stored\n    return stored, confirmed.sent\n",
             "test_network.py", "always_flipped and up-s3 and small"),
    Mutation("3", "parts always from the beginning",
             "strategies/parts.py", "        upload_id, part, journalled = known\n",
             "        return None\n",
             "test_crash.py", "finished_parts and up-s3"),
    Mutation("4", "a failure counted as done",
             "transfer/carry.py", 'status="failed" if error else status,', 'status="done",',
             "test_network.py", "one_object_always_reset and up-s3 and small"),
    Mutation("7", "versions of local files are not compared",
             "providers/local/reading.py",
             "            self._check_match(entry, if_match)\n            attributes",
             "            attributes",
             "test_source.py", "changes_while_copied and rewritten"),
    Mutation("8", "deletes after a failed copy",
             "transfer/deletion.py", "if counters.failed or counters.left:", "if False:",
             "test_deletion.py", "failed_copy"),
    Mutation("8", "an empty source may delete",
             "transfer/deletion.py",
             "if not trust.source_objects and not options.allow_empty_source:", "if False:",
             "test_deletion.py", "empty_source and up"),
    Mutation("9", "the order of listings is not checked",
             "transfer/listing.py", "if not first and order <= last:", "if False:",
             "test_listings.py", "broken_listing and order and source"),
)  # fmt: skip


def goes_red(mutation: Mutation) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        path = source / "svstorage" / mutation.file
        text = path.read_text()
        if mutation.old not in text:
            raise SystemExit(f"{mutation.file}: nothing to break for {mutation.what!r}")
        path.write_text(text.replace(mutation.old, mutation.new))
        command = [
            sys.executable, "-m", "pytest", f"tests/faults/{mutation.test}",
            "-k", mutation.words, "-q", "-x", "--tb=no", "-p", "no:cacheprovider",
        ]  # fmt: skip
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(source)}, capture_output=True
        )
    return done.returncode == 1


def main() -> int:
    wanted = [m for m in MUTATIONS if all(word in m.what for word in sys.argv[1:])]
    green = 0
    for mutation in wanted:
        red = goes_red(mutation)
        green += not red
        word = "red" if red else "STILL GREEN"
        print(f"{word}: promise {mutation.promise}, {mutation.what} ({mutation.test})", flush=True)
    return 1 if green else 0


if __name__ == "__main__":
    sys.exit(main())
