"""One script, three storages: which one it works on is told by .env alone.

    python examples/same_script.py            # with the .env of the working directory
    SVSTORAGE_ENV_FILE=.env.s3 python examples/same_script.py

It makes the buckets if they are missing, writes and reads objects as files, copies a folder up
and compares it, and takes away what it made. What it prints is the same on every storage.
"""

import csv
import tempfile
from pathlib import Path

import fsspec

import svstorage

PREFIX = "example"


def main() -> None:
    with svstorage.connect() as storage:
        for bucket in (f"{PREFIX}-public", f"{PREFIX}-private"):
            if bucket not in storage.buckets():
                storage.fs.mkdir(bucket)
        folder = f"{PREFIX}-private/same-script"

        # As files: the object appears when the block ends without an error, and only then.
        with storage.open(f"{folder}/measured.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["second", "celsius"])
            writer.writerows((second, 20 + second / 10) for second in range(5))
        with storage.open(f"{folder}/measured.csv", "r", newline="") as file:
            rows = list(csv.DictReader(file))
        print("rows:", len(rows), "last:", rows[-1]["celsius"])

        # By address, for every library that takes fsspec URLs (pandas, Dask, Zarr, ...).
        with fsspec.open(f"sv://{folder}/measured.csv", "rt") as file:
            print("first line:", file.readline().strip())

        # A folder: copied, every object confirmed, and compared.
        with tempfile.TemporaryDirectory() as work:
            for number in range(3):
                Path(work, f"part-{number}.txt").write_text(f"part {number}\n" * 1000)
            report = svstorage.copy(
                f"{work}/", f"sv://{folder}/parts/", recursive=True, source=storage,
                destination=storage,
            )  # fmt: skip
            print("copied:", report.counters.copied, "failed:", report.counters.failed)
            report = svstorage.check(
                f"{work}/", f"sv://{folder}/parts/", source=storage, destination=storage
            )
            print("the same:", report.ok)

        for path in sorted(storage.fs.find(folder)):
            print(storage.fs.size(path), path)
        storage.fs.rm(folder, recursive=True)
        print("left:", storage.fs.find(folder))


if __name__ == "__main__":
    main()
