"""Content headers, user metadata and tags come back as they were given."""

from __future__ import annotations

from dataclasses import replace

import pytest

from svstorage.model import Attributes
from svstorage.testing.subject import Subject

FULL = Attributes(
    content_type="application/x-contract; charset=utf-8",
    content_encoding="gzip",
    content_language="de-CH",
    content_disposition='attachment; filename="a b.txt"',
    cache_control="max-age=3600, public",
    metadata={"owner": "someone", "note_2": "a=b; c, d"},
)
VALUES = {
    "plain": "value",
    "space-inside": "a  b",
    "punctuation": "a=b;c,d:e/f?g#h%20%",
    "umlaut": "Z\u00fcrich",
    "emoji": "\U0001f600",
    "cjk": "\u65e5\u672c\u8a9e",
    "long": "x" * 1000,
    "number": "1700000000.123456789",
}


def _known(attributes: Attributes) -> Attributes:
    """Without tags, and with metadata that compares by value."""
    return replace(attributes, tags=None, metadata=dict(attributes.metadata))


class AttributesContract:
    """Only for stores that claim ``holds_metadata``; tags for those that claim them."""

    # Named by each test: an autouse fixture would hold for all classes of a `ProviderContract`.
    @pytest.fixture
    def claims_metadata(self, subject: Subject) -> None:
        if not subject.store.capabilities.holds_metadata:
            pytest.skip("this store holds no metadata")

    @pytest.mark.usefixtures("claims_metadata")
    def test_head_and_read_tell_all(self, subject: Subject) -> None:
        subject.put("o", b"x", FULL)
        assert _known(subject.store.head(subject.bucket, "o").attributes) == FULL
        with subject.store.read(subject.bucket, "o") as reader:
            assert _known(reader.info.attributes) == FULL

    @pytest.mark.usefixtures("claims_metadata")
    def test_encoded_content_stays_as_stored(self, subject: Subject) -> None:
        """``Content-Encoding: gzip`` is a word about the bytes, not an order to unpack them."""
        raw = b"\x1f\x8b not really gzip"
        subject.put("o", raw, Attributes(content_encoding="gzip"))
        assert subject.get("o") == raw

    @pytest.mark.usefixtures("claims_metadata")
    @pytest.mark.parametrize("name", VALUES)
    def test_metadata_values(self, subject: Subject, name: str) -> None:
        value = VALUES[name]
        subject.put("o", b"x", Attributes(metadata={"field": value}))
        kept = subject.store.head(subject.bucket, "o").attributes.metadata
        assert dict(kept) == {"field": value}

    @pytest.mark.usefixtures("claims_metadata")
    def test_no_attributes(self, subject: Subject) -> None:
        subject.put("o", b"x")
        kept = subject.store.head(subject.bucket, "o").attributes
        assert dict(kept.metadata) == {}
        assert kept.content_encoding is None
        assert kept.cache_control is None

    @pytest.mark.usefixtures("claims_metadata")
    def test_overwriting_replaces_all(self, subject: Subject) -> None:
        subject.put("o", b"x", FULL)
        subject.put("o", b"y", Attributes(metadata={"only": "this"}))
        kept = subject.store.head(subject.bucket, "o").attributes
        assert dict(kept.metadata) == {"only": "this"}
        assert kept.content_language is None
        assert kept.cache_control is None

    @pytest.mark.usefixtures("claims_metadata")
    def test_tags(self, subject: Subject) -> None:
        if not subject.store.capabilities.holds_tags:
            pytest.skip("this store holds no tags")
        tags = {"project": "moon shot", "level": "a+b=c:d"}
        subject.put("o", b"x", Attributes(tags=tags))
        kept = subject.store.head(subject.bucket, "o").attributes.tags
        assert kept is not None
        assert dict(kept) == tags
