"""Commands that look, behind a proxy that breaks the connection or says "slow down"."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from svstorage.transfer import retry
from tests.cli.conftest import Store, run
from tests.servers.faultproxy import SLOW_DOWN, FaultProxy, cut, status

pytestmark = pytest.mark.faults


@pytest.fixture
def behind(
    new_store: Callable[..., Store],
    fault_proxy: Callable[..., FaultProxy],
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Store, FaultProxy]:
    """An S3 storage with ten objects, reached through the proxy from now on."""
    monkeypatch.setattr(retry, "LONGEST_WAIT", 0.2)
    store = new_store("s3")
    for number in range(10):
        store.write(f"k{number}", bytes([number + 48]) * 200_000)
    server = store.server.server
    proxy = fault_proxy(server.endpoint, seed=5)
    values = {**server.env(), "STORAGE_ENDPOINT": proxy.endpoint}
    values["STORAGE_BUCKETS_PREFIX"] = store.prefix
    store.env_file.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return store, proxy


def test_a_service_that_asks_to_slow_down(behind: tuple[Store, FaultProxy]) -> None:
    store, proxy = behind
    for words in (["ls", "public:"], ["du", "public:"], ["stat", "public:k1"], ["ls"],
                  ["find", "public:"], ["rm", "public:k9"]):  # fmt: skip
        proxy.rules.append(status(503, body=SLOW_DOWN, times=2))
        store(*words).ok()
    assert len(proxy.faults()) >= 6
    assert "k9" not in store.holds()


def test_rm_and_rb_ask_again(behind: tuple[Store, FaultProxy]) -> None:
    store, proxy = behind
    store.write("d/x", b"x")
    for words, code, told in (
        (["rm", "public:d"], 2, "this is a folder"),
        (["rb", f"sv://{store.public}"], 1, "it is not empty"),
    ):
        proxy.rules[:] = [status(503, body=SLOW_DOWN, method="GET", path="list-type", times=2)]
        done = store(*words)
        assert (done.code, told in done.err) == (code, True), done.said
        assert proxy.rules[0].done == 2
    assert len(store.holds()) == 11


def test_a_bucket_whose_removal_was_not_answered(behind: tuple[Store, FaultProxy]) -> None:
    store, proxy = behind
    proxy.rules.append(cut("response-head", method="DELETE", times=1))
    store("rb", "--force", f"sv://{store.public}").ok()
    assert len(proxy.faults()) == 1
    assert store.public not in store.server.buckets()


def test_globs_are_spread_by_a_service_that_asks_to_slow_down(
    behind: tuple[Store, FaultProxy],
) -> None:
    store, proxy = behind
    store.write("d/x", b"x")
    for glob, found in (("k*", 10), ("**", 11), ("*/x", 1)):
        for skip in (0, 1):  # the look for something of exactly this name, and the listing
            proxy.rules[:] = [
                status(503, body=SLOW_DOWN, method="GET", path="list-type", times=2, skip=skip)
            ]
            done = store("ls", f"public:{glob}").ok()
            assert len(done.out.splitlines()) == found
            assert proxy.rules[0].done == 2


def test_a_body_that_breaks_off_is_read_on(behind: tuple[Store, FaultProxy]) -> None:
    store, proxy = behind
    proxy.rules.append(cut("response-body", after=50_000, method="GET", path="k3", times=2))
    done = store("cat", "public:k3").ok()
    assert done.out == "3" * 200_000
    assert len(proxy.faults()) == 2


def test_a_service_that_is_gone_ends_in_exit_3_or_1(behind: tuple[Store, FaultProxy]) -> None:
    store, proxy = behind
    proxy.rules.append(status(503, body=SLOW_DOWN))
    for words in (["ls", "public:"], ["cat", "public:k1"], ["config", "check"]):
        done = store(*words)
        assert done.code in (1, 3), done.said
        assert "503" in done.err
        assert "Traceback" not in done.err


def test_a_copy_that_fails_in_part_goes_on(
    behind: tuple[Store, FaultProxy], tmp_path: Path
) -> None:
    store, proxy = behind
    proxy.rules.append(cut("response-body", after=100, path="k4"))
    target = f"{tmp_path}/down/"
    done = store("cp", "-r", "public:", target, "--retries", "1", "--report", tmp_path / "r")
    assert done.code == 1
    assert f"sv://{store.public}/k4" in done.err
    assert "9 copied, 1 failed" in done.err
    assert not (tmp_path / "down/k4").exists()
    proxy.rules.clear()
    again = run("--env-file", store.env_file, "sync", "public:", target).ok()
    assert "1 copied, 9 unchanged" in again.err
