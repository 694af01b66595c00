"""The provider contract over both servers."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from svstorage.errors import ObjectChanged, ObjectNotFound, ServiceError
from svstorage.testing import ProviderContract, Subject
from svstorage_webdav.store import WebdavStore

from .conftest import DavServer

_NUMBERS = itertools.count()


def _keeps(key: str) -> str | None:
    return None


def _wsgidav_loses(key: str) -> str | None:
    """Its `do_COPY_or_MOVE` decodes the header Destination before it cuts it at ? and ;."""
    return "WsgiDAV cuts the name" if "?" in key or ";" in key else None


class TestWebdav(ProviderContract):
    @pytest.fixture
    def subject(
        self, store: WebdavStore, connect: Callable[..., WebdavStore], dav: DavServer
    ) -> Subject:
        bucket = f"contract-{next(_NUMBERS)}"  # not removed: rclone remembers folders
        store.create_bucket(bucket)
        lost = _wsgidav_loses if dav.name == "wsgidav" else _keeps
        return Subject(store, bucket, lost, reconnect=connect, page=100, grain=1.1)

    def test_readers_see_whole_versions(self, subject: Subject) -> None:
        """As the contract's, but that there may be none for a moment.

        RFC 4918 (9.9.3) has the server delete what a MOVE replaces before it moves; both servers
        answer 500 to a GET in between, which is tried again like all that is a `ServiceError`.
        """
        versions = [bytes([65 + n]) * (20_000 + n) for n in range(4)]
        subject.put("o", versions[0])
        stop, odd = threading.Event(), []

        def read() -> None:
            while not stop.is_set():
                try:
                    seen = subject.get("o")
                except (ObjectChanged, ObjectNotFound, ServiceError):
                    continue
                if seen not in versions:
                    odd.append(len(seen))

        with ThreadPoolExecutor(2) as pool:
            reading = [pool.submit(read) for _ in range(2)]
            try:
                for number in range(20):
                    subject.put("o", versions[number % 4])
            finally:
                stop.set()
            for one in reading:
                one.result()
        assert not odd
        assert subject.get("o") == versions[3]

    def test_many_objects_at_once(self, subject: Subject, dav: DavServer) -> None:
        if dav.name == "wsgidav":
            pytest.skip("cheroot resets connections where more come than it has threads for")
        super().test_many_objects_at_once(subject)
