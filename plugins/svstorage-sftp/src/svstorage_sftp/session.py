"""One connection to the server, shared by all threads, made when first needed and again when lost.

asyncssh is asynchronous: its event loop runs in a thread of its own, and callers wait for what
they send there. Requests of many threads travel side by side on the one connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import weakref
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import asyncssh

from svstorage import forks
from svstorage.credentials.base import CredentialSource
from svstorage.errors import ConnectionFailed
from svstorage_sftp.config import KNOWN_HOSTS, SftpConfig
from svstorage_sftp.credentials import SftpCredentials
from svstorage_sftp.failures import connect_failure, key_failure

log = logging.getLogger(__name__)

T = TypeVar("T")

CONNECT_SECONDS = 15
LOGIN_SECONDS = 30
# A server that says nothing for a minute is gone; a slow disk behind it still answers these.
KEEPALIVE_SECONDS = 15
KEEPALIVE_COUNT = 4
# Before ChaCha20, which asyncssh prefers: it costs a Python client a fifth more CPU.
_FAST_FIRST = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"


class Session:
    """The connection. All methods may be called from any thread but the loop's own."""

    def __init__(
        self, config: SftpConfig, credentials: CredentialSource[SftpCredentials] | None
    ) -> None:
        self._config = config
        self._credentials = credentials
        self._lock = threading.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: asyncssh.SFTPClient | None = None
        self._watcher: asyncio.Future[None] | None = None
        self._of_parent: list[object] = []
        self._begin()
        forks.renew_in_child(self)

    def _begin(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_told_already)
        thread = threading.Thread(target=_serve, args=(self._loop,), name="sftp", daemon=True)
        thread.start()
        # For stores that nobody closes: the thread must not outlive them.
        self._stop = weakref.finalize(self, _stop, self._loop)

    def after_fork(self) -> None:
        self._stop.detach()
        # Kept: to clean them up would take sockets out of the poll that the parent waits in.
        self._of_parent += [self._loop, self._connection, self._client, self._watcher]
        self._lock = threading.Lock()
        self._connection = self._client = self._watcher = None
        self._begin()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start ``work`` on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What ``work`` returns or raises."""
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def client(self) -> asyncssh.SFTPClient:
        """The client, connected. Raises `ConnectionFailed` or `CredentialsError`."""
        client, connection = self._client, self._connection
        if client is not None and connection is not None and not connection.is_closed():
            return client
        with self._lock:
            client, connection = self._client, self._connection
            if client is None or connection is None or connection.is_closed():
                if connection is not None:
                    self._loop.call_soon_threadsafe(connection.abort)
                self._connection, client = self.run(self._connect())
                self._client = client
            return client

    async def _connect(self) -> tuple[asyncssh.SSHClientConnection, asyncssh.SFTPClient]:
        config = self._config
        offered = self._credentials.get() if self._credentials else SftpCredentials()
        where = f"{config.host} port {config.port}"
        known = _known_hosts(config)
        try:
            keys, agent = await _keys(offered)
        except (OSError, asyncssh.Error, asyncssh.KeyImportError, ValueError) as error:
            raise key_failure(error, agent=offered.agent is not None) from None
        try:
            connection = await asyncssh.connect(
                config.host,
                config.port,
                # Nothing of the machine's own: no ~/.ssh/config, default keys, Kerberos, rhosts.
                config=None,
                username=config.user,
                client_keys=keys,
                password=offered.password.reveal() if offered.password else None,
                agent_path=None,
                gss_host=None,
                host_based_auth=False,
                known_hosts=known,
                encryption_algs=_FAST_FIRST,
                connect_timeout=CONNECT_SECONDS,
                login_timeout=LOGIN_SECONDS,
                keepalive_interval=KEEPALIVE_SECONDS,
                keepalive_count_max=KEEPALIVE_COUNT,
            )
        except asyncssh.HostKeyNotVerifiable as error:
            raise self._not_the_host(known, str(error)) from None
        except (OSError, asyncssh.Error, ValueError) as error:
            # Without the cause: asyncssh's frames hold the password.
            raise connect_failure(error, where, config.user) from None
        finally:
            if agent is not None:
                agent.close()
        try:
            # Paths are bytes throughout: names that are not UTF-8 must pass.
            client = await connection.start_sftp_client(path_encoding=None)
        except (OSError, asyncssh.Error) as error:
            connection.abort()
            raise ConnectionFailed(f"{where} offers no SFTP: {error}") from None
        # The server's SFTP process can end while the connection stands.
        self._watcher = asyncio.ensure_future(_watch(client, weakref.ref(self)))
        return connection, client

    def _not_the_host(self, known: asyncssh.SSHKnownHosts, said: str) -> ConnectionFailed:
        """Unknown, or known under another key: the second may be somebody between."""
        config = self._config
        where = f"{config.host} port {config.port}"
        files = ", ".join(str(path) for path in config.known_hosts)
        seen = any(known.match(config.host, "", config.port))
        if seen:
            return ConnectionFailed(
                f"the host key of {where} is not the one known for it in {files}. Somebody may "
                "stand between you and the server: ask its administrator before you replace the "
                "key there. Nothing was sent"
            )
        return ConnectionFailed(
            f"the host key of {where} is not known ({said}). Looked for in: {files}. Add it with "
            f"ssh-keyscan after comparing its fingerprint, or name another file in {KNOWN_HOSTS}. "
            "Nothing was sent"
        )

    def close(self) -> None:
        """End the connection and the thread. A second time does nothing."""
        if not self._stop.alive:
            return
        if self._connection is not None:
            self.run(_goodbye(self._connection))
        self._stop()


def _known_hosts(config: SftpConfig) -> asyncssh.SSHKnownHosts:
    """Always an object: asyncssh takes an empty list or text for "the default files"."""
    files = [str(path) for path in config.known_hosts if path.is_file()]
    try:
        return asyncssh.read_known_hosts(files)
    except (OSError, ValueError) as error:
        named = ", ".join(files)
        raise ConnectionFailed(f"the known hosts of {named} cannot be read: {error}") from None


async def _keys(
    offered: SftpCredentials,
) -> tuple[list[Any] | None, asyncssh.SSHAgentClient | None]:
    """The keys to offer, and the agent that has to sign with them.

    None, not an empty list, which asyncssh takes for "the default ones of this user".
    """
    if offered.agent is not None:
        agent = await asyncssh.connect_agent(offered.agent)
        keys = list(await agent.get_keys())
        if not keys:
            agent.close()
            raise ValueError("the ssh-agent holds no keys")
        return keys, agent
    if offered.key_file is None:
        return None, None
    phrase = offered.passphrase.reveal() if offered.passphrase else None
    return [asyncssh.read_private_key(offered.key_file, phrase)], None


async def _watch(client: asyncssh.SFTPClient, session: weakref.ref[Session]) -> None:
    """Let go of a client whose channel has ended, so that the next call makes another."""
    with contextlib.suppress(OSError, asyncssh.Error):
        await client.wait_closed()
    found = session()
    if found is not None and found._client is client:
        found._client = None


async def _goodbye(connection: asyncssh.SSHClientConnection) -> None:
    connection.close()
    with contextlib.suppress(OSError, asyncssh.Error, asyncio.TimeoutError):
        await asyncio.wait_for(connection.wait_closed(), 5)
        await asyncio.sleep(0)  # for the socket below it to be closed, too


def _told_already(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Of a lost connection each caller hears; asyncio would print what is left of it, too."""
    log.debug("sftp: %s", context.get("message"))


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


def _stop(loop: asyncio.AbstractEventLoop) -> None:
    with contextlib.suppress(RuntimeError):  # closed already
        loop.call_soon_threadsafe(loop.stop)
