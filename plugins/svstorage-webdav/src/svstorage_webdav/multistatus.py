"""The answer to PROPFIND (RFC 4918, section 9.1), read while it arrives.

It comes from a server that may be anything: a document type, and with it every entity, is refused
as soon as it is met, and no text in it may be longer than a long path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from urllib.parse import unquote_to_bytes, urlsplit
from xml.parsers import expat

from svstorage.model import Checksum

ASKED = (
    b'<?xml version="1.0" encoding="utf-8"?><d:propfind xmlns:d="DAV:" '
    b'xmlns:oc="http://owncloud.org/ns"><d:prop><d:resourcetype/><d:getcontentlength/>'
    b"<d:getlastmodified/><d:getetag/><oc:checksums/></d:prop></d:propfind>"
)
_MAX_TEXT = 64 * 1024
_MAX_DEPTH = 32
_RESPONSE, _PROPSTAT, _STATUS = "DAV:}response", "DAV:}propstat", "DAV:}status"
_CHECKSUM = "http://owncloud.org/ns}checksum"


class Malformed(ValueError):
    """Not the answer that a WebDAV server gives."""


@dataclass(slots=True)
class Row:
    """One file or folder. ``names`` is the whole path of its URL, decoded name by name."""

    names: tuple[bytes, ...] = ()
    is_folder: bool = False
    size: int | None = None
    modified_ns: int | None = None
    etag: str | None = None
    checksum: Checksum | None = None
    status: int = 200


def rows(blocks: Iterable[bytes]) -> Iterator[Row]:
    """Every response of the answer. Raises `Malformed`, at its end too if that is missing."""
    reading = _Reading()
    for block in blocks:
        yield from reading.feed(block, last=False)
    yield from reading.feed(b"", last=True)


@dataclass(slots=True)
class _Props:
    found: dict[str, str] = field(default_factory=dict)
    is_folder: bool = False
    status: int = 200


class _Reading:
    def __init__(self) -> None:
        parser = self._parser = expat.ParserCreate(namespace_separator="}")
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        self._open: list[str] = []
        self._words: list[str] = []
        self._length = 0
        self._row = Row()
        self._props = _Props()
        self._done: list[Row] = []

    def feed(self, block: bytes, *, last: bool) -> list[Row]:
        try:
            self._parser.Parse(block, last)
        except expat.ExpatError as error:
            raise Malformed(f"the answer is not XML: {error}") from None
        done, self._done = self._done, []
        return done

    def _doctype(self, *_: object) -> None:
        raise Malformed("the answer holds a document type")

    def _start(self, name: str, _: object) -> None:
        if not self._open and name != "DAV:}multistatus":
            raise Malformed("the answer is XML, but no multistatus of WebDAV")
        if len(self._open) >= _MAX_DEPTH:
            raise Malformed("the answer is nested too deeply")
        self._open.append(name)
        self._words, self._length = [], 0
        if name == _RESPONSE:
            self._row = Row()
        elif name == _PROPSTAT:
            self._props = _Props()
        elif name == "DAV:}collection":
            self._props.is_folder = True

    def _text(self, text: str) -> None:
        self._length += len(text)
        if self._length > _MAX_TEXT:
            raise Malformed("a text in the answer is too long")
        self._words.append(text)

    def _end(self, name: str) -> None:
        self._open.pop()
        above = self._open[-1] if self._open else ""
        text = "".join(self._words).strip()
        self._words, self._length = [], 0
        if name == "DAV:}href" and above == _RESPONSE:
            self._row.names = _names(text)
        elif name == _STATUS and above == _RESPONSE:
            self._row.status = _status(text)
        elif name == _STATUS and above == _PROPSTAT:
            self._props.status = _status(text)
        elif above == "DAV:}prop" or name == _CHECKSUM:
            self._props.found[name] = text
        elif name == _PROPSTAT and self._props.status == 200:
            self._take(self._props)
        elif name == _RESPONSE:
            self._done.append(self._row)

    def _take(self, props: _Props) -> None:
        row, found = self._row, props.found
        row.is_folder = row.is_folder or props.is_folder
        size = found.get("DAV:}getcontentlength", "")
        if size.isascii() and size.isdigit():
            row.size = int(size)
        if "DAV:}getlastmodified" in found:
            row.modified_ns = moment(found["DAV:}getlastmodified"])
        row.etag = version(found.get("DAV:}getetag")) or row.etag
        row.checksum = _md5(found.get(_CHECKSUM, "")) or row.checksum


def moment(text: str) -> int | None:
    """An HTTP date in nanoseconds since 1970; None where it is none."""
    with suppress(ValueError, TypeError, OverflowError):
        return int(parsedate_to_datetime(text).timestamp()) * 1_000_000_000
    return None


def version(text: str | None) -> str | None:
    """An ETag without its quotes. A weak one tells versions apart as well as these servers can."""
    return (text or "").strip().removeprefix("W/").strip('"') or None


def _md5(text: str) -> Checksum | None:
    """Of ``SHA1:… MD5:… ADLER32:…``, which ownCloud brought in."""
    for word in text.split():
        kind, _, value = word.partition(":")
        if kind.upper() == "MD5" and len(value) == 32:
            return Checksum("md5", value.lower())
    return None


def _status(text: str) -> int:
    words = text.split()
    if len(words) < 2 or not words[1].isdigit():
        raise Malformed("a status in the answer cannot be read")
    return int(words[1])


def _names(href: str) -> tuple[bytes, ...]:
    """Cut before it is decoded: an encoded slash separates nothing."""
    path = href
    if "://" in href:
        try:
            path = urlsplit(href).path
        except ValueError:
            raise Malformed("a href in the answer cannot be read") from None
    if not path.startswith("/"):
        raise Malformed("a href in the answer is no absolute path")
    return tuple(unquote_to_bytes(name) for name in path.split("/") if name)
