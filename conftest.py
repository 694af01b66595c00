"""What holds for every test, the plugins' too: servers as fixtures, nothing of the tester's.

It is at the top so that ``pytest`` and ``pytest plugins/NAME`` both find it.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import hypothesis
import pytest

pytest_plugins = [
    "tests.servers.s3",
    "tests.servers.azure",
    "tests.servers.ssh",
    "tests.servers.imds",
    "tests.servers.faultproxy",
    "tests.servers.scripted",
    "tests.servers.front",
]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A suite that was started in the background hands its deaf ears on to the commands it runs.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in each run, so that a red suite stays red until it is mended. A nightly run
# draws others: it sets this variable (see noxfile.py).
hypothesis.settings.register_profile("same", derandomize=True)
SEED = "SVSTORAGE_TEST_SEED"
if SEED not in os.environ:
    hypothesis.settings.load_profile("same")

_FOREIGN = ("AWS_", "AZURE_", "STORAGE_", "SVSTORAGE_", "JUPYTER", "GOOGLE_", "FSSPEC_", "RCLONE_")
_FOREIGN_NAMES = {
    "DATA_PATH", "BOTO_CONFIG", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT",
    "MSI_SECRET", "IMDS_ENDPOINT", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME",
    "XDG_CACHE_HOME",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _isolated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No variable, home or .env file of the tester's, no real metadata service, own folder."""
    for name in list(os.environ):
        upper = name.upper()
        if upper == SEED:
            continue
        if upper.startswith(_FOREIGN) or upper.endswith("_PROXY") or upper in _FOREIGN_NAMES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.chdir(tmp_path)
