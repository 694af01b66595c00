"""Listings: pages of ListObjectsV2, lazily, the next one fetched while this one is used."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from typing import TypeVar
from urllib.parse import unquote, unquote_to_bytes
from xml.etree.ElementTree import Element

from svstorage.addresses import display
from svstorage.errors import ListingError
from svstorage.model import CommonPrefix, Entry, Problem
from svstorage.providers.s3 import xml
from svstorage.providers.s3.attributes import etag_checksum, unquoted
from svstorage.providers.target import Target

PAGE = 1000

T = TypeVar("T")
PlainKeys = Callable[[], set[str]]


@dataclass(frozen=True, slots=True)
class Page:
    """One page; ``token`` is that of the next, None at the end."""

    rows: list[Entry | CommonPrefix | Problem]
    token: str | None


class Decoder:
    """Undoes the encoding of keys in a listing.

    AWS and most services write a blank as ``+`` and a plus as ``%2B``; some write ``%20`` and
    leave the plus alone. Which of them this service does is told by the page itself or, where
    that says nothing, by the same page without encoding, once.
    """

    def __init__(self, plus_is_blank: bool | None) -> None:
        self.plus_is_blank = plus_is_blank

    def settle(self, target: Target, body: bytes, root: Element, plain: PlainKeys) -> None:
        """Finds out about ``+`` if this page has one and it is not known yet."""
        if self.plus_is_blank is not None:
            return
        blank, plus = b"%20" in body, b"%2B" in body or b"%2b" in body
        if blank != plus:
            self.plus_is_blank = plus
            return
        doubtful = [key for key in keys(root) if "+" in key]
        if doubtful:
            held = plain()
            for key in doubtful:
                kept = unquote(key) in held
                if kept != (unquote(key.replace("+", " ")) in held):
                    self.plus_is_blank = not kept
                    return
            raise ListingError(f"{target}: the encoding of '+' in keys cannot be told")

    def decode(self, text: str) -> str:
        """Raises UnicodeDecodeError for a key that is not UTF-8."""
        if "+" in text and self.plus_is_blank:
            text = text.replace("+", " ")
        return unquote_to_bytes(text).decode("utf-8") if "%" in text else text


def keys(root: Element) -> Iterator[str]:
    """Keys and common prefixes of a page as they stand in the XML."""
    for element in root:
        if xml.local(element) == "Contents":
            yield xml.text(element, "Key") or ""
        elif xml.local(element) == "CommonPrefixes":
            yield xml.text(element, "Prefix") or ""


def plain_keys(target: Target, body: bytes) -> set[str]:
    """Keys of a page that was asked for without encoding."""
    return set(keys(_root(target, body, "ListBucketResult")))


def parse_page(target: Target, body: bytes, decoder: Decoder, plain: PlainKeys) -> Page:
    """Reads one answer. Raises `ListingError` for what is no complete page.

    ``plain`` gives `plain_keys` of the same page.
    """
    root = _root(target, body, "ListBucketResult")
    encoded = xml.text(root, "EncodingType") == "url"
    if encoded:
        decoder.settle(target, body, root, plain)
    decode = decoder.decode if encoded else str
    rows: list[Entry | CommonPrefix | Problem] = []
    names: dict[str, str] = {}
    for element in root:
        name = names.get(element.tag)
        if name is None:
            name = names[element.tag] = xml.local(element)
        if name == "Contents":
            rows.append(_entry(target, element, decode, names))
        elif name == "CommonPrefixes":
            rows.append(_prefix(target, element, decode))
    return Page(rows, _next_token(target, root))


def _entry(
    target: Target, element: Element, decode: Callable[[str], str], names: dict[str, str]
) -> Entry | Problem:
    key = size = etag = modified = None
    for child in element:
        tag = child.tag
        name = names.get(tag)
        if name is None:
            name = names[tag] = xml.local(child)
        if name == "Key":
            key = child.text
        elif name == "Size":
            size = child.text
        elif name == "ETag":
            etag = unquoted(child.text)
        elif name == "LastModified":
            modified = child.text
    if not key or size is None or not size.isdecimal():
        raise ListingError(f"{target}: the page holds an object without key or size")
    try:
        return Entry(decode(key), int(size), nanoseconds(modified), etag, etag_checksum(etag))
    except UnicodeDecodeError:
        return Problem(display(key), "its key is not UTF-8")


def _prefix(
    target: Target, element: Element, decode: Callable[[str], str]
) -> CommonPrefix | Problem:
    prefix = xml.text(element, "Prefix")
    if not prefix:
        raise ListingError(f"{target}: the page holds a common prefix without a name")
    try:
        return CommonPrefix(decode(prefix))
    except UnicodeDecodeError:
        return Problem(display(prefix), "its name is not UTF-8")


def _next_token(target: Target, root: Element) -> str | None:
    truncated = xml.text(root, "IsTruncated")
    if truncated not in ("true", "false"):
        raise ListingError(f"{target}: the page does not tell whether it is the last")
    if truncated == "false":
        return None
    token = xml.text(root, "NextContinuationToken")
    if not token:
        raise ListingError(f"{target}: the page is not the last but names no next one")
    return token


def _root(target: Target, body: bytes, name: str) -> Element:
    problem = None
    try:
        root = xml.parse(body)
    except xml.MalformedXml as error:
        problem = str(error)
    if problem:
        raise ListingError(f"{target}: {problem}")
    if xml.local(root) != name:
        raise ListingError(f"{target}: the answer is {display(xml.local(root))}, not {name}")
    return root


def nanoseconds(text: str | None) -> int | None:
    """``2024-01-02T03:04:05.678Z`` as nanoseconds since 1970."""
    if text is None:
        return None
    try:
        seconds = _second(text[:19])
        fraction = text[20:].rstrip("Z") if text[19:20] == "." else ""
        return seconds * 1_000_000_000 + int(fraction[:9].ljust(9, "0"))
    except ValueError:
        return None


@lru_cache(maxsize=1024)  # objects uploaded together share their second
def _second(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp())


def pages(target: Target, fetch: Callable[[str | None], Page]) -> Iterator[Page]:
    """All pages in turn. Raises `ListingError` where the tokens go round in a circle.

    The circle is found by Brent's algorithm: one token is remembered, whatever the length.
    """
    remembered: str | None = None
    seen = limit = 1
    page = fetch(None)
    while True:
        if page.token is None:
            yield page
            return
        if page.token == remembered:
            raise ListingError(f"{target}: the listing goes round in a circle")
        seen += 1
        if seen >= limit:
            remembered, seen, limit = page.token, 0, limit * 2
        ahead = _in_background(fetch, page.token)
        yield page
        page = ahead.result()


def _in_background(function: Callable[[str | None], T], argument: str) -> Future[T]:
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function(argument))
        except BaseException as error:  # raised where the result is asked for
            future.set_exception(error)

    # A daemon, so that a listing given up does not hold up the end of the program.
    threading.Thread(target=run, name="svstorage-list", daemon=True).start()
    return future
