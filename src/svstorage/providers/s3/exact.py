"""Whether a service keeps unusual keys as they are.

AWS does. Services that keep objects as files may store ``a//b`` as ``a/b``, ``/a`` as ``a``, a
backslash as a slash, or ``a/`` as ``a``, and answer 200 (seen with SeaweedFS and rclone). So
before the first write of a key of such a kind, an object of a name of our own and the same kind
is stored, looked for in a listing and removed again; and such a key is read or deleted only
after a listing has shown it. Keys of the usual kinds never cost a request here.
"""

from __future__ import annotations

import logging
import re
import secrets
import threading
from dataclasses import replace

from svstorage import forks
from svstorage.credentials.base import AwsCredentials, CredentialSource
from svstorage.errors import (
    KeyNotSupported,
    ObjectError,
    ObjectExists,
    ObjectNotFound,
    StorageError,
)
from svstorage.model import Entry
from svstorage.providers.s3 import listing
from svstorage.providers.s3.config import S3Config
from svstorage.providers.s3.service import Service
from svstorage.providers.s3.wire import Wire
from svstorage.providers.target import Target

log = logging.getLogger(__name__)

# Kind of key: what it looks like, and a key like it below a name of our own.
_KINDS = {
    "begins with /": (re.compile(r"\A/"), "/{}"),
    "has two / in a row": (re.compile(r"(?s).//"), "{}//x"),
    "has . between /": (re.compile(r"(?:\A|/)\.(?:/|\Z)"), "{}/./x"),
    "has .. between /": (re.compile(r"(?:\A|/)\.\.(?:/|\Z)"), "{}/d/../x"),
    "has a backslash": (re.compile(r"\\"), "{}\\x"),
    "ends with /": (re.compile(r"/\Z"), "{}/"),
}
_EMPTY_FOLDER = "ends with / and is empty"
# A refusal of the name; other errors say nothing about it.
_REFUSALS = (ObjectError, KeyNotSupported, ObjectExists, ObjectNotFound)
_UNUSUAL = re.compile(r"\A/|//|/\Z|(?:\A|/)\.{1,2}(?:/|\Z)|\\")


class ExactKeys(Service):
    """The part of the store that knows which keys the service keeps."""

    def __init__(
        self,
        config: S3Config,
        credentials: CredentialSource[AwsCredentials] | None,
        *,
        wire: Wire | None = None,
    ) -> None:
        super().__init__(config, credentials, wire=wire)
        self._kept: dict[tuple[str, str], bool] = {}
        self._shown: set[tuple[str, str]] = set()
        self.after_fork()
        forks.renew_in_child(self)

    def after_fork(self) -> None:
        self._probing = threading.Lock()

    def check_writable(self, target: Target, size: int | None) -> None:
        """Raise `KeyNotSupported` where the service would store the key under another name."""
        for kind in self._kinds(target, size):
            with self._probing:
                kept = self._kept.get((target.bucket, kind))
                if kept is None:
                    kept = self._kept[target.bucket, kind] = self._probe(target.bucket, kind)
            if not kept:
                raise KeyNotSupported(
                    f"{target}: this service does not keep a key that {kind} as it is"
                )

    def check_readable(self, target: Target) -> None:
        """Raise `ObjectNotFound` where a listing does not show exactly this key."""
        kinds = {(target.bucket, kind) for kind in self._kinds(target, None)}
        if kinds <= self._shown:
            return
        key = target.key or ""
        found = self._listed(target.bucket, key).get(key)
        # SeaweedFS repeats the prefix asked for, so that ``a/b`` is listed as ``a//b``.
        other = _folded(key)
        twin = self._listed(target.bucket, other).get(other) if found else None
        if found is None or (twin is not None and replace(twin, key=key) == found):
            raise ObjectNotFound(f"{target}: it is not there under exactly this name")
        self._shown |= kinds

    def is_doubtful(self, bucket: str, key: str) -> bool:
        """True for keys that `check_readable` would ask the service about."""
        kinds = self._kinds(Target("", bucket, key), None)
        return any((bucket, kind) not in self._shown for kind in kinds)

    def _kinds(self, target: Target, size: int | None) -> list[str]:
        """What is unusual about the key."""
        key = target.key or ""
        if self.config.aws is not None or not _UNUSUAL.search(key):
            return []
        kinds = [kind for kind, (looks, _) in _KINDS.items() if looks.search(key)]
        if key.endswith("/") and size == 0:
            kinds[-1] = _EMPTY_FOLDER
        return kinds

    def _probe(self, bucket: str, kind: str) -> bool:
        name = f".svstorage-probe-{secrets.token_hex(8)}"
        empty = kind == _EMPTY_FOLDER
        key = _KINDS["ends with /" if empty else kind][1].format(name)
        body = b"" if empty else b"x"
        try:
            self.wire.call(Target("PutObject", bucket, key), "PUT", body=body)
        except ObjectError as error:
            if type(error) in _REFUSALS:
                return False
            raise
        try:
            # By the plain part of the name first: see `check_readable` for why.
            plain = self._listed(bucket, name)
            found = (plain or self._listed(bucket, key)).get(key)
            # SeaweedFS lists ``a/`` with its size and gives no bytes back.
            target = Target("GetObject", bucket, key)
            return found is not None and self.wire.call(target, "GET")[1] == body
        finally:
            try:
                self.wire.call(Target("DeleteObject", bucket, key), "DELETE")
            except StorageError as error:
                log.warning("an object made to try out names was left behind: %s", error)

    def _listed(self, bucket: str, prefix: str) -> dict[str, Entry]:
        """The first keys of a prefix: itself is the very first, where it is a key."""
        target = Target("ListObjectsV2", bucket)
        query = [("list-type", "2"), ("max-keys", "2"), ("prefix", prefix)]
        body = self.wire.call(target, "GET", query=[*query, ("encoding-type", "url")])[1]

        def plain() -> set[str]:
            return listing.plain_keys(target, self.wire.call(target, "GET", query=query)[1])

        rows = listing.parse_page(target, body, listing.Decoder(None), plain).rows
        return {row.key: row for row in rows if isinstance(row, Entry)}


def _folded(key: str) -> str:
    """What a file system makes of a key."""
    names: list[str] = []
    for name in key.replace("\\", "/").split("/"):
        if name == "..":
            del names[-1:]
        elif name not in ("", "."):
            names.append(name)
    return "/".join(names)
