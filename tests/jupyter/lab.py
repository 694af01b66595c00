"""A real Jupyter server with the extension, started as users start it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.servers.process import clean_environment, free_port

TOKEN = "test-token"


class Lab:
    """``svstorage jupyter lab`` (or plain ``jupyter server``) over one folder."""

    def __init__(
        self, folder: Path, env_file: Path, home: Path, *, poll: float = 0.5,
        command: tuple[str, ...] = ("-m", "svstorage.cli", "jupyter", "lab"), **variables: str,
    ) -> None:  # fmt: skip
        self.folder, self.port = folder, free_port()
        config = home / "jupyter-config"
        (config / "labconfig").mkdir(parents=True, exist_ok=True)
        # Its announcements would ask servers elsewhere.
        (config / "labconfig/page_config.json").write_text(
            '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}'
        )
        environment = clean_environment(
            home,
            HOME=str(home),
            JUPYTER_CONFIG_DIR=str(config),
            JUPYTER_DATA_DIR=str(home / "jupyter-data"),
            JUPYTER_RUNTIME_DIR=str(home / "jupyter-runtime"),
            SVSTORAGE_ENV_FILE=str(env_file),
            **variables,
        )
        environment["PATH"] = os.pathsep.join(
            [str(Path(sys.executable).parent), os.environ["PATH"]]
        )
        if "PYTHONPATH" in os.environ:
            environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
        self.log = home / f"{folder.name}.log"
        self._log = open(self.log, "wb")  # noqa: SIM115 - closed with the server
        self.process = subprocess.Popen(
            [
                sys.executable, *command, "--no-browser", "--allow-root",
                "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={self.port}",
                f"--IdentityProvider.token={TOKEN}",
                f"--SvStorageExtension.poll_seconds={poll}",
            ],
            cwd=folder, env=environment, stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def wait(self, seconds: float = 60) -> Lab:
        """Until it answers."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            try:
                self.ask("api/status")
            except (OSError, urllib.error.URLError):
                time.sleep(0.1)
            else:
                return self
        raise AssertionError(self.log.read_text())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, path: str, method: str = "GET", body: Any = None, token: str | None = TOKEN
    ) -> Any:
        """A request as any client makes it; the answer's JSON."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/{path}", data, method=method)
        if token is not None:
            request.add_header("Authorization", f"token {token}")
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def status(self) -> dict[str, Any]:
        return self.ask("svstorage/status")

    def end(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        if self.process.poll() is None:
            self.process.send_signal(sign)
        try:
            return self.process.wait(60)
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self._log.close()
