"""The page of error messages: every class of error, what to do, and messages as they are said.

The examples are run when the page is built, so that they are the words of today.
"""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from svstorage import errors

# What to do; an error that is missing here fails the build.
_MENDS = {
    "StorageError": "Read the message: it names the object or setting and the reason.",
    "UsageError": "Mend the command. `COMMAND --help` has examples.",
    "SettingsError": "Mend the variable that the message names, in the file and line that it "
    "names. `svstorage config show` lists all that is set, and where.",
    "PluginError": "`svstorage plugins` lists what is installed; install what is missing.",
    "ConnectionFailed": "`svstorage config check` tells name, port and TLS apart. Then run the "
    "same command again.",
    "AccessRefused": "`svstorage config check` tells wrong keys from missing permissions.",
    "CredentialsError": "The message lists each source of credentials that was asked, and why it "
    "had none.",
    "ObjectError": "The others went on. Mend the reason and run the same command again.",
    "ObjectNotFound": "Look with `svstorage ls`. Keys are exact: `a`, `/a` and `a/` are three.",
    "BucketNotFound": "Make it: `svstorage mb sv://NAME`.",
    "ObjectExists": "Meant so by `--on-exists error`, or a bucket of that name is there already.",
    "KeyNotSupported": "Rename the object at the source: the destination cannot hold it under "
    "exactly this name, and another name is never taken.",
    "ObjectChanged": "Somebody writes to it. Run the same command again, if need be while "
    "nobody does.",
    "ChecksumMismatch": "The bytes were altered on the way and were not kept. Run the same "
    "command again; if it comes back, suspect memory, disk or a proxy in between.",
    "Throttled": "It was tried again with growing pauses, in vain. Lower `--concurrency`, or set "
    "`--bwlimit`.",
    "ServiceError": "It was tried again, in vain. See how the service is, then run the same "
    "command again.",
    "CredentialsExpired": "Get new credentials. Those of a role renew themselves.",
    "NotSupported": "This storage has no such operation; the table of "
    "[providers](providers.md) says which has.",
    "ListingError": "Nothing was deleted on its account. Run the same command again; if it comes "
    "back, the service lists wrongly.",
    "Interrupted": "Run the same command again: it goes on where it was.",
}

_S3 = "STORAGE_PROVIDER=minio STORAGE_ENDPOINT=http://127.0.0.1:9 "
_KEYS = "STORAGE_ACCESS_KEY=AKEXAMPLE STORAGE_SECRET_KEY=secret "
# Commands that fail; each is run in the same folder, after _PREPARE.
_PREPARE = (
    "svstorage mb sv://acme-public sv://acme-private",
    "mkdir photos",
    "touch photos/1.txt",
    "svstorage cp -r photos public:",
)
_EXAMPLES = (
    "svstorage cp photos public:album",
    "svstorage cat public:photos/2.txt",
    "svstorage sync photos sv://acme-pubic/photos",
    "svstorage cp --on-exists error photos/1.txt public:photos/1.txt",
    "svstorage cp photos/1.txt public:photos/1.txt/2.txt",
    "svstorage presign public:photos/1.txt",
    "svstorage cp --bwlimit fast -r photos public:",
    "svstorage mgirate --to-env .env.s3",
    "STORAGE_PROVIDER=mino svstorage ls sv://",
    f"{_S3}STORAGE_PORT=nine {_KEYS}svstorage ls sv://",
    f"{_S3}svstorage ls sv://",
    f"{_S3}{_KEYS}svstorage ls sv://",
)


def table() -> Iterator[str]:
    """Every class of error with its exit code, its meaning and what to do."""
    yield "| error | exit code | it means | do |"
    yield "|---|---|---|---|"
    for name, kind in vars(errors).items():
        if inspect.isclass(kind) and issubclass(kind, errors.StorageError):
            first = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
            yield f"| `{name}` | {kind.exit_code} | {first} | {_MENDS[name]} |"


def examples() -> Iterator[str]:
    """Commands that fail, and what they say."""
    with tempfile.TemporaryDirectory() as folder:
        for command in _PREPARE:
            _run(command, folder).check_returncode()
        for command in _EXAMPLES:
            done = _run(command, folder)
            if done.returncode == 0 or "unexpected" in done.stderr:
                raise RuntimeError(f"no example of an error: {command}\n{done.stderr}")
            said = done.stderr.replace(folder, "/srv/example").rstrip()
            yield f"```console\n$ {command}\n{said}\n```\n"
            yield f"Exit code {done.returncode}.\n"


def _run(command: str, folder: str) -> subprocess.CompletedProcess[str]:
    """Run ``command`` with the settings that it names itself, and no others of the builder's."""
    settings, words = re.findall(r"^((?:[A-Z_]+=\S+ )*)(.*)", command)[0]
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("STORAGE_", "SVSTORAGE_", "AWS_", "AZURE_"))
    }
    environ |= dict(one.split("=", 1) for one in settings.split())
    environ |= {"HOME": folder, "AWS_EC2_METADATA_DISABLED": "true", "COLUMNS": "100"}
    environ |= {"DATA_PATH": str(Path(folder, "data")), "PYTHONWARNINGS": "ignore"}
    environ |= {"SVSTORAGE_DISABLE_PLUGINS": "*"}
    program, *rest = words.split()
    # `svstorage` of this very interpreter; any other program as it is found.
    head = [sys.executable, "-m", "svstorage.cli"] if program == "svstorage" else [program]
    return subprocess.run(
        [*head, *rest], cwd=folder, env=environ, text=True, capture_output=True, check=False
    )
