"""What is measured: a list, each entry one table of the result."""

from __future__ import annotations

from dataclasses import dataclass

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True)
class Scenario:
    """One job over ``count`` files of ``size`` bytes against one kind of server.

    ``rounds`` None takes those of the command line; jobs of minutes have fewer. ``tools`` None
    is every tool that can do the job.
    """

    name: str
    title: str
    what: str
    server: str | None
    count: int = 0
    size: int = 0
    rounds: int | None = None
    tools: tuple[str, ...] | None = None
    note: str = ""
    disk: bool = False
    """The local side lies on disk whatever the work folder is."""

    @property
    def is_memory(self) -> bool:
        return self.name.startswith("memory-")


_ALL = ("svstorage", "s5cmd", "rclone", "aws", "s3fs", "msc")
_GO = ("svstorage", "s5cmd", "rclone")
_BIG = ("svstorage", "svstorage-size", "s5cmd", "rclone", "aws")
_MIDDLE = ("svstorage", "svstorage-size", "s5cmd", "rclone")

SCENARIOS = (
    Scenario(
        "upload-small", "Upload of 10,000 × 4 KiB", "upload", "sink", 10_000, 4 * KIB, tools=_ALL,
        note="against the sink server: the client is the limit",
    ),
    Scenario(
        "download-small", "Download of 10,000 × 4 KiB", "download", "sink", 10_000, 4 * KIB,
        tools=_ALL, note="against the sink server: the client is the limit",
    ),
    Scenario(
        "upload-small-rclone", "Upload of 10,000 × 4 KiB to rclone", "upload", "rclone", 10_000,
        4 * KIB, rounds=3, tools=_GO, note="the server is the limit",
    ),
    Scenario(
        "download-small-rclone", "Download of 10,000 × 4 KiB from rclone", "download", "rclone",
        10_000, 4 * KIB, rounds=3, tools=_GO, note="the server is the limit",
    ),
    Scenario(
        "download-small-disk", "Download of 10,000 × 4 KiB to a disk", "download", "sink", 10_000,
        4 * KIB, rounds=3, tools=_GO, disk=True,
        note="the disk is the limit; svstorage alone has each file on it (fsync) before it counts",
    ),
    Scenario(
        "copy-small", "Server-side copy of 10,000 × 4 KiB", "copy", "sink", 10_000, 4 * KIB,
        rounds=3, tools=("svstorage", "s5cmd", "rclone", "aws"),
    ),
    Scenario("upload-2gib", "Upload of 1 × 2 GiB", "upload", "rclone", 1, 2 * GIB, tools=_BIG),
    Scenario(
        "download-2gib", "Download of 1 × 2 GiB", "download", "rclone", 1, 2 * GIB, tools=_BIG
    ),
    Scenario(
        "upload-32mib", "Upload of 64 × 32 MiB", "upload", "rclone", 64, 32 * MIB, tools=_MIDDLE
    ),
    Scenario(
        "download-32mib", "Download of 64 × 32 MiB", "download", "rclone", 64, 32 * MIB,
        tools=_MIDDLE,
    ),
    Scenario(
        "download-2gib-crc", "Download of 1 × 2 GiB that has a CRC64NVME", "download", "aws-like",
        1, 2 * GIB, tools=_BIG,
        note="the service tells a CRC64NVME, as AWS does (the rclone of the table above does not)",
    ),
    Scenario(
        "download-32mib-crc", "Download of 64 × 32 MiB that have a CRC64NVME", "download",
        "aws-like", 64, 32 * MIB, tools=_MIDDLE,
        note="the service tells a CRC64NVME, as AWS does (the rclone of the table above does not)",
    ),
    Scenario(
        "resync", "Sync of 100,000 objects with nothing to do", "sync", "sink", 100_000, 256,
        rounds=3, tools=_GO,
    ),
    Scenario(
        "list", "Listing of 100,000 objects", "list", "sink", 100_000, rounds=3, tools=_ALL,
    ),
    *(
        Scenario(
            f"memory-{count}", f"Sync of two buckets of {count:,} equal objects", "sync-buckets",
            "sink", count, rounds=1 if count > 100_000 else 3, tools=_GO,
            note="the listings are made up by the sink server",
        )
        for count in (10_000, 100_000, 1_000_000)
    ),
    Scenario("start", "Start-up: --help", "help", None, tools=(*_GO, "aws")),
    Scenario(
        "azure-upload", "Azurite: upload of 1,000 × 4 KiB", "upload", "azurite", 1_000, 4 * KIB,
        rounds=3, tools=("svstorage", "azcopy", "adlfs"),
    ),
    Scenario(
        "azure-download", "Azurite: download of 1,000 × 4 KiB", "download", "azurite", 1_000,
        4 * KIB, rounds=3, tools=("svstorage", "azcopy", "adlfs"),
    ),
)  # fmt: skip
