"""The XML of S3's answers and requests: what can be read from hostile or broken ones.

Answers come from a service that may be anything: document types (and with them entities) are
refused, and the encoding is always taken as UTF-8, so that nothing can hide one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

# Characters that XML 1.0 cannot carry, and those that its parsers may change (CR, TAB, LF).
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class MalformedXml(ValueError):
    """Not XML, or XML of a kind that no S3 answer is."""


def parse(body: bytes) -> ET.Element:
    """The root element. Raises `MalformedXml`."""
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise MalformedXml("the answer holds a document type")
    parser = ET.XMLParser(encoding="utf-8")  # noqa: S314 - entities are refused above
    try:
        parser.feed(body.lstrip())
        return parser.close()
    except (ET.ParseError, ValueError) as error:
        raise MalformedXml(f"the answer is not XML: {error}") from None


def local(element: ET.Element) -> str:
    """The name without its namespace: services differ in whether they send one."""
    return element.tag.rpartition("}")[2]


def children(element: ET.Element, name: str) -> Iterator[ET.Element]:
    """The children of that name."""
    return (child for child in element if local(child) == name)


def text(element: ET.Element, name: str) -> str | None:
    """The text of the first child of that name; "" for an empty one."""
    for child in children(element, name):
        return child.text or ""
    return None


def fits(key: str) -> bool:
    """Whether XML carries this key exactly."""
    return _UNFIT.search(key) is None


def delete_request(keys: Iterable[str]) -> bytes:
    """Body of DeleteObjects for keys that XML carries (`fits`)."""
    rows = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
    return f'<Delete xmlns="{NAMESPACE}"><Quiet>true</Quiet>{rows}</Delete>'.encode()


def complete_request(parts: Iterable[tuple[int, str]]) -> bytes:
    """Body of CompleteMultipartUpload: numbers and unquoted ETags."""
    rows = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{escape(etag)}&quot;</ETag></Part>"
        for number, etag in parts
    )
    body = f'<CompleteMultipartUpload xmlns="{NAMESPACE}">{rows}</CompleteMultipartUpload>'
    return body.encode()


def create_bucket_request(region: str) -> bytes:
    """Body of CreateBucket, for regions other than us-east-1."""
    place = f"<LocationConstraint>{escape(region)}</LocationConstraint>"
    body = f'<CreateBucketConfiguration xmlns="{NAMESPACE}">{place}</CreateBucketConfiguration>'
    return body.encode()
