"""The commands, who the user is, what the server may be, and what happens in the middle."""

from __future__ import annotations

import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from svstorage.errors import CredentialsError, ObjectChanged, ServiceError, SettingsError
from svstorage.model import Entry
from svstorage_webdav.store import WebdavStore
from tests.servers.certs import make_certificates

from .conftest import DavServer, open_store, rclone

ODD = ("a b.txt", "100%.txt", "%2F", "a#b", "ü/日本 語.txt", "sub/deep/x")


def run(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "svstorage.cli", *words],
        env={**{name: os.environ[name] for name in ("PATH", "HOME")}, **env},
        capture_output=True,
        text=True,
        timeout=90,
    )


def done(env: dict[str, str], *words: str) -> str:
    result = run(env, *words)
    assert result.returncode == 0, result.stderr
    return result.stdout


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    for name in ODD:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 1000)
    return folder


def test_copy_sync_check(dav: DavServer, tree: Path, tmp_path: Path) -> None:
    env = dav.env()
    done(env, "mb", "sv://data")
    done(env, "cp", "-r", f"{tree}/", "sv://data/x/")
    assert contents(dav.root / "data/x") == contents(tree)
    done(env, "check", "--checksum", f"{tree}/", "sv://data/x/")
    (tree / "a b.txt").write_text("two")
    assert run(env, "check", f"{tree}/", "sv://data/x/").returncode == 1
    done(env, "sync", f"{tree}/", "sv://data/x/")
    assert contents(dav.root / "data/x") == contents(tree)
    done(env, "mv", "sv://data/x/a#b", "sv://data/y/a#b")
    done(env, "rm", "-r", "sv://data/x/", "sv://data/y/")
    assert list((dav.root / "data").iterdir()) == []


def test_disk_to_webdav_to_disk(dav: DavServer, tree: Path, tmp_path: Path) -> None:
    for name, values in {
        "one": {"STORAGE_PROVIDER": "http", "DATA_PATH": str(tmp_path / "one")},
        "dav": dav.env(),
        "two": {"STORAGE_PROVIDER": "http", "DATA_PATH": str(tmp_path / "two")},
    }.items():
        lines = [f"{key}='{value}'\n" for key, value in values.items()]
        (tmp_path / f"{name}.env").write_text("".join(lines))
    buckets = tmp_path / "one/storage"
    buckets.mkdir(parents=True)
    tree.rename(buckets / "m-private")
    (buckets / "m-public").mkdir()
    (buckets / "m-public" / "p").write_bytes(os.urandom(100_000))
    for start, end in (("one", "dav"), ("dav", "two")):
        done({}, "migrate", "--from-env", f"{tmp_path}/{start}.env",
             "--to-env", f"{tmp_path}/{end}.env", "--buckets", "m-private,m-public")  # fmt: skip
    assert contents(tmp_path / "two/storage") == contents(buckets)


def test_a_wrong_password_ends_with_3(dav: DavServer) -> None:
    refused = run({**dav.env(), "STORAGE_SECRET_KEY": "hunter2"}, "ls", "sv://")
    assert refused.returncode == 3, refused.stderr
    assert "401" in refused.stderr
    assert "hunter2" not in refused.stderr
    assert "Traceback" not in refused.stderr


def test_no_folder_is_deleted_with_what_it_holds(store: WebdavStore, dav: DavServer) -> None:
    store.create_bucket("keep")
    store.put("keep", "folder/x", b"x", size=1)
    store.delete("keep", "folder")
    store.delete("keep", "folder/")
    with pytest.raises(ValueError, match="folder of this name"):
        store.put("keep", "folder", b"y", size=1)
    assert contents(dav.root / "keep") == {"folder/x": b"x"}


def test_a_file_replaced_while_it_is_read_is_noticed(store: WebdavStore) -> None:
    """By a look after the last byte: what came may be of either version, or of both."""
    store.create_bucket("replaced")
    store.put("replaced", "f", b"one" * 1000, size=3000)
    with store.read("replaced", "f") as reader, pytest.raises(ObjectChanged):
        store.put("replaced", "f", b"other" * 1000, size=5000)
        reader.read()


def test_a_killed_copy_leaves_nothing_under_the_name(dav: DavServer, tmp_path: Path) -> None:
    done(dav.env(), "mb", "sv://kill")
    source = tmp_path / "big"
    source.write_bytes(os.urandom(2**20) * 16)
    command = [sys.executable, "-m", "svstorage.cli", "cp", str(source), "sv://kill/big"]
    env = {**{name: os.environ[name] for name in ("PATH", "HOME")}, **dav.env()}
    first = subprocess.Popen([*command, "--bwlimit", "1M"], env=env, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list((dav.root / "kill").iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait(30)
    assert not (dav.root / "kill/big").exists()
    assert "big" not in done(dav.env(), "ls", "sv://kill")
    assert subprocess.run(command, env=env, timeout=90).returncode == 0
    assert (dav.root / "kill/big").read_bytes() == source.read_bytes()


def test_tls(tmp_path: Path) -> None:
    certs = make_certificates(tmp_path)
    (tmp_path / "s").mkdir()
    options = ("--cert", str(certs.certificate), "--key", str(certs.key))
    with rclone(tmp_path / "s", *options) as server:
        trusted = {**server.env(), "STORAGE_CA_BUNDLE": str(certs.authority)}
        done(trusted, "mb", "sv://tls")
        refused = run(server.env(), "ls", "sv://")
    assert refused.returncode == 3
    assert "STORAGE_CA_BUNDLE" in refused.stderr


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"STORAGE_ENDPOINT": ""}, "STORAGE_ENDPOINT"),
        ({"STORAGE_ENDPOINT": "http://dav.example.org/x"}, "without TLS"),
        ({"STORAGE_ENDPOINT": "https://host/a/%2e%2e/b"}, "path"),
        ({"STORAGE_ENDPOINT": "https://host", "STORAGE_ACCESS_KEY": "a:b"}, "STORAGE_ACCESS_KEY"),
        ({"STORAGE_ENDPOINT": "https://host", "STORAGE_WEBDAV_TOKEN": "a\nb"}, "TOKEN"),
    ],
)
def test_bad_settings(changes: dict[str, str], said: str) -> None:
    plain = {"STORAGE_ACCESS_KEY": "alice", "STORAGE_SECRET_KEY": "hunter2"}
    with pytest.raises(SettingsError, match=said) as told:
        open_store({"STORAGE_PROVIDER": "webdav", **plain, **changes})
    assert "hunter2" not in str(told.value)


# A server that lies: none of the real ones can be made to.

ROW = (
    "<d:response><d:href>{href}</d:href><d:propstat><d:prop><d:resourcetype>{kind}</d:resourcetype>"
    "<d:getcontentlength>1</d:getcontentlength></d:prop><d:status>HTTP/1.1 200 OK</d:status>"
    "</d:propstat></d:response>"
)


def answer(*rows: str, head: str = "") -> bytes:
    return f'{head}<d:multistatus xmlns:d="DAV:">{"".join(rows)}</d:multistatus>'.encode()


FOLDER = ROW.format(href="/r/b/", kind="<d:collection/>")
BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'


class _Liar(http.server.BaseHTTPRequestHandler):
    body = b""
    seen: list[tuple[str, str, str]] = []

    def do_PROPFIND(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.seen.append((self.path, self.headers["depth"], self.headers.get("authorization", "")))
        body = answer(FOLDER) if self.headers["depth"] == "0" else self.body
        self.send_response(207)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def liar() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Liar)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/r"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (answer(FOLDER, ROW.format(href="/r/b/../../etc/passwd", kind="")), "outside"),
        (answer(FOLDER, ROW.format(href="/other/x", kind="")), "outside"),
        (answer(FOLDER, ROW.format(href="http://evil.example/x", kind="")), "outside"),
        (answer(FOLDER, head=BOMB), "document type"),
        (answer(FOLDER)[:-9], "not XML"),
        (b"<html/>", "no multistatus"),
    ],
)
def test_hostile_listings(liar: str, body: bytes, said: str) -> None:
    _Liar.body = body
    store = open_store(
        {"STORAGE_PROVIDER": "webdav", "STORAGE_ENDPOINT": liar, "STORAGE_WEBDAV_TOKEN": "t0ken"}
    )
    with pytest.raises(ServiceError, match=said):
        list(store.list("b"))
    assert _Liar.seen[-1] == ("/r/b/", "1", "Bearer t0ken")
    store.close()


@pytest.mark.parametrize("name", ["..", "a%2Fb", "%2e%2e", "a%00"])
def test_names_that_lead_elsewhere_are_told(liar: str, name: str) -> None:
    _Liar.body = answer(FOLDER, ROW.format(href=f"/r/b/{name}", kind=""))
    store = open_store(
        {"STORAGE_PROVIDER": "webdav", "STORAGE_ENDPOINT": liar, "STORAGE_WEBDAV_TOKEN": "t0ken"}
    )
    (row,) = store.list("b")
    assert not isinstance(row, Entry)
    assert "elsewhere" in row.reason
    store.close()


def test_no_token_is_no_entry(dav: DavServer) -> None:
    store = open_store({**dav.env(), "STORAGE_CREDENTIALS": "anonymous"})
    with pytest.raises(CredentialsError):
        store.list_buckets()
    store.close()
