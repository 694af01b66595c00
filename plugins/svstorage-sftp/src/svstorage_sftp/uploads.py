"""Uploads in parts that survive a crash of their writer.

An upload is two files beside the object to be, hidden as drafts are: ``…-part-…`` takes the bytes
of every part at its offset, ``…-list-…`` is its record. One line of JSON is added to the record for
each part, after the bytes of the part were flushed. Where the server cannot flush, a restart of its
machine might lose them: such a part counts only for the process that sent it.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import asyncssh

from svstorage.errors import (
    KeyNotSupported,
    ObjectChanged,
    ObjectError,
    ObjectNotFound,
    StorageError,
)
from svstorage.model import Attributes, Part, Stored
from svstorage_sftp.content import send
from svstorage_sftp.draft import Draft, why_write_failed
from svstorage_sftp.entries import is_directory
from svstorage_sftp.failures import MISSING
from svstorage_sftp.keys import draft_kind, draft_name, shown
from svstorage_sftp.places import Places, translated
from svstorage_sftp.session import Session

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from svstorage.providers.base import Body

_ID = re.compile(r"[0-9a-f]{16}\Z")
_NEW = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | asyncssh.FXF_EXCL
_APPEND = asyncssh.FXF_WRITE | asyncssh.FXF_APPEND


@dataclass
class _Record:
    """What the record of an upload says. ``made``: folders that were made for it."""

    size: int | None
    modified_ns: int | None
    made: list[str]
    parts: dict[int, Part] = field(default_factory=dict)


class Uploads:
    """The part of the store that is `MultipartStore`."""

    _session: Session
    _places: Places

    def start_upload(
        self,
        bucket: str,
        key: str,
        *,
        size: int | None,
        attributes: Attributes | None = None,
        modified_ns: int | None = None,
    ) -> str:
        base = self._places.bucket(bucket)
        path = self._places.key(base, key)
        if key.endswith("/"):
            raise KeyNotSupported(f"{shown(key)}: a key that ends in / is no file on a disk")
        client = self._session.client()
        number = secrets.token_hex(8)
        draft = Draft(client, base, path, key, name=draft_name("list", number))
        try:
            with translated("begin to write", key):
                self._session.run(draft.open(self._places))
                header = {"key": key, "size": size, "modified_ns": modified_ns, "made": draft.made}
                self._session.run(draft.file.write(_line(header), 0))
                self._session.run(self._create(client, _beside(path, "part", number)))
                self._session.run(draft.keep())
        except BaseException:
            self._session.run(draft.discard())
            raise
        return number

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
        """``Part.etag`` is the CRC-32 of the bytes sent."""
        client, base, path = self._at(bucket, key, upload_id)
        with translated("write", key):
            record = self._session.run(self._read(client, base, path, key, upload_id))
            if offset < 0 or (record.size is not None and offset + size > record.size):
                raise ObjectError(f"{shown(key)}: part {number} does not lie within the object")
            file = self._session.run(_opened(client, _beside(path, "part", upload_id)))
            try:
                name = f"{shown(key)}: part {number}"
                crc = send(self._session, file, body, size, name, offset=offset)
                flushed = self._session.run(_flushed(file))
            except asyncssh.SFTPFailure:
                self._session.run(why_write_failed(client, path.rpartition(b"/")[0], key))
                raise
            finally:
                with contextlib.suppress(OSError, asyncssh.Error):
                    self._session.run(file.close())
            part = Part(number, size, f"{crc:08x}", offset)
            line = {"number": number, "size": size, "etag": part.etag, "offset": offset}
            if not flushed:
                line["unflushed"] = _process()
            self._session.run(self._note(client, _beside(path, "list", upload_id), _line(line)))
        return part

    def list_parts(self, bucket: str, key: str, upload_id: str) -> list[Part]:
        client, base, path = self._at(bucket, key, upload_id)
        with translated("look at the upload of", key):
            record = self._session.run(self._read(client, base, path, key, upload_id))
        return sorted(record.parts.values(), key=lambda part: part.number)

    def complete_upload(
        self, bucket: str, key: str, upload_id: str, parts: Sequence[Part]
    ) -> Stored:
        client, base, path = self._at(bucket, key, upload_id)
        with translated("write", key):
            record = self._session.run(self._read(client, base, path, key, upload_id))
            end = 0
            for part in parts:
                held = record.parts.get(part.number)
                if held is None or _fields(held) != _fields(part):
                    raise ObjectChanged(
                        f"{shown(key)}: part {part.number} is not the one that was written"
                    )
                if part.offset != end:
                    raise ObjectError(
                        f"{shown(key)}: part {part.number} does not follow the one before"
                    )
                end += part.size
            if record.size is not None and end != record.size:
                raise ObjectError(f"{shown(key)}: the parts have {end} bytes of {record.size}")
            data = _beside(path, "part", upload_id)
            file = self._session.run(_opened(client, data))
            self._session.run(file.truncate(end))
            draft = Draft(client, base, path, key, opened=(data, file))
            stored = self._session.run(draft.publish(end, record.modified_ns, overwrite=True))
            with contextlib.suppress(*MISSING):
                self._session.run(client.remove(_beside(path, "list", upload_id)))
        return stored

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        client, base, path = self._at(bucket, key, upload_id)
        made: list[str] = []
        with translated("drop the upload of", key):
            with contextlib.suppress(ObjectNotFound):  # of its two files one may still be there
                made = self._session.run(self._read(client, base, path, key, upload_id)).made
            self._session.run(self._places.require(client, base))
            for kind in ("part", "list"):
                with contextlib.suppress(*MISSING):
                    self._session.run(client.remove(_beside(path, kind, upload_id)))
            for folder in reversed(made):
                with contextlib.suppress(asyncssh.SFTPError):  # in use by now
                    self._session.run(client.rmdir(folder.encode("utf-8", "surrogateescape")))

    def list_uploads(self, bucket: str, prefix: str = "") -> Iterator[tuple[str, str]]:
        base = self._places.bucket(bucket)
        client = self._session.client()
        with translated("list the uploads of", bucket):
            self._session.run(self._places.require(client, base))
            folders = [base]
            while folders:
                folder = folders.pop()
                try:
                    rows = self._session.run(client.readdir(folder))
                except MISSING:
                    continue
                for row in sorted(rows, key=lambda row: row.filename):
                    name = row.filename if isinstance(row.filename, bytes) else b""
                    path = folder + b"/" + name
                    if is_directory(row.attrs) and name not in (b".", b".."):
                        folders.append(path)
                    elif draft_kind(name) == "list":
                        found = self._session.run(self._key_of(client, base, path))
                        if found is not None and found.startswith(prefix):
                            yield found, name[-17:-1].decode()

    def _at(
        self, bucket: str, key: str, upload_id: str
    ) -> tuple[asyncssh.SFTPClient, bytes, bytes]:
        base = self._places.bucket(bucket)
        path = self._places.key(base, key)
        if not _ID.match(upload_id):
            raise ObjectNotFound(f"{shown(key)}: {upload_id!r} is no upload")
        return self._session.client(), base, path

    async def _read(
        self, client: asyncssh.SFTPClient, base: bytes, path: bytes, key: str, upload_id: str
    ) -> _Record:
        none = ObjectNotFound(f"{shown(key)}: there is no upload {upload_id}")
        try:
            await self._places.straight(client, base, path.rpartition(b"/")[0], key)
            await client.lstat(_beside(path, "part", upload_id))
            header, *lines = await _lines(client, _beside(path, "list", upload_id))
        except MISSING:
            await self._places.require(client, base)
            raise none from None
        except ValueError:
            raise none from None
        if header.get("key") != key:
            raise none
        record = _Record(header.get("size"), header.get("modified_ns"), header.get("made") or [])
        for line in lines:
            if line.get("unflushed", _process()) != _process():
                continue
            with contextlib.suppress(KeyError, TypeError):
                part = Part(line["number"], line["size"], line["etag"], line["offset"])
                record.parts[part.number] = part  # one sent again replaces the first
        return record

    async def _key_of(self, client: asyncssh.SFTPClient, base: bytes, path: bytes) -> str | None:
        """The key of a record, if it lies where that key belongs."""
        try:
            key = (await _lines(client, path))[0].get("key")
            if isinstance(key, str):
                wanted = self._places.key(base, key).rpartition(b"/")[0]
                return key if wanted == path.rpartition(b"/")[0] else None
        except (*MISSING, ValueError, IndexError, StorageError):
            return None
        return None

    @staticmethod
    async def _create(client: asyncssh.SFTPClient, path: bytes) -> None:
        await (await client.open(path, _NEW, encoding=None)).close()

    @staticmethod
    async def _note(client: asyncssh.SFTPClient, path: bytes, line: bytes) -> None:
        # One write in append mode, so that the lines of several writers do not mix; it begins
        # with a new line in case a crash cut the last one short.
        file = await client.open(path, _APPEND, encoding=None, block_size=0)
        try:
            await file.write(b"\n" + line)
            await _flushed(file)
        finally:
            await file.close()


async def _lines(client: asyncssh.SFTPClient, path: bytes) -> list[dict[str, Any]]:
    """The whole lines of a record. Raises `ValueError` where the first one is none."""
    file = await client.open(path, asyncssh.FXF_READ, encoding=None)
    try:
        raw: Any = await file.read()  # bytes, since the file has no encoding
    finally:
        await file.close()
    first, *rest = raw.split(b"\n")
    found = [json.loads(first)]
    for line in rest:
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    if not all(isinstance(one, dict) for one in found):
        raise ValueError("no record")
    return found


async def _opened(client: asyncssh.SFTPClient, path: bytes) -> asyncssh.SFTPClientFile:
    return await client.open(path, asyncssh.FXF_WRITE, encoding=None)


async def _flushed(file: asyncssh.SFTPClientFile) -> bool:
    """Bring what was written to the server's disk; False where the server has no way to."""
    try:
        await file.fsync()
    except asyncssh.SFTPOpUnsupported:
        return False
    return True


@lru_cache(maxsize=1)
def _process() -> str:
    """A name of this process that no later one has; its forks count as one with it."""
    return secrets.token_hex(8)


def _beside(path: bytes, kind: str, number: str) -> bytes:
    return path.rpartition(b"/")[0] + b"/" + draft_name(kind, number)


def _fields(part: Part) -> tuple[int, int, str, int]:
    return part.number, part.size, part.etag, part.offset


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
