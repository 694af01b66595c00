"""A store is used by many threads at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from svstorage.errors import ObjectChanged
from svstorage.testing.subject import Subject, content


class ThreadsContract:
    """Nothing gets mixed up, and a reader sees one whole version."""

    def test_many_objects_at_once(self, subject: Subject) -> None:
        def work(number: int) -> bool:
            key, data = f"t/{number:03d}", content(number, 1000 + number)
            subject.put(key, data)
            return subject.get(key) == data and subject.has(key)

        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(work, range(64)))
        assert sorted(subject.keys()) == [f"t/{n:03d}" for n in range(64)]

    def test_readers_see_whole_versions(self, subject: Subject) -> None:
        versions = [bytes([65 + n]) * (20_000 + n) for n in range(4)]
        subject.put("o", versions[0])
        stop = threading.Event()
        torn: list[int] = []
        failed: list[BaseException] = []

        def read() -> None:
            while not stop.is_set():
                try:
                    seen = subject.get("o")
                except ObjectChanged:
                    continue  # said, so that nobody takes it for one version
                except Exception as error:
                    failed.append(error)
                    return
                if seen not in versions:
                    torn.append(len(seen))

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        try:
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda n: subject.put("o", versions[n % 4]), range(40)))
        finally:
            stop.set()
            for reader in readers:
                reader.join(60)
        assert not torn
        assert not failed
        assert subject.get("o") in versions
