"""Full, read-only and slow-witted disks, and few open files."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess

import pytest

from svstorage.providers.local.store import LocalStore
from tests.providers.local.conftest import AS_NOBODY, BUCKET, get, keys, put, run, tree

pytestmark = pytest.mark.faults

FULL = """
import io, os, sys
from svstorage.errors import ObjectError
from svstorage.providers.local.store import LocalStore

root = sys.argv[1]
store = LocalStore(root)
store.create_bucket("bucket")

def put(key, size, fill=b"n"):
    return store.put("bucket", key, io.BytesIO(fill * size), size=size)

def refused(attempt):
    try:
        attempt()
    except ObjectError as error:
        assert "the disk is full" in str(error), error
        return str(error)
    raise AssertionError("it fitted")

def tree():
    return sorted(os.path.relpath(os.path.join(at, name), root)
                  for at, names, files in os.walk(root) for name in names + files)
"""


def test_full_in_the_data(on_small_disk):
    on_small_disk(
        FULL
        + """
put("old", 300_000, b"o")
assert "'old'" in refused(lambda: put("old", 2_000_000))
assert "'deep/new'" in refused(lambda: put("deep/new", 2_000_000))
assert tree() == ["bucket", "bucket/old"], tree()
assert store.read("bucket", "old").read() == b"o" * 300_000
# A copy inside the storage, and then something that does fit.
put("half", 500_000)
entry = store.head("bucket", "half").entry
refused(lambda: store.copy("bucket", entry, "bucket", "second"))
assert tree() == ["bucket", "bucket/half", "bucket/old"], tree()
put("small", 1000)
assert store.read("bucket", "small").read() == b"n" * 1000
"""
    )


def test_full_in_an_upload_by_parts(on_small_disk):
    on_small_disk(
        FULL
        + """
upload = store.start_upload("bucket", "big", size=2_000_000)
part = lambda n: store.put_part("bucket", "big", upload, number=n, offset=(n - 1) * 500_000,
                                size=500_000, body=bytes(500_000))
done = [part(1)]
refused(lambda: part(2) and part(3))
held = store.list_parts("bucket", "big", upload)
assert held[:1] == done, held
assert [row.key for row in store.list("bucket")] == []
store.abort_upload("bucket", "big", upload)
assert tree() == ["bucket"], tree()
"""
    )


def test_no_more_inodes(on_small_disk):
    """Full in the making of folders and drafts."""
    on_small_disk(
        FULL
        + """
made = 0
try:
    for made in range(100):
        put(f"d{made}/e/f", 1)
except ObjectError as error:
    assert "the disk is full" in str(error), error
else:
    raise AssertionError("they fitted")
assert made > 2
refused(lambda: put("x/y/z/1", 1))
refused(lambda: store.put("bucket", "m1/m2/m3/m4/", b"", size=0))
refused(lambda: store.start_upload("bucket", "x/y/z/2", size=1))
keys = [row.key for row in store.list("bucket")]
assert keys == sorted(f"d{n}/e/f" for n in range(made)), keys
""",
        options="size=1m,nr_inodes=20",
    )


def test_read_only(on_small_disk):
    on_small_disk(
        FULL
        + """
import ctypes
put("old", 10)
libc = ctypes.CDLL(None, use_errno=True)
assert libc.mount(None, root.encode(), None, 1 | 32, None) == 0, ctypes.get_errno()  # remount ro
upload = "0" * 16
for attempt in (
    lambda: put("old", 5),
    lambda: put("a/b", 5),
    lambda: store.put("bucket", "folder/", b"", size=0),
    lambda: store.delete("bucket", "old"),
    lambda: store.create_bucket("second"),
    lambda: store.delete_bucket("bucket"),
    lambda: store.start_upload("bucket", "new", size=1),
):
    try:
        attempt()
    except ObjectError as error:
        assert "read-only" in str(error) or "is not empty" in str(error), error
    else:
        raise AssertionError(attempt)
assert store.read("bucket", "old").read() == b"n" * 10
assert [row.key for row in store.list("bucket")] == ["old"]
""",
    )


def test_no_extended_attributes(on_small_disk):
    """ramfs has none: the store says that it holds no metadata, and keeps the bytes."""
    code = """
import os, sys
from svstorage.model import Attributes
from svstorage.providers.local.store import LocalStore
store = LocalStore(sys.argv[1] + "/root")
assert not store.capabilities.holds_metadata
store.create_bucket("bucket")
store.put("bucket", "o", b"x", size=1, attributes=Attributes(metadata={"a": "b"}))
assert store.head("bucket", "o").attributes == Attributes()
assert store.read("bucket", "o").info.attributes == Attributes()
"""
    done = on_small_disk("import sys; print(open('/proc/mounts').read().count(sys.argv[1]))")
    assert done.stdout.strip() == "1"
    # The same fixture with another file system than tmpfs.
    prefix = ["unshare", "-m", "sh", "-c", 'mount -t ramfs none "$0" && exec "$@"', "/mnt"]
    if subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("ramfs cannot be mounted here")
    run(code, "/mnt", prefix=prefix)


def test_64_open_files(store: LocalStore, root):
    """Deep folders and many threads: each file passes, or says that it is worth another try."""
    done = run(
        """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from svstorage.errors import ServiceError
from svstorage.providers.local.store import LocalStore
store = LocalStore(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

def work(n):
    key = f"a/b/c/d/e/f/g/h/{n}"
    tries = 0
    while True:
        try:
            store.put("bucket", key, b"x" * n, size=n)
            data = store.read("bucket", key).read()
            assert data == b"x" * n
            return tries
        except ServiceError as error:
            assert "open files" in str(error), error
            tries += 1

with ThreadPoolExecutor(48) as pool:
    print(sum(pool.map(work, range(300))), "tries more")
rows = list(store.list("bucket"))
assert len(rows) == 300, len(rows)
assert store.delete_many("bucket", [row.key for row in rows]) == [(r.key, None) for r in rows]
store.close()
""",
        root,
    )
    print(done.stdout)
    assert tree(root / BUCKET) == {}


def test_no_descriptor_is_lost(store: LocalStore, root):
    """Whatever fails: as many open files afterwards as before."""

    def open_files() -> int:
        """Of the store's: what else is open in this process may come and go."""
        found = []
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                found.append(os.readlink(f"/proc/self/fd/{name}"))
        return sum(path.startswith(str(root)) for path in found)

    put(store, "a/b/c")
    (root / BUCKET / "link").symlink_to("/tmp")
    before = open_files()
    for attempt in range(3):
        for key in ("a/b/c", "a/b", "a/b/c/d", "a/x/y", "link/x", "none", "..", "a/b/"):
            for operation in (
                lambda key: store.read(BUCKET, key).close(),
                lambda key: store.read(BUCKET, key, if_match="other").close(),
                lambda key: store.head(BUCKET, key),
                lambda key: store.put(BUCKET, key, b"x", size=2),
                lambda key: store.put(BUCKET, key, b"x", size=1, if_none_match=True),
                lambda key: store.put_part(
                    BUCKET, key, "0" * 16, number=1, offset=0, size=1, body=b"x"
                ),
                lambda key: store.abort_upload(
                    BUCKET, store.start_upload(BUCKET, key, size=1), key
                ),
                lambda key: store.delete(BUCKET, f"{key}z"),
            ):
                try:
                    operation(key)
                except Exception:
                    attempt += 1
    assert attempt > 20
    next(iter(store.list(BUCKET)))
    assert open_files() == before


def test_nobody_owns_the_root_folder(open_folder):
    """A root that cannot be made: the mend is the user's, and named."""
    run(
        f"""
import sys
from svstorage.errors import AccessRefused
from svstorage.providers.local.store import LocalStore
store = LocalStore(sys.argv[1] + "/not/there")
{AS_NOBODY}
try:
    store.create_bucket("bucket")
except AccessRefused as error:
    assert "'bucket'" in str(error)
else:
    raise AssertionError
""",
        open_folder,
    )


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit(1)")
def test_files_larger_than_the_limit_for_files(store: LocalStore, root):
    code = """
import signal, sys
from svstorage.errors import ObjectError
from svstorage.providers.local.store import LocalStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    LocalStore(sys.argv[1]).put("bucket", "o", bytes(3_000_000), size=3_000_000)
except ObjectError as error:
    assert "ulimit -f" in str(error), error
else:
    raise AssertionError
"""
    run(code, root, prefix=["prlimit", "--fsize=1000000"])
    assert keys(store) == []
    put(store, "o", b"small")
    assert get(store, "o") == b"small"
