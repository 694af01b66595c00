"""The main job in a minute, with the real command on a real data set made on the spot.

    python examples/demo.py [--env-file FILE] [FOLDER]

Without a file it works on local disk: FOLDER (default ``demo-data``) gets a data set of images
with annotations, and a storage with two buckets. With ``--env-file .env.s3`` the same commands
run against that storage. Safe to run again.
"""

import argparse
import json
import os
import random
import shlex
import struct
import subprocess
import sys
import zlib
from pathlib import Path

IMAGES = 60
WIDTH, HEIGHT = 160, 120


def png(pixels: list[bytearray]) -> bytes:
    """A picture of rows of RGB bytes as a PNG file (RFC 2083)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", len(pixels[0]) // 3, len(pixels), 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row for row in pixels)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


def make_dataset(folder: Path) -> None:
    """Noisy pictures of boxes, each with a JSON annotation: the same bytes on every run."""
    chance = random.Random(2026)
    for split in ("train", "val"):
        (folder / split / "img").mkdir(parents=True, exist_ok=True)
        (folder / split / "ann").mkdir(parents=True, exist_ok=True)
    for number in range(IMAGES):
        split = folder / ("val" if number % 5 == 0 else "train")
        pixels = [bytearray(chance.randbytes(3 * WIDTH)) for _ in range(HEIGHT)]
        boxes = []
        for _ in range(chance.randint(1, 4)):
            left, top = chance.randint(0, WIDTH - 40), chance.randint(0, HEIGHT - 40)
            size, colour = chance.randint(10, 40), chance.randbytes(3)
            for row in pixels[top : top + size]:
                row[3 * left : 3 * (left + size)] = colour * size
            boxes.append({"left": left, "top": top, "width": size, "height": size})
        name = f"{number:03}.png"
        (split / "img" / name).write_bytes(png(pixels))
        (split / "ann" / f"{name}.json").write_text(json.dumps({"boxes": boxes}, indent=1))
    classes = {"classes": [{"title": "box", "shape": "rectangle"}]}
    (folder / "meta.json").write_text(json.dumps(classes, indent=1))


def main() -> int:
    """Run the steps; the exit code of the first that fails, else 0."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--env-file", type=Path, help="the storage to use instead of local disk")
    words.add_argument("folder", nargs="?", type=Path, default=Path("demo-data"))
    given = words.parse_args()

    data = given.folder / "shapes"
    make_dataset(data)
    env_file = given.env_file or given.folder / ".env"
    if given.env_file is None:
        # A relative DATA_PATH is relative to the file it stands in.
        env_file.write_text(
            "STORAGE_PROVIDER=http\nDATA_PATH=./platform\nSTORAGE_BUCKETS_PREFIX=demo\n"
        )
    print(f"The data set is in {data}; the storage is the one of {env_file}.")

    base = [sys.executable, "-m", "svstorage.cli", "--env-file", str(env_file)]
    for about, step in (
        ("Two buckets", ["mb", "-p", "sv://demo-public", "sv://demo-private"]),
        ("The copy: every object is confirmed by the storage", [
            "cp", "-r", f"{data}/", "sv://demo-public/shapes/"]),
        ("The check: every byte of both sides", [
            "check", "--checksum", f"{data}/", "sv://demo-public/shapes/"]),
        ("The listing", ["ls", "-l", "sv://demo-public/shapes/val/ann/"]),
        ("How much is where", ["du", "-h", "sv://demo-public/shapes/"]),
        ("Once more: only what changed is copied", [
            "sync", f"{data}/", "sv://demo-public/shapes/"]),
    ):  # fmt: skip
        print(f"\n# {about}\n$ {shlex.join(['svstorage', *step])}", flush=True)
        done = subprocess.run([*base, *step], stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            print(f"\nThe demo stopped: exit code {done.returncode}", flush=True)
            return done.returncode
    program = os.path.relpath(Path(sys.executable).with_name("svstorage"))
    print(
        f"\nAll well. To look around:     {program} --env-file {env_file} ls\n"
        f"Settings for S3, commented:   {program} config init minio --output .env.s3\n"
        "The same demo on it:          ./dev demo --env-file .env.s3"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
