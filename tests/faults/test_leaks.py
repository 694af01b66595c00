"""No secret in any word, file, object or process; nothing raw from a key on a terminal."""

from __future__ import annotations

import base64
import os
import pickle
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

import svstorage
from tests.faults.command import Cli
from tests.faults.rows import row
from tests.servers.faultproxy import delay, status
from tests.servers.scripted import ScriptedS3, error

pytestmark = pytest.mark.faults

SECRET = "c4nary/S3cr3t+K3y=with$odd#chars"
TOKEN = "c4naryS3ss10nT0k3n/+=="
SIGNATURE = "c4nary%2FS1gnature%3D"


def forms(secret: str) -> set[str]:
    """A secret as it is, URL-encoded, in base64, in hex."""
    raw = secret.encode()
    return {
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        raw.hex(),
        secret[::-1],
    }


FORBIDDEN = sorted(set().union(*(forms(s) for s in (SECRET, TOKEN, SIGNATURE))))


def search(text: str, where: str) -> None:
    for secret in FORBIDDEN:
        assert secret not in text, f"{where} holds a secret ({secret[:9]}…)"


def search_everywhere(cli: Cli) -> None:
    """All that the commands wrote: both streams, logs, reports, journals, state, home."""
    for folder, _, names in os.walk(cli.folder):
        for name in names:
            path = Path(folder) / name
            search(path.read_bytes().decode("latin-1"), str(path))


@pytest.fixture
def service(scripted_s3: Callable[[], ScriptedS3]) -> ScriptedS3:
    made = scripted_s3()
    made.secret_key = SECRET
    made.objects.update({f"k{n}": b"%d" % n for n in range(5)})
    return made


@pytest.fixture
def env(service: ScriptedS3, tmp_path: Path) -> Path:
    path = tmp_path / "secrets.env"
    path.write_text(
        f"STORAGE_PROVIDER=minio\nSTORAGE_ENDPOINT={service.endpoint}\n"
        f"STORAGE_ACCESS_KEY=canaryaccess\nSTORAGE_SECRET_KEY='{SECRET}'\n"
        f"STORAGE_SESSION_TOKEN='{TOKEN}'\n"
    )
    path.chmod(0o600)
    return path


COMMANDS = (
    ("ls", "-R", "sv://bucket"),
    ("sync", "--report", "report.jsonl", "sv://bucket/", "down/"),
    ("cp", "sv://bucket/k1", "one"),
    ("stat", "sv://bucket/k1"),
    ("cat", "sv://bucket/k1"),
    ("config", "show"),
    ("config", "check"),
    ("rm", "sv://bucket/k4"),
    ("ls", "sv://nowhere"),
    ("plugins",),
)
BAD = {
    "all well": lambda asked: None,
    "refused": lambda asked: error(403, "SignatureDoesNotMatch"),
    "expired": lambda asked: error(400, "ExpiredToken"),
    "an answer that echoes the request": lambda asked: error(
        400,
        f"Echo-{asked.headers.get('authorization')}-{asked.headers.get('x-amz-security-token')}",
    ),
    "500": lambda asked: error(500, "InternalError"),
}


@row("M63", "every command, at every level of words and logs, in failing and in good runs",
     "no secret, raw or encoded, in stdout, stderr, logs, reports, journals")  # fmt: skip
@pytest.mark.parametrize("how", list(BAD))
def test_commands_tell_no_secret(how: str, cli: Cli, service: ScriptedS3, env: Path) -> None:
    service.answer = BAD[how]
    for number, words in enumerate(COMMANDS):
        level = ("-q", "-v", "-vv")[number % 3]
        form = ("--json",) if number % 2 else ()
        tries = ("--retries", "0") if words[0] in ("sync", "cp") else ()
        cli.run(
            "--env-file", env, level, *form, "--log-file", "log", words[0], *tries, *words[1:],
            tweaks={"longest_wait": 0.05},
        )  # fmt: skip
    search_everywhere(cli)


@row("M63", "every command, at every level of words and logs, in failing and in good runs",
     "no secret, raw or encoded, in stdout, stderr, logs, reports, journals")  # fmt: skip
@pytest.mark.parametrize("line", [
    "STORAGE_SECRET_KEY=it's {secret}\n", "STORAGE_SECRET_KEY={secret}\nSTORAGE_SECRET_KEY=x\n",
    "STORAGE_SECRET_KEY\n", "what is {secret}\n",
    "STORAGE_ENDPOINT=http://u:{secret}@127.0.0.1\n", "STORAGE_SECRT_KEY='{secret}'\n",
])  # fmt: skip
def test_bad_settings_are_told_without_their_text(line: str, cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "bad.env"
    path.write_text("STORAGE_PROVIDER=minio\n" + line.replace("{secret}", SECRET))
    path.chmod(0o600)
    for command in (("config", "show"), ("ls", "sv://b"), ("config", "check")):
        cli.run("--env-file", path, "-vv", "--log-file", "log", *command, timeout=30)
    search_everywhere(cli)


@row("M63s", "a SAS signature in place of a key", "as for keys")
def test_sas(cli: Cli, fault_proxy: Any, azurite: Any, tmp_path: Path) -> None:
    proxy = fault_proxy("/".join(azurite.endpoint.split("/")[:3]))
    path = tmp_path / "sas.env"
    sas = f"sv=2022-11-02&ss=b&srt=sco&sp=rl&se=2099-01-01T00:00:00Z&sig={SIGNATURE}"
    there = azurite.at(proxy.endpoint)
    path.write_text(
        f"STORAGE_PROVIDER=azure\nSTORAGE_ENDPOINT={there.endpoint}\n"
        f"STORAGE_ACCESS_KEY={azurite.account}\nSTORAGE_SAS_TOKEN='{sas}'\n"
    )
    path.chmod(0o600)
    for words in (("ls", "sv://bucket"), ("config", "check"), ("config", "show"),
                  ("sync", "sv://bucket/", "down/"), ("cp", "sv://bucket/x", "x")):  # fmt: skip
        cli.run("--env-file", path, "-vv", "--log-file", "log", *words)
    proxy.rules.append(status(500))
    cli.run("--env-file", path, "-vv", "--log-file", "log", "ls", "sv://bucket",
            tweaks={"longest_wait": 0.05})  # fmt: skip
    search_everywhere(cli)


@row("M63o", "repr, str, vars and pickles of public objects, tracebacks with their locals",
     "no secret; what holds one refuses to be pickled or is pickled without")  # fmt: skip
def test_objects(service: ScriptedS3, env: Path) -> None:
    import traceback

    with svstorage.connect(env_file=env) as storage:
        for thing in (storage, storage.settings, storage.config, storage.store, storage.fs):
            for text in (repr(thing), str(thing), f"{thing!r:>10}"):
                search(text, f"the repr of {type(thing).__name__}")
            try:
                held = pickle.dumps(thing)
            except Exception as refused:
                search(str(refused), "a refusal")
                continue
            search(held.decode("latin-1"), f"the pickle of {type(thing).__name__}")
        search(storage.fs.to_json(), "to_json")
        service.answer = BAD["refused"]
        try:
            storage.fs.ls("bucket")
        except Exception as failed:
            told = traceback.TracebackException.from_exception(failed, capture_locals=True)
            search("".join(told.format()), "a traceback with all local variables")
        else:
            raise AssertionError("it was to fail")


@row("M63p", "the command line and the environment of the process and of its children",
     "no secret from a settings file in /proc/PID/cmdline or environ")  # fmt: skip
def test_process(cli: Cli, service: ScriptedS3, env: Path, fault_proxy: Any) -> None:
    proxy = fault_proxy(service.endpoint)
    proxy.rules.append(delay(0.3))
    env.write_text(env.read_text().replace(service.endpoint, proxy.endpoint))
    running = cli.start("--env-file", env, "ls", "-R", "sv://bucket", real=True)
    seen = 0
    end = time.monotonic() + 0.8
    while time.monotonic() < end:
        for name in ("cmdline", "environ"):
            try:
                text = Path(f"/proc/{running.pid}/{name}").read_bytes().decode("latin-1")
            except OSError:
                continue
            seen += 1
            search(text, name)
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
        assert not children.exists() or not children.read_text().strip()
        time.sleep(0.02)
    running.wait()
    assert seen > 4


@row("M62w", "a settings file with secrets that others may read", "a warning that names it")
def test_world_readable(cli: Cli, env: Path) -> None:
    env.chmod(0o644)
    done = cli.run("--env-file", env, "ls", "sv://bucket")
    assert done.code == 0, done.explained
    assert "chmod 600" in done.stderr
    env.chmod(0o600)
    assert "chmod" not in cli.run("--env-file", env, "ls", "sv://bucket").stderr


@row(
    "K1",
    "control characters, bidi marks, escapes in keys",
    "shown escaped on screens, exact in JSON",
)
def test_terminal_escapes(cli: Cli, service: ScriptedS3, env: Path) -> None:  # fmt: skip
    keys = [
        "esc\x1b[31mred",
        "bell\x07",
        "line\nbreak",
        "tab\t",
        "bidi\u202egnp",
        "del\x7f",
        "c1\x9b",
    ]
    service.objects.clear()
    service.objects.update({key: b"x" for key in keys})
    service.answer = lambda a: error(403, "AccessDenied") if a.method == "GET" and a.key else None
    for words in (("ls", "-R", "sv://bucket"), ("du", "sv://bucket"), ("find", "sv://bucket"),
                  ("-v", "sync", "--retries", "0", "sv://bucket/", "down/")):  # fmt: skip
        done = cli.run("--env-file", env, *words)
        bad = re.search(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u202e]", done.stdout + done.stderr)
        assert not bad, (words, bad)
    done = cli.run("--env-file", env, "--json", "ls", "-R", "sv://bucket")
    told = str([list(r.values()) for r in done.records])
    for key in keys:
        assert repr(key)[1:-1] in told


@row("M67", "plugins that are held off, that fail to import, that take a built-in's name",
     "held off means not even imported; a broken one is one warning, the rest works")  # fmt: skip
def test_plugins(cli: Cli, service: ScriptedS3, env: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    info = site / "evil-1.0.dist-info"
    info.mkdir(parents=True)
    canary = tmp_path / "canary"
    (site / "evil.py").write_text(
        f"open({str(canary)!r}, 'w').close()\nraise ValueError('broken')\n"
    )
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[svstorage]\nevil = evil\n")
    where = {"PYTHONPATH": os.pathsep.join([str(site), *filter(None, sys.path[:0])])}
    words = ("--env-file", env, "ls", "sv://bucket")
    for held_off in ({"SVSTORAGE_DISABLE_PLUGINS": "*"}, {"SVSTORAGE_DISABLE_PLUGINS": "evil"},
                     {"SVSTORAGE_DISABLE_PLUGINS": "", "SVSTORAGE_PLUGINS": "other"}):  # fmt: skip
        done = cli.run(*words, real=True, env={**where, **held_off})
        assert done.code == 0, done.explained
        assert not canary.exists(), held_off
    done = cli.run(*words, real=True, env={**where, "SVSTORAGE_DISABLE_PLUGINS": ""})
    assert done.code == 0, done.explained
    assert canary.exists(), "the plugin was never found: the test proves nothing"
    assert "evil" in done.stderr
