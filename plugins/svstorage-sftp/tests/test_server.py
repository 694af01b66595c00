"""Who the server is, who the user is, and what happens when the line breaks."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncssh
import pytest

from svstorage.errors import ConnectionFailed, CredentialsError, ServiceError, SettingsError
from svstorage.model import Entry
from svstorage_sftp.store import SftpStore
from tests.servers.ssh import SshServer

Connect = Callable[..., SftpStore]


def _other_key(folder: Path) -> str:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "other", "-f", str(folder / "other")],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return (folder / "other.pub").read_text().strip()


def test_another_host_key_is_refused(connect: Connect, sshd: SshServer, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text(f"[127.0.0.1]:{sshd.port} {_other_key(tmp_path)}\n")
    store = connect(STORAGE_SFTP_KNOWN_HOSTS=str(hosts))
    with pytest.raises(ConnectionFailed, match="is not the one known for it") as told:
        store.list_buckets()
    assert str(hosts) in str(told.value)
    assert told.value.exit_code == 3


def test_an_unknown_host_is_refused(connect: Connect, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("")
    store = connect(STORAGE_SFTP_KNOWN_HOSTS=str(hosts))
    with pytest.raises(ConnectionFailed, match="is not known"):
        store.list_buckets()


def test_no_file_of_known_hosts_trusts_nobody(
    sshd: SshServer, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """asyncssh takes an empty list for its default file, and None for no check at all."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    store = connect(STORAGE_SFTP_KNOWN_HOSTS="")
    with pytest.raises(ConnectionFailed, match="is not known"):
        store.list_buckets()
    (home / ".ssh" / "known_hosts").write_text(sshd.known_hosts.read_text())
    assert connect(STORAGE_SFTP_KNOWN_HOSTS="").list_buckets() == []


def test_known_hosts_that_are_not_there(connect: Connect, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="STORAGE_SFTP_KNOWN_HOSTS: there is no such file"):
        connect(STORAGE_SFTP_KNOWN_HOSTS=str(tmp_path / "none"))


def test_another_key_is_refused(connect: Connect, tmp_path: Path) -> None:
    _other_key(tmp_path)
    store = connect(STORAGE_CREDENTIALS_PATH=str(tmp_path / "other"))
    with pytest.raises(CredentialsError, match="refuses the user"):
        store.list_buckets()


def test_the_keys_of_the_machine_are_not_offered(
    connect: Connect, sshd: SshServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a password alone, ~/.ssh/id_ed25519 stays at home though it would open the door."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    shutil.copy(sshd.key_file, home / ".ssh" / "id_ed25519")
    monkeypatch.setenv("HOME", str(home))
    store = connect(STORAGE_CREDENTIALS_PATH="", STORAGE_SECRET_KEY="a password")
    with pytest.raises(CredentialsError):
        store.list_buckets()
    with pytest.raises(SettingsError, match="no credentials were found"):
        connect(STORAGE_CREDENTIALS_PATH="")


def test_an_encrypted_key(connect: Connect, sshd: SshServer, tmp_path: Path) -> None:
    key = tmp_path / "key"
    shutil.copy(sshd.key_file, key)
    key.chmod(0o600)
    change = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "open-barley", "-f", str(key)]
    subprocess.run(change, check=True, stdout=subprocess.DEVNULL)
    opened = connect(STORAGE_CREDENTIALS_PATH=str(key), STORAGE_SFTP_PASSPHRASE="open-barley")
    assert opened.list_buckets() == []
    for phrase in ("", "wrong-barley"):
        store = connect(STORAGE_CREDENTIALS_PATH=str(key), STORAGE_SFTP_PASSPHRASE=phrase)
        with pytest.raises(CredentialsError, match="STORAGE_SFTP_PASSPHRASE") as told:
            store.list_buckets()
        assert "barley" not in str(told.value)


def test_a_public_key_is_no_private_one(connect: Connect, sshd: SshServer) -> None:
    with pytest.raises(SettingsError, match="no private key"):
        connect(STORAGE_CREDENTIALS_PATH=str(sshd.key_file) + ".pub")


def test_a_key_that_others_may_read(
    connect: Connect, sshd: SshServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = tmp_path / "key"
    shutil.copy(sshd.key_file, key)
    key.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        connect(STORAGE_CREDENTIALS_PATH=str(key))
    assert f"chmod 600 {key}" in caplog.text


@pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="there is no ssh-agent")
def test_the_agent_only_when_it_is_named(
    connect: Connect, sshd: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "agent"
    agent = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(100):
            with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
                probe.connect(str(path))
                break
            time.sleep(0.05)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        none = connect(STORAGE_CREDENTIALS_PATH="", STORAGE_CREDENTIALS="agent")
        with pytest.raises(CredentialsError, match="holds no keys"):
            none.list_buckets()
        subprocess.run(["ssh-add", "-q", str(sshd.key_file)], check=True)
        with pytest.raises(SettingsError, match="asked only when STORAGE_CREDENTIALS=agent"):
            connect(STORAGE_CREDENTIALS_PATH="")
        store = connect(STORAGE_CREDENTIALS_PATH="", STORAGE_CREDENTIALS="agent")
        assert store.list_buckets() == []
    finally:
        agent.kill()
        agent.wait()


@pytest.fixture
def password_server(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """asyncssh's own server, because OpenSSH checks passwords only against the machine's users."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "served").mkdir()

    class Server(asyncssh.SSHServer):
        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == ("alice", "p$ss wörd")

    def sftp(channel: asyncssh.SSHServerChannel) -> asyncssh.SFTPServer:
        return asyncssh.SFTPServer(channel, chroot=str(tmp_path / "served").encode())

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        asyncssh.create_server(
            Server, "127.0.0.1", 0, server_host_keys=[key], sftp_factory=sftp, encoding=None
        )
    )
    port = server.sockets[0].getsockname()[1]
    hosts = tmp_path / "hosts"
    hosts.write_text(f"[127.0.0.1]:{port} {key.export_public_key().decode()}")
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield port, hosts

    async def end() -> None:
        server.close()
        here = asyncio.current_task()
        left = [task for task in asyncio.all_tasks() if task is not here]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(end(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def test_a_password(connect: Connect, password_server: tuple[int, Path]) -> None:
    port, hosts = password_server
    settings = {
        "STORAGE_CREDENTIALS_PATH": "",
        "STORAGE_ENDPOINT": "127.0.0.1",
        "STORAGE_PORT": str(port),
        "STORAGE_ACCESS_KEY": "alice",
        "STORAGE_SFTP_KNOWN_HOSTS": str(hosts),
        "STORAGE_SFTP_ROOT": "",
    }
    store = connect(**settings, STORAGE_SECRET_KEY="p$ss wörd")
    store.create_bucket("b")
    store.put("b", "deep/key", b"data", size=4)
    with store.read("b", "deep/key") as reader:
        assert reader.read() == b"data"
    assert [row.key for row in store.list("b") if isinstance(row, Entry)] == ["deep/key"]
    wrong = connect(**settings, STORAGE_SECRET_KEY="p4ss w0rd")
    with pytest.raises(CredentialsError) as told:
        wrong.list_buckets()
    assert "p4ss" not in str(told.value)


def test_nobody_answers(connect: Connect) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        port = taken.getsockname()[1]
        store = connect(STORAGE_ENDPOINT=f"127.0.0.1:{port}")
        with pytest.raises(ConnectionFailed, match="cannot be reached"):
            store.list_buckets()
    unknown = connect(STORAGE_ENDPOINT="no-such-host.invalid")
    with pytest.raises(ConnectionFailed):
        unknown.list_buckets()


def test_a_root_that_is_not_there(connect: Connect, root: Path) -> None:
    store = connect(STORAGE_SFTP_ROOT=f"{root}/none")
    for call in (
        store.list_buckets,
        lambda: store.create_bucket("b"),
        lambda: store.head("b", "k"),
    ):
        with pytest.raises(Exception, match="STORAGE_SFTP_ROOT"):
            call()
    assert not (root / "none").exists()


class _Line:
    """A TCP relay that can be cut, and counts the bytes on their way to the server."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.count = 0
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._open += [near, far]
                for one, other, up in ((near, far, 1), (far, near, 0)):
                    threading.Thread(target=self._pump, args=(one, other, up), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket, up: int) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                self.count += up * len(data)
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._open.clear()

    def close(self) -> None:
        self._listener.close()
        self.cut()


@pytest.fixture
def line(sshd: SshServer) -> Iterator[_Line]:
    relay = _Line(sshd.port)
    yield relay
    relay.close()


def test_a_cut_line(
    connect: Connect,
    sshd: SshServer,
    line: _Line,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What was under way fails as worth a retry, nothing is half there, the next call connects."""
    hosts = tmp_path / "hosts"
    hosts.write_text(sshd.known_hosts.read_text().replace(str(sshd.port), str(line.port)))
    store = connect(
        STORAGE_ENDPOINT=f"127.0.0.1:{line.port}",
        STORAGE_SFTP_KNOWN_HOSTS=str(hosts),
        STORAGE_SFTP_ROOT=str(tmp_path),
    )
    store.create_bucket("b")
    data = os.urandom(3_000_000)
    store.put("b", "old", data, size=len(data))

    class Cutting:
        left = 6

        def read(self, size: int = -1, /) -> bytes:
            self.left -= 1
            if not self.left:
                line.cut()
            return bytes(size)

    with pytest.raises(ServiceError):
        store.put("b", "old", Cutting(), size=8_000_000)
    with store.read("b", "old") as reader:
        assert reader.read() == data
    with store.read("b", "old") as reader:
        assert reader.read(10) == data[:10]
        line.cut()
        with pytest.raises(ServiceError):
            reader.read()
    with store.read("b", "old") as reader:
        assert reader.read() == data
    rows = store.list("b")
    assert [row.key for row in rows if isinstance(row, Entry)] == ["old"]
    gc.collect()
    loud = [row.getMessage() for row in caplog.records if row.levelno >= logging.ERROR]
    assert loud == [], "the callers were told, and nobody else need be"


def test_a_channel_that_ends_alone(connect: Connect) -> None:
    """The server's SFTP process may die while the connection stands."""
    store = connect()
    assert store.list_buckets() == []
    session = store._session
    client = session._client
    assert client is not None
    session._loop.call_soon_threadsafe(client.exit)
    deadline = time.monotonic() + 10
    while session._client is client and time.monotonic() < deadline:
        time.sleep(0.02)
    assert store.list_buckets() == []
    assert session._client is not client


@pytest.mark.slow
def test_a_killed_upload_goes_on(
    env: dict[str, str], sshd: SshServer, line: _Line, tmp_path: Path
) -> None:
    """The parts that were finished before the SIGKILL are not sent again."""
    hosts = tmp_path / "hosts"
    hosts.write_text(sshd.known_hosts.read_text().replace(str(sshd.port), str(line.port)))
    there = tmp_path / "remote" / "b"
    there.mkdir(parents=True)
    source = tmp_path / "big"
    size = 192 * 2**20
    source.write_bytes(os.urandom(2**20) * 192)
    settings = {
        **env,
        **{name: os.environ[name] for name in ("PATH", "HOME")},
        "STORAGE_ENDPOINT": f"127.0.0.1:{line.port}",
        "STORAGE_SFTP_KNOWN_HOSTS": str(hosts),
        "STORAGE_SFTP_ROOT": str(there.parent),
    }
    command = [sys.executable, "-m", "svstorage.cli", "cp", str(source), "sv://b/big"]
    first = subprocess.Popen([*command, "--bwlimit", "40M"], env=settings)
    try:
        parts = 0
        deadline = time.monotonic() + 60
        while parts < 4 and time.monotonic() < deadline:
            time.sleep(0.05)
            records = list(there.glob(".svstorage-list-*"))
            parts = max((r.read_bytes().count(b'"number"') for r in records), default=0)
        assert parts >= 4
        time.sleep(1.2)  # until the journal has them, too: it is written once in a while
    finally:
        first.kill()
        first.wait()
    assert not (there / "big").exists()
    line.count = 0
    again = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=90)
    assert again.returncode == 0, again.stderr
    assert (there / "big").read_bytes() == source.read_bytes()
    assert line.count < size - 2 * 16 * 2**20
    assert os.listdir(there) == ["big"]


def test_a_forked_child_has_a_connection_of_its_own(connect: Connect) -> None:
    """The thread that serves the parent's is not there, and its socket is not the child's."""
    store = connect()
    bucket = f"forked-{os.getpid()}"
    store.create_bucket(bucket)
    store.put(bucket, "k", b"of the parent", size=13)

    def reads() -> bool:
        for _ in range(20):
            with store.read(bucket, "k") as reader:
                if bytes(reader.read()) != b"of the parent":
                    return False
        return True

    child = os.fork()
    if not child:
        ok = False
        try:
            ok = reads()
        finally:
            os._exit(0 if ok else 1)
    assert reads()
    until = time.monotonic() + 30
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > until:
            os.kill(child, 9)
            os.waitpid(child, 0)
            pytest.fail("the child hangs")
        time.sleep(0.05)
    assert os.waitstatus_to_exitcode(ended[1]) == 0
    assert reads()
