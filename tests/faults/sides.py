"""Both sides of a copy, and the oracle that says what each really holds.

The oracle never goes through svstorage: boto3, the Azure SDK, `os.walk`.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

Tree = dict[str, bytes]
"""Key to content."""

KIB = 1024
TEMPORARY = re.compile(r"\.svstorage-(tmp|part|list)-[0-9a-f]{16}~")


def sample(seed: int, *, small: int = 12, big: bool = True) -> Tree:
    """A tree of all the ways that an object can take (sizes are those of ``MINIATURE``)."""
    draw = random.Random(seed)
    tree = {
        f"{draw.choice(['', 'a/', 'a/b/', 'z/'])}small-{n:02}.txt": draw.randbytes(
            draw.randrange(1, 3000)
        )
        for n in range(small)
    }
    tree["a/empty"] = b""
    if big:
        tree["m/streamed.bin"] = draw.randbytes(200 * KIB + draw.randrange(1000))
        tree["m/parts.bin"] = draw.randbytes(1100 * KIB + draw.randrange(1000))
    return tree


@cache
def _client(server: Any) -> Any:
    return server.client()


class Side:
    """One end of a copy. ``address`` is what the command line calls it."""

    kind = ""
    address = ""

    def write(self, tree: Mapping[str, bytes]) -> None:
        raise NotImplementedError

    def read(self) -> Tree:
        raise NotImplementedError

    def delete(self, key: str) -> None:
        raise NotImplementedError

    def leftovers(self) -> list[str]:
        """Temporary files and unfinished uploads."""
        raise NotImplementedError

    def env_file(self, endpoint: str | None = None) -> Path | None:
        """Settings that lead there, through another address where given."""
        raise NotImplementedError


@dataclass(slots=True)
class LocalSide(Side):
    root: Path
    kind = "local"

    @property
    def address(self) -> str:  # type: ignore[override]
        return f"{self.root}/"

    def write(self, tree: Mapping[str, bytes]) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        for key, data in tree.items():
            path = self.root / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def read(self) -> Tree:
        found: Tree = {}
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(folder, name)
                if TEMPORARY.fullmatch(name):
                    continue
                if os.path.islink(path) or not os.path.isfile(path):
                    continue
                with open(path, "rb") as file:
                    found[os.path.relpath(path, self.root)] = file.read()
        return found

    def delete(self, key: str) -> None:
        path = self.root / key
        path.unlink()
        # Empty folders would be copied as markers, which not every service holds.
        while path.parent != self.root and not any(path.parent.iterdir()):
            path = path.parent
            path.rmdir()

    def leftovers(self) -> list[str]:
        return sorted(
            os.path.join(folder, name)
            for folder, _, names in os.walk(self.root)
            for name in names
            if TEMPORARY.fullmatch(name)
        )

    def env_file(self, endpoint: str | None = None) -> Path | None:
        return None


@dataclass(slots=True)
class S3Side(Side):
    server: Any
    bucket: str
    folder: Path
    prefix: str = ""
    made: list[Path] = field(default_factory=list)
    kind = "s3"

    @property
    def address(self) -> str:  # type: ignore[override]
        return f"sv://{self.bucket}/{self.prefix}"

    def write(self, tree: Mapping[str, bytes]) -> None:
        client = _client(self.server)
        for key, data in tree.items():
            client.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=data)

    def read(self) -> Tree:
        client = _client(self.server)
        found: Tree = {}
        for page in client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix
        ):
            for item in page.get("Contents", []):
                answer = client.get_object(Bucket=self.bucket, Key=item["Key"])
                found[item["Key"][len(self.prefix) :]] = answer["Body"].read()
        return found

    def delete(self, key: str) -> None:
        _client(self.server).delete_object(Bucket=self.bucket, Key=self.prefix + key)

    def leftovers(self) -> list[str]:
        from botocore.exceptions import ClientError

        try:
            answer = _client(self.server).list_multipart_uploads(Bucket=self.bucket)
        except ClientError as error:  # what rclone says where there are none
            if error.response["Error"]["Code"] != "NoSuchUpload":
                raise
            return []
        return [upload["Key"] for upload in answer.get("Uploads", [])]

    def env_file(self, endpoint: str | None = None) -> Path:
        return _env_file(self, endpoint)


@dataclass(slots=True)
class AzureSide(Side):
    server: Any
    bucket: str
    folder: Path
    made: list[Path] = field(default_factory=list)
    kind = "azure"

    @property
    def address(self) -> str:  # type: ignore[override]
        return f"sv://{self.bucket}/"

    def _container(self) -> Any:
        return _client(self.server).get_container_client(self.bucket)

    def write(self, tree: Mapping[str, bytes]) -> None:
        container = self._container()
        for key, data in tree.items():
            container.upload_blob(key, data, overwrite=True)

    def read(self) -> Tree:
        container = self._container()
        return {
            blob.name: container.download_blob(blob.name).readall()
            for blob in container.list_blobs()
        }

    def delete(self, key: str) -> None:
        self._container().delete_blob(key)

    def leftovers(self) -> list[str]:
        # Uncommitted blocks cannot be aborted: the service drops them after a week by itself.
        return []

    def env_file(self, endpoint: str | None = None) -> Path:
        return _env_file(self, endpoint)


def _env_file(side: S3Side | AzureSide, endpoint: str | None) -> Path:
    server = side.server.at(endpoint) if endpoint else side.server
    path = side.folder / f"{side.kind}-{side.bucket}-{len(side.made)}.env"
    side.made.append(path)
    written: Path = server.write_env(path)
    return written


@dataclass(slots=True)
class ScriptedSide(Side):
    """A `tests.servers.scripted.ScriptedS3`, which is its own oracle."""

    server: Any
    folder: Path
    kind = "scripted"

    @property
    def address(self) -> str:  # type: ignore[override]
        return f"sv://{self.server.bucket}/"

    def write(self, tree: Mapping[str, bytes]) -> None:
        self.server.objects.update(tree)

    def read(self) -> Tree:
        return dict(self.server.objects)

    def delete(self, key: str) -> None:
        del self.server.objects[key]

    def leftovers(self) -> list[str]:
        return list(self.server.uploads)

    def env_file(self, endpoint: str | None = None) -> Path:
        written: Path = self.server.write_env(self.folder / "scripted.env")
        return written
