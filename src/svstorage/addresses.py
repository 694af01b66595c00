"""What users type for a place: a local path, an object in a storage, or another fsspec URL.

Keys are exact. Nothing here decodes ``%2F``, folds ``//`` or ``..``, or takes ``?`` and ``#``
for parts of a URL: what stands after ``sv://bucket/`` is the key, character for character.
"""

from __future__ import annotations

import enum
import os
import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from svstorage.errors import UsageError

Role = Literal["source", "destination", "address"]
"""What the text is for; it only words the errors."""


class Kind(enum.Enum):
    """What an address names."""

    LOCAL = "local"
    """A path of this machine (``path``)."""
    STORAGE = "storage"
    """``sv://``: ``bucket`` and ``key``, in the storage ``storage`` of the links file if set."""
    SHORT = "short"
    """``public:key`` or ``private:key`` (``short``, ``key``): `Address.in_prefix` resolves it."""
    LINKED = "linked"
    """``s3://``, ``azure://``, ``google://``, ``fs://``: a bucket of the links file, or else
    an ordinary fsspec URL (``url``)."""
    URL = "url"
    """Any other fsspec URL (``url``), kept as it is."""


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """A parsed address. Which fields count is told by ``kind``; the others are empty.

    An empty ``bucket`` of kind STORAGE means all buckets of the storage, an empty ``key`` the
    whole bucket. For ``fs://ID/path`` the ID is the ``bucket`` and the path the ``key``.
    ``str`` and ``repr`` are fit for a terminal; queries of URLs are masked, because a
    presigned URL is a secret.
    """

    kind: Kind
    path: str = ""
    bucket: str = ""
    key: str = ""
    storage: str | None = None
    short: Literal["public", "private"] | None = None
    scheme: str = ""
    url: str = ""

    @property
    def is_directory_form(self) -> bool:
        """True where the text itself says "folder": a trailing slash, or a whole bucket."""
        if self.kind is Kind.LOCAL:
            separators = (os.sep, os.altsep) if os.altsep else (os.sep,)
            return self.path.endswith(separators)
        if self.kind is Kind.URL:
            return self.url.endswith("/")
        return not self.key or self.key.endswith("/")

    @property
    def pattern(self) -> str:
        """The part that may hold glob characters: the path, the key, or the URL."""
        return {Kind.LOCAL: self.path, Kind.URL: self.url}.get(self.kind, self.key)

    def in_prefix(self, prefix: str) -> Address:
        """A SHORT address as the STORAGE address in ``<prefix>-public`` or ``-private``."""
        if self.short is None:
            return self
        return Address(Kind.STORAGE, bucket=f"{prefix}-{self.short}", key=self.key)

    def __str__(self) -> str:
        if self.kind is Kind.LOCAL:
            return display(self.path)
        if self.kind is Kind.SHORT:
            return display(f"{self.short}:{self.key}")
        if self.kind is Kind.STORAGE:
            return display(storage_url(self.bucket, self.key, self.storage))
        return display(_masked(self.url))

    def __repr__(self) -> str:
        return f"<Address {self.kind.value} {self}>"


_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+)://(.*)\Z", re.DOTALL)
_CHAINED = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.\-]+::)+\S", re.DOTALL)
_ONE_SLASH = re.compile(
    r"(sv|s3|az|azure|abfs|abfss|gs|gcs|google|fs|sftp|ftp|http|https|hdfs|memory|file|local)"
    r":/(?!/)",
    re.IGNORECASE,
)
_USER = re.compile(r"(?<=://)[^/?#@\s]*:[^/@]*@|(?<=://)[^/?#\s]*:[^/\s]*@")
_QUERY = re.compile(r"\?.*\Z", re.DOTALL)
_LINKED = frozenset({"s3", "azure", "google", "fs"})
_FILE = frozenset({"file", "local"})


def parse(text: str, *, role: Role = "address") -> Address:
    """Reads an address. Raises `UsageError` for one that cannot be meant as it stands.

    What is no URL and no short form is a local path, also a bare ``name``: a bucket is never
    guessed. A local path that begins like a URL is written ``./sv:x``.
    """
    if not text:
        raise UsageError(f"the {role} is empty. Write a path, or sv://bucket/key")
    if "\0" in text:
        raise UsageError(f"the {role} holds a NUL character, which no path and no key can")
    if _CHAINED.match(text) and "://" in text:
        _refuse_credentials(text, role)
        return Address(Kind.URL, url=text)
    match = _URL.match(text)
    if match is None:
        return _without_authority(text, role)
    scheme, rest = match[1].lower(), match[2]
    if scheme == "sv":
        return _storage(text, rest, role)
    if scheme in _FILE:
        if not rest.startswith("/"):
            raise UsageError(
                f"{display(text)}: a {scheme}:// address begins with three slashes. "
                f"Write {scheme}:///folder/file, or the path alone"
            )
        return Address(Kind.LOCAL, path=rest)
    if scheme in ("public", "private"):
        raise UsageError(
            f"{display(text)}: the short form has no slashes after the colon. "
            f"Write {scheme}:{display(rest)}, or sv://<prefix>-{scheme}/… for a key that "
            "begins with slashes"
        )
    _refuse_credentials(text, role)
    if scheme in _LINKED:
        bucket, _, key = rest.partition("/")
        _refuse_colon(bucket, role)
        if key and not bucket:
            raise UsageError(f"{display(text)}: there is no bucket. Write {scheme}://bucket/key")
        return Address(Kind.LINKED, bucket=bucket, key=key, scheme=scheme, url=text)
    return Address(Kind.URL, scheme=scheme, url=text)


def _without_authority(text: str, role: Role) -> Address:
    if text.lower().startswith("sv:"):
        raise UsageError(
            f"{display(text)}: a storage address has two slashes after sv:. Write "
            f"sv://bucket/key, or ./{display(text)} for a local file of that name"
        )
    one_slash = _ONE_SLASH.match(text)
    if one_slash:
        raise UsageError(
            f"{display(text)}: a URL has two slashes after the colon. Write "
            f"{one_slash[1]}://…, or ./{display(text)} for a local path of that name"
        )
    if text.startswith("public:"):
        return Address(Kind.SHORT, key=text.removeprefix("public:"), short="public")
    if text.startswith("private:"):
        return Address(Kind.SHORT, key=text.removeprefix("private:"), short="private")
    return Address(Kind.LOCAL, path=text)


def _storage(text: str, rest: str, role: Role) -> Address:
    head, _, key = rest.partition("/")
    storage: str | None = None
    bucket = head
    if "@" in head:
        storage, _, bucket = head.rpartition("@")
        if ":" in storage:
            _refuse_credentials(text, role)
        if not storage or "@" in storage or ":" in storage:
            raise UsageError(
                f"the {role} names no storage before the @. Write sv://NAME@bucket/key with a "
                "NAME of the links file"
            )
    _refuse_colon(bucket, role)
    if key and not bucket:
        raise UsageError(
            f"{display(text)}: there is no bucket. Write sv://bucket/key with two slashes"
            if storage is None
            else f"{display(text)}: there is no bucket. Write sv://{display(storage)}@bucket/key"
        )
    if rest.startswith("/") and not bucket:
        raise UsageError(
            f"{display(text)}: there is no bucket. Write sv://bucket, or sv:// for all buckets"
        )
    if bucket in (".", ".."):
        raise UsageError(f"{display(text)}: a bucket cannot have this name")
    return Address(Kind.STORAGE, bucket=bucket, key=key, storage=storage)


def _refuse_credentials(text: str, role: Role) -> None:
    if _USER.search(text):
        raise UsageError(
            f"the {role} {display(_masked(text))} holds a password. Other users see what is "
            "typed on a command line: put credentials into the .env file or the links file"
        )


def _refuse_colon(bucket: str, role: Role) -> None:
    # Not shown: what stands there may be a key pair whose secret holds a slash.
    if ":" in bucket:
        raise UsageError(
            f"the {role} has a colon in the name of the bucket. Write the bucket alone: host, "
            "port and credentials belong into the .env file or the links file"
        )


def _masked(url: str) -> str:
    url = _USER.sub("***@", url)
    # Behind a chain too, as in simplecache::https://host/key?signature.
    innermost = url.lower().rpartition("::")[2]
    return _QUERY.sub("?***", url) if innermost.startswith(("http:", "https:")) else url


def storage_url(bucket: str, key: str = "", storage: str | None = None) -> str:
    """The exact ``sv://`` address of a bucket or object, which `parse` reads back."""
    head = f"sv://{storage}@{bucket}" if storage is not None else f"sv://{bucket}"
    return f"{head}/{key}" if key else head


# Globs. A source may hold `*`, `?`, `[...]` and `**` as in fsspec; `[*]`, `[?]` and `[[]` stand
# for the one character, so that no backslash is needed, which is an ordinary character of keys.

_ESCAPED_CHARACTER = re.compile(r"\[([*?\[])\]")
_WILD = re.compile(r"[*?]|\[(?:!|(?!!))(?:\][^\]]*|[^\]]+)\]")


def split_glob(text: str) -> tuple[str, str]:
    """The literal beginning of a pattern, and the rest from its first wildcard on.

    The beginning has ``[*]`` replaced by ``*`` and so on: it is what keys really begin with.
    The rest is empty where there is no wildcard.

    >>> split_glob("logs[*]/2024-??/x")
    ('logs*/2024-', '??/x')
    """
    literal: list[str] = []
    at = 0
    while at < len(text):
        escaped = _ESCAPED_CHARACTER.match(text, at)
        if escaped:
            literal.append(escaped[1])
            at = escaped.end()
        elif _WILD.match(text, at):
            break
        else:
            literal.append(text[at])
            at += 1
    return "".join(literal), text[at:]


def has_glob(address: Address) -> bool:
    """Whether a source is a pattern. In a destination every character is itself."""
    return bool(split_glob(address.pattern)[1])


_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_JOINERS = "\u200c\u200d"
"""Format characters that ordinary names in many scripts need; they move nothing."""


def display(text: str) -> str:
    r"""A key or path as it may go to a terminal: always one line, nothing that steers it.

    Control and format characters (escape sequences, bidirectional overrides), line separators,
    private and unassigned ones become ``\x1b`` or ``\u202e``; bytes of a file name that is not
    UTF-8 become ``\xff``. For machines there is JSON, where nothing is altered.
    """
    if text.isprintable():
        return text
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    if unicodedata.category(character) == "Zs":
        return character
    if character in _NAMED:
        return _NAMED[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # PEP 383: an undecodable byte
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
