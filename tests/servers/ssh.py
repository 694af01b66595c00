"""An OpenSSH server with SFTP, for providers that speak it."""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.process import free_port, listens, running
from tests.servers.s3 import needs


@dataclass(frozen=True, slots=True)
class SshServer:
    """A running sshd that lets the current user in by ``key_file``; see ``data`` for its files."""

    host: str
    port: int
    user: str
    key_file: Path
    known_hosts: Path
    """The server's host key, in the client's format."""
    data: Path
    """An empty folder for the tests' objects (the server itself sees the whole disk)."""

    @property
    def endpoint(self) -> str:
        return f"sftp://{self.host}:{self.port}"


def _keygen(path: Path) -> str:
    command = [needs("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "svstorage-tests"]
    subprocess.run([*command, "-f", str(path)], check=True, stdin=subprocess.DEVNULL)
    return path.with_name(path.name + ".pub").read_text().strip()


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """OpenSSH's server as the current user, with its own host key, SFTP only."""
    program = needs("sshd")
    folder = tmp_path_factory.mktemp("sshd")
    folder.chmod(0o700)
    host_key = _keygen(folder / "host_key")
    (folder / "authorized_keys").write_text(_keygen(folder / "client_key") + "\n")
    data = folder / "data"
    data.mkdir()
    port = free_port()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    config = folder / "sshd_config"
    config.write_text(
        f"""ListenAddress 127.0.0.1:{port}
HostKey {folder}/host_key
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/authorized_keys
AuthenticationMethods publickey
PermitRootLogin prohibit-password
UsePAM no
StrictModes no
Subsystem sftp internal-sftp
ForceCommand internal-sftp
MaxStartups 100
MaxSessions 100
"""
    )
    if os.geteuid() == 0:
        # sshd started by root separates privileges into this folder, made by its service script.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    command = [program, "-D", "-e", "-f", str(config)]
    with running(command, folder=folder / "run", ready=lambda: listens(port)):
        yield SshServer(
            host="127.0.0.1",
            port=port,
            user=getpass.getuser(),
            key_file=folder / "client_key",
            known_hosts=folder / "known_hosts",
            data=data,
        )
