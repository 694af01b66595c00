"""Requests without any credentials, for public buckets; only when named."""

from __future__ import annotations

from typing import Any

from svstorage.credentials.base import Anonymous
from svstorage.settings import Settings


def resolve(config: Any, settings: Settings) -> Anonymous:
    """Always the answer: it is asked only when named."""
    return Anonymous()
