r"""Which blob and container names the service holds under exactly that name.

Sources:

- "Naming and referencing containers, blobs, and metadata" (Azure REST documentation): 1 to
  1,024 characters, at most 254 path segments, control characters (0x00 to 0x1F, U+0081 …) "are
  not allowed", no segment should end with a dot.
- A backslash is silently stored as ``/``: Azure/azure-sdk-for-js pull request 5405,
  versity/versitygw issue 845. Azurite does the same.
- A trailing dot of a segment is lost: rclone's azureblob backend encodes it for that.
- ``.`` and ``..`` segments are resolved by the URL parsers on the way (RFC 3986, section 5.2.4),
  percent-encoded ones as well.
- Names with U+FFFE or U+FFFF come percent-encoded in listings ("List Blobs", 2021-02-12 and
  later). Azurite 3.37 answers 500 to every listing of a container that has such a name, or one
  with a control character that XML cannot hold.

What would be changed silently, or would make a container unlistable, is refused before any
request, for reading and deleting too: a request for ``a\b`` would reach ``a/b``. Azurite, which
keeps dots, tabs and line ends as they are (tried), is let have them. Leading, trailing and
doubled slashes are held exactly by both (Azure/azure-sdk-for-net issues 27638 and 30507), except
where the account has a hierarchical namespace, whose folders have no empty names.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from svstorage.errors import UsageError

MAX_CHARACTERS = 1024
MAX_SEGMENTS = 254

# Control characters that XML 1.0 cannot hold: no listing could tell them.
_NEVER = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")
# A segment that is ``.`` or ``..`` or ends with a dot.
_DOTS = re.compile(r"\.(?:/|\Z)")
_CONTROLS = re.compile(r"[\t\n\r\x7f-\x9f]")
_NON_CHARACTERS = re.compile(r"[\ufffe\uffff]")
_EMPTY_SEGMENT = re.compile(r"\A/|//|/\Z")
_CONTAINER = re.compile(r"(?:[a-z0-9](?:-?[a-z0-9]){2,62}|\$root|\$web|\$logs)\Z")


def never_held(key: str) -> str | None:
    """Why no service of this kind holds ``key`` as it is, or None."""
    if not key:
        return "it is empty"
    # Counted as UTF-16, as the service does: the stricter reading of "characters".
    if len(key) > MAX_CHARACTERS // 2 and len(key.encode("utf-16-le", "surrogatepass")) > 2048:
        return f"it is longer than {MAX_CHARACTERS} characters"
    if key.count("/") >= MAX_SEGMENTS:
        return f"it has more than {MAX_SEGMENTS} segments"
    if "\\" in key:
        return "the service stores \\ as /"
    if _NEVER.search(key):
        return "it has control characters"
    if not key.isascii() and _SURROGATES.search(key):
        return "it is not Unicode text"
    return None


def held_by_azurite_only(key: str) -> str | None:
    """Why Azure does not hold ``key`` as it is though Azurite does, or None."""
    if "." in key and _DOTS.search(key):
        return "a segment is . or .. or ends with a dot"
    if _CONTROLS.search(key):
        return "it has control characters"
    return None


def held_by_azure_only(key: str) -> str | None:
    """Why Azurite does not hold ``key`` though Azure does, or None."""
    if not key.isascii() and _NON_CHARACTERS.search(key):
        return "it has characters that Azurite cannot list"
    return None


def has_empty_segment(key: str) -> bool:
    """True for keys that an account with a hierarchical namespace cannot hold."""
    return _EMPTY_SEGMENT.search(key) is not None


def is_container_name(bucket: str) -> bool:
    """3 to 63 lower-case letters, digits and single inner hyphens, or one of Azure's own."""
    return len(bucket) <= 63 and _CONTAINER.match(bucket) is not None


def check_container_name(bucket: str) -> None:
    """Raise `UsageError` for a name that no container can have."""
    if not is_container_name(bucket):
        raise UsageError(
            f"{bucket!r} cannot be the name of a container: Azure takes 3 to 63 lower-case "
            "letters, digits and hyphens, no two hyphens together and none at the ends"
        )


def encode(key: str) -> str:
    """The key as it stands in a URL's path."""
    return quote(key, safe="/~")
