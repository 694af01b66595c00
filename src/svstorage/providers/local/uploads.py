"""Uploads in parts that survive a crash of their writer.

An upload is two temporary files beside the object to be: ``…-part-…`` takes the bytes of every
part at its offset, and ``…-list-…`` is its record, to which one line of JSON is added for each
part after its bytes were written. The kernel keeps them through a kill -9, so that the record can
be trusted for as long as the machine has not been started anew; each line names that start. Every
`_SYNC_EVERY` parts the bytes go to the disk, and the record says so: up to there it can also be
trusted after a loss of power. (Flushing each part would make big downloads several times slower.)
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from svstorage.errors import (
    BucketNotFound,
    KeyNotSupported,
    ObjectChanged,
    ObjectError,
    ObjectNotFound,
    StorageError,
)
from svstorage.model import Attributes, Part, Stored

from . import xattrs
from .content import write_at, write_part
from .draft import Draft, is_conflict
from .failures import failure, file_and_folder
from .folders import sync_folder
from .keys import temporary_kind, temporary_name
from .walk import version_token
from .writing import _TRIES, Writing

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from svstorage.providers.base import Body

_ID = re.compile(r"[0-9a-f]{16}\Z")
_FIELDS = ("number", "size", "etag", "offset")
_SYNC_EVERY = 32
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Uploads(Writing):
    """The part of the store that is `MultipartStore`."""

    def start_upload(
        self,
        bucket: str,
        key: str,
        *,
        size: int | None,
        attributes: Attributes | None = None,
        modified_ns: int | None = None,
    ) -> str:
        for attempt in range(_TRIES):
            try:
                return self._begin_upload(bucket, key, size, attributes, modified_ns)
            except BucketNotFound:
                raise
            except ObjectNotFound:
                # Another write that came to nothing has removed the folder in this moment.
                if attempt == _TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def _begin_upload(
        self,
        bucket: str,
        key: str,
        size: int | None,
        attributes: Attributes | None,
        modified_ns: int | None,
    ) -> str:
        path = self._key_path(bucket, key)
        if path.is_folder:
            raise KeyNotSupported(f"{key!r}: a key that ends in / is no file on a local disk")
        made: list[int] = []
        folder = -1
        try:
            folder = self._open_for_writing(bucket, path, made)
            header = {
                "key": key,
                "size": size,
                "attributes": asdict(attributes) if attributes else None,
                "modified_ns": modified_ns,
                "folders": made,
            }
            upload_id = secrets.token_hex(8)
            self._write_record(folder, upload_id, _line(header))
            record = temporary_name("list", upload_id).encode()
            try:
                self._check_free(bucket, path, folder, record)
                data = os.open(temporary_name("part", upload_id), _NEW, 0o666, dir_fd=folder)
            except BaseException:
                os.unlink(record, dir_fd=folder)
                raise
            os.close(data)
            return upload_id
        except BaseException as error:
            self._unmake(bucket, path, made)
            if isinstance(error, OSError) and not isinstance(error, StorageError):
                raise failure(error, "begin to write", key) from error
            raise
        finally:
            if folder >= 0:
                os.close(folder)

    def put_part(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        *,
        number: int,
        offset: int,
        size: int,
        body: Buffer | Body,
    ) -> Part:
        """See `MultipartStore.put_part`. ``Part.etag`` names this one writing of the part.

        A digest would tell no more: journal and record are compared, the bytes are not read for it.
        """
        with _Upload(self, bucket, key, upload_id, os.O_WRONLY) as upload:
            beyond = upload.size is not None and offset + size > upload.size
            if offset < 0 or size < 0 or beyond:
                raise ObjectError(f"{key!r}: part {number} does not lie within the object")
            write_part(upload.data, body, size, offset, f"{key!r}: part {number}")
            part = Part(number, size, secrets.token_hex(8), offset)
            upload.add(part)
            if self._durability != "none" and (number % _SYNC_EVERY == 0 or not _boot()):
                upload.sync()
        return part

    def open_upload(self, bucket: str, key: str, upload_id: str) -> BinaryIO:
        """See `ShowsUploads.open_upload`."""
        with _Upload(self, bucket, key, upload_id, os.O_RDONLY) as upload:
            return open(os.dup(upload.data), "rb", buffering=0)

    def list_parts(self, bucket: str, key: str, upload_id: str) -> list[Part]:
        with _Upload(self, bucket, key, upload_id, os.O_RDONLY) as upload:
            return sorted(upload.parts.values(), key=lambda part: part.number)

    def complete_upload(
        self, bucket: str, key: str, upload_id: str, parts: Sequence[Part]
    ) -> Stored:
        with _Upload(self, bucket, key, upload_id, os.O_WRONLY) as upload:
            end = 0
            for part in parts:
                held = upload.parts.get(part.number)
                if held is None or _fields(held) != _fields(part):
                    raise ObjectChanged(
                        f"{key!r}: part {part.number} is not the one that was written"
                    )
                if part.offset != end:
                    raise ObjectError(f"{key!r}: part {part.number} does not follow the one before")
                end += part.size
            if upload.size is not None and end != upload.size:
                raise ObjectError(f"{key!r}: the parts have {end} bytes of {upload.size}")
            os.ftruncate(upload.data, end)
            return self._finish(upload, bucket)

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        path = self._key_path(bucket, key)
        _check_id(key, upload_id)
        try:
            with _Upload(self, bucket, key, upload_id, os.O_RDONLY) as upload:
                made = upload.made
        except BucketNotFound:
            raise
        except ObjectNotFound:
            made = []  # of its two files one may still be there
        folder = -1
        try:
            folder = self._open_parents(bucket, path)
            for kind in ("part", "list"):
                try:
                    os.unlink(temporary_name(kind, upload_id), dir_fd=folder)
                except FileNotFoundError:
                    continue
            self._unmake(bucket, path, made)
        except FileNotFoundError:
            return
        except StorageError:
            raise
        except OSError as error:
            raise failure(error, "drop the upload of", key) from error
        finally:
            if folder >= 0:
                os.close(folder)

    def list_uploads(self, bucket: str, prefix: str = "") -> Iterator[tuple[str, str]]:
        os.close(self._open_bucket(bucket))  # tells where there is no such bucket
        base = os.fsdecode(self._base(bucket))
        # A prefix that names folders needs no look at others.
        for folder, _, files in os.walk(os.path.join(base, os.path.dirname(prefix))):
            for name in sorted(files):
                if temporary_kind(name) != "list":
                    continue
                try:
                    with open(os.path.join(folder, name), "rb") as file:
                        header, _ = _parse(file.read())
                except (OSError, ValueError):
                    continue
                key = header["key"]
                # Both must hold: a record that was moved here belongs to no object of this folder.
                here = os.path.dirname(os.path.join(base, key)) == folder.rstrip("/")
                upload_id = name[len(temporary_name("list", "")) - 1 : -1]
                if here and key.startswith(prefix):
                    yield key, upload_id

    def _write_record(self, folder: int, upload_id: str, header: bytes) -> None:
        """Under its name a record is never without its header, whenever the process dies: one
        that cannot be read belongs to nobody, and would stay for ever."""
        with Draft(os.dup(folder)) as draft:
            write_at(draft.fd, memoryview(header), 0)
            if self._durability != "none":
                os.fsync(draft.fd)
            name = temporary_name("list", upload_id).encode()
            draft.publish(name, overwrite=True, sync_names=False)

    def _finish(self, upload: _Upload, bucket: str) -> Stored:
        path, fd = upload.path, upload.data
        if upload.attributes is not None and self._has_xattrs:
            xattrs.write(fd, upload.attributes, path.key)
        if upload.modified_ns is not None:
            os.utime(fd, ns=(upload.modified_ns, upload.modified_ns))
        if self._durability != "none":
            os.fsync(fd)
        found = os.fstat(fd)
        folder = upload.folder
        try:
            part = upload.name("part").encode()
            with self._taking(bucket, path, folder, part):
                os.rename(part, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError as error:
            if is_conflict(error):
                raise file_and_folder(path.key) from None
            raise
        os.unlink(upload.name("list"), dir_fd=folder)
        if self._durability == "file":
            sync_folder(folder)
        elif self._durability == "folder":
            self._remember(b"/".join((self._base(bucket), *path.parents)))
        return Stored(found.st_size, version_token(found), None, found.st_mtime_ns)


class _Upload:
    """An upload in parts, opened: its two files and what its record says.

    As a context manager it closes them and turns an `OSError` within into one of ours.
    """

    def __init__(self, store: Uploads, bucket: str, key: str, upload_id: str, mode: int) -> None:
        self._id = _check_id(key, upload_id)
        self.path = store._key_path(bucket, key)
        self.folder = self.data = self.record = -1
        try:
            self.folder = store._open_parents(bucket, self.path)
            self.data = os.open(self.name("part"), mode | _OLD, dir_fd=self.folder)
            access = os.O_RDONLY if mode == os.O_RDONLY else os.O_RDWR | os.O_APPEND
            self.record = os.open(self.name("list"), access | _OLD, dir_fd=self.folder)
            with open(self.record, "rb", closefd=False) as file:
                header, self.parts = _parse(file.read())
            if header["key"] != key:
                raise ValueError("another key")
        except BucketNotFound:
            self.close()
            raise
        except (FileNotFoundError, ValueError):
            self.close()
            raise ObjectNotFound(f"{key!r}: there is no upload {upload_id}") from None
        except OSError as error:
            self.close()
            raise failure(error, "go on writing", key) from error
        self.size: int | None = header["size"]
        self.modified_ns: int | None = header["modified_ns"]
        self.made: list[int] = header.get("folders", [])
        held = header["attributes"]
        self.attributes = Attributes(**held) if held else None

    def name(self, kind: str) -> str:
        return temporary_name(kind, self._id)

    def add(self, part: Part) -> None:
        # One write in append mode, so that lines of several writers do not mix; it begins with a
        # new line in case a crash cut the last one short.
        self._write({**dict(zip(_FIELDS, _fields(part), strict=True)), "boot": _boot()})

    def sync(self) -> None:
        """Bring all bytes of the parts noted so far to the disk, and note that."""
        noted = os.fstat(self.record).st_size
        os.fdatasync(self.data)
        self._write({"synced": noted})
        os.fdatasync(self.record)

    def _write(self, value: dict[str, Any]) -> None:
        line = b"\n" + _line(value)
        if os.write(self.record, line) != len(line):
            raise ObjectError(f"{self.path.key!r}: the disk took only a part of the record")

    def close(self) -> None:
        for fd in (self.data, self.record, self.folder):
            if fd >= 0:
                os.close(fd)
        self.folder = self.data = self.record = -1

    def __enter__(self) -> _Upload:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.close()
        if isinstance(error, OSError) and not isinstance(error, StorageError):
            raise failure(error, "write", self.path.key) from error


@lru_cache(maxsize=1)
def _boot() -> str:
    """This start of the machine (random(4)); empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _fields(part: Part) -> tuple[int, int, str, int]:
    return part.number, part.size, part.etag, part.offset


def _check_id(key: str, upload_id: str) -> str:
    if not _ID.match(upload_id):
        raise ObjectNotFound(f"{key!r}: {upload_id!r} is no upload of a local disk")
    return upload_id


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _parse(record: bytes) -> tuple[dict[str, Any], dict[int, Part]]:
    """The header and the parts of a record. Raises `ValueError` where there is no header."""
    first, _, rest = record.partition(b"\n")
    header = json.loads(first) if first else None
    if not isinstance(header, dict) or not {"key", "size", "attributes", "modified_ns"} <= set(
        header
    ):
        raise ValueError("no header")
    synced = 0
    noted: list[tuple[int, dict[str, Any]]] = []
    at = len(first) + 1
    for line in rest.split(b"\n"):
        try:
            held = json.loads(line) if line else {}
            synced = max(synced, int(held.get("synced", 0)))
            if "number" in held:
                noted.append((at, held))
        except (ValueError, TypeError, AttributeError):
            pass  # cut short by a crash: that part was never confirmed
        at += len(line) + 1
    parts: dict[int, Part] = {}
    for at, held in noted:
        if at >= synced and held.get("boot") != _boot():
            continue  # the machine was started anew: its bytes may never have reached the disk
        try:
            part = Part(*(held[name] for name in _FIELDS))
        except (TypeError, KeyError):
            continue
        parts[part.number] = part
    return header, parts
