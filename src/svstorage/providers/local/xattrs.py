"""Content headers and user metadata of an object, kept in an extended attribute of its file.

One attribute, ``user.svstorage``, holds compact JSON. There is no side file: where the file
system has no extended attributes, the store says so (``Capabilities.holds_metadata``).
"""

from __future__ import annotations

import errno
import json
import logging
import os

from svstorage.model import Attributes

log = logging.getLogger(__name__)

_NAME = b"user.svstorage"
_HEADERS = (
    "content_type",
    "content_encoding",
    "content_language",
    "content_disposition",
    "cache_control",
)
_ABSENT = (getattr(errno, "ENODATA", 0), errno.ENOTSUP, errno.ENOENT, errno.EACCES, errno.EPERM)


def supported(path: bytes) -> bool:
    """Whether the file system of ``path``, or of the nearest folder above that exists, has them."""
    if not hasattr(os, "getxattr"):
        return False
    while True:
        try:
            os.getxattr(path, _NAME)
        except FileNotFoundError:
            parent = os.path.dirname(path)
            if parent == path:
                return False
            path = parent
        except OSError as error:
            return error.errno == errno.ENODATA
        else:
            return True


def write(fd: int, attributes: Attributes | None, key: str) -> None:
    """Store the attributes with an open file; nothing where there are none.

    Attributes too large for the file system are left out with a warning: the bytes count more.
    """
    if attributes is None:
        return
    held: dict[str, object] = {name: getattr(attributes, name) for name in _HEADERS}
    held["metadata"] = dict(attributes.metadata)
    held["tags"] = dict(attributes.tags) if attributes.tags else None
    held = {name: value for name, value in held.items() if value}
    if not held:
        return
    data = json.dumps(held, separators=(",", ":")).encode()
    try:
        os.setxattr(fd, _NAME, data)
    except OSError as error:
        log.warning("%r: headers and metadata are not kept: %s", key, error.strerror)


def read(path: int | bytes) -> Attributes:
    """The attributes stored with a file: empty where there are none or they are not ours."""
    try:
        data = os.getxattr(path, _NAME, follow_symlinks=isinstance(path, int))
    except OSError as error:
        if error.errno not in _ABSENT:
            log.warning("%r: headers and metadata cannot be read: %s", path, error.strerror)
        return Attributes()
    try:
        return _parse(json.loads(data))
    except (ValueError, TypeError, AttributeError):
        log.warning("%r: the attribute user.svstorage holds something else; left out", path)
        return Attributes()


def _parse(held: dict[str, object]) -> Attributes:
    headers: dict[str, str | None] = {}
    for name in _HEADERS:
        value = held.get(name)
        if value is not None and not isinstance(value, str):
            raise TypeError(name)
        headers[name] = value
    metadata = _texts(held.get("metadata") or {})
    tags = held.get("tags")
    return Attributes(**headers, metadata=metadata, tags=_texts(tags) if tags else None)


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(
        isinstance(text, str) for pair in value.items() for text in pair
    ):
        raise TypeError("not a mapping of texts")
    return dict(value)
