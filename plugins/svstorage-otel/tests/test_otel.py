"""Spans and metrics of real runs, in memory and over the wire."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from opentelemetry.trace import StatusCode

import svstorage
from svstorage.plugins import plugins
from svstorage.transfer.options import TransferOptions
from tests.servers.faultproxy import status
from tests.servers.process import clean_environment, free_port

SECRET = "c4n4ry-s3cret-value"


def tree(root: Path, count: int = 5) -> None:
    root.mkdir()
    for number in range(count):
        (root / f"f{number}").write_text("x" * 10)


def test_a_run_and_its_objects(telemetry, tmp_path):
    tree(tmp_path / "src")
    assert svstorage.sync("src", "dst").ok
    (run,) = telemetry.named("svstorage sync")
    assert run.attributes["svstorage.source"] == "src"
    assert run.attributes["svstorage.copied"] == 5
    assert run.attributes["svstorage.bytes_copied"] == 50
    assert run.attributes["svstorage.exit_code"] == 0
    assert run.status.status_code is StatusCode.UNSET
    objects = telemetry.named("svstorage object")
    assert {span.attributes["svstorage.key"] for span in objects} == {f"f{n}" for n in range(5)}
    for span in objects:
        assert span.parent.span_id == run.context.span_id
        assert run.start_time <= span.start_time <= span.end_time <= run.end_time
    assert telemetry.sums("svstorage.copied") == {("sync",): 50}
    assert telemetry.sums("svstorage.objects") == {("copy", "sync", "done"): 5}
    assert telemetry.sums("svstorage.object.duration") == {("copy", "sync", "done"): 5}
    assert telemetry.sums("svstorage.runs") == {(0, "sync"): 1}


def test_what_needed_no_work_is_counted(telemetry, tmp_path):
    tree(tmp_path / "src")
    svstorage.sync("src", "dst")
    svstorage.sync("src", "dst")  # nobody asked for each by name
    svstorage.sync("src", "dst", on_result=lambda result: None)
    assert telemetry.sums("svstorage.objects") == {
        ("copy", "sync", "done"): 5,
        ("skip", "sync", "done"): 10,
    }
    assert len(telemetry.named("svstorage object")) == 5


def test_a_failure(telemetry, tmp_path):
    tree(tmp_path / "src")
    (tmp_path / "dst/f3/in the way").mkdir(parents=True)
    assert svstorage.sync("src", "dst").exit_code == 1
    (run,) = telemetry.named("svstorage sync")
    assert run.status.status_code is StatusCode.ERROR
    failed = [
        span
        for span in telemetry.named("svstorage object")
        if span.status.status_code is StatusCode.ERROR
    ]
    assert [span.attributes["svstorage.key"] for span in failed] == ["f3"]
    assert failed[0].attributes["error.type"]
    assert failed[0].status.description
    sums = telemetry.sums("svstorage.objects")
    assert sum(count for by, count in sums.items() if "failed" in by) == 1


def test_a_run_that_cannot_be_meant(telemetry, tmp_path):
    tree(tmp_path / "src")
    with pytest.raises(svstorage.StorageError):
        svstorage.sync("src", "dst", options=TransferOptions(delete=True, max_delete=-1))
    svstorage.sync("src", "dst")
    spans = telemetry.named("svstorage sync")
    assert spans[-1].attributes["svstorage.exit_code"] == 0


def test_further_tries_and_parts(telemetry, rclone_s3, fault_proxy, tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/small").write_bytes(b"x" * 100)
    bucket = rclone_s3.new_bucket()
    proxy = fault_proxy(rclone_s3.endpoint)
    proxy.rules.append(status(503, method="PUT", path="small", times=2))
    with svstorage.connect(
        env_file=rclone_s3.at(proxy.endpoint).write_env(tmp_path / "env")
    ) as storage:
        report = svstorage.sync("src", f"sv://{bucket}/", destination=storage)
        assert report.ok, report
        assert report.counters.retries
        (span,) = telemetry.named("svstorage object")
        assert span.attributes["svstorage.attempts"] == report.counters.retries + 1
        tries = [event for event in span.events if event.name == "try failed"]
        assert len(tries) == report.counters.retries
        sums = telemetry.sums("svstorage.retries")
        assert sum(sums.values()) == report.counters.retries
        (tmp_path / "src/big").write_bytes(bytes(65 * 1024 * 1024))
        assert svstorage.sync("src", f"sv://{bucket}/", destination=storage).ok
    big = telemetry.named("svstorage object")[-1]
    parts = [event for event in big.events if event.name == "part"]
    assert sum(event.attributes["size"] for event in parts) == 65 * 1024 * 1024
    assert telemetry.sums("svstorage.parts") == {("sync",): len(parts)}
    assert telemetry.sums("svstorage.parts.size") == {("sync",): 65 * 1024 * 1024}
    rclone_s3.drop_bucket(bucket)


def test_spans_are_bounded_and_metrics_are_not(telemetry, tmp_path, monkeypatch):
    monkeypatch.setenv("SVSTORAGE_OTEL_OBJECTS", "2")
    tree(tmp_path / "src", 9)
    for name in ("f4", "f7", "f8"):
        (tmp_path / "dst" / name / "in the way").mkdir(parents=True)
    svstorage.sync("src", "dst")
    assert len(telemetry.named("svstorage object")) == 4
    (run,) = telemetry.named("svstorage sync")
    assert run.attributes["svstorage.objects_without_span"] == 5
    assert sum(telemetry.sums("svstorage.objects").values()) == 9


def test_names_that_are_no_utf8_are_sent(telemetry, tmp_path):
    (tmp_path / "src").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "src") + b"/caf\xe9")).write_text("x")
    assert svstorage.sync("src", "dst").ok
    (span,) = telemetry.named("svstorage object")
    assert span.attributes["svstorage.key"] == "caf\\udce9"


def test_addresses_are_masked():
    from svstorage_otel.run_trace import text

    assert SECRET not in text(f"https://user:{SECRET}@host/a?sig={SECRET}")
    assert text("sv://bucket/key") == "sv://bucket/key"


def _command(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "svstorage.cli", *words],
        cwd=folder, env=clean_environment(folder, **env),
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip


def test_the_command_sends_otlp_without_secrets(receiver, rclone_s3, tmp_path):
    bucket = rclone_s3.new_bucket()
    tree(tmp_path / "src")
    rclone_s3.write_env(tmp_path / ".env", STORAGE_SAS_TOKEN=f"?sv=1&sig={SECRET}")
    done = _command(
        tmp_path, "sync", "src", f"sv://{bucket}/", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint
    )
    assert done.returncode == 0, done.stderr
    names = [span.name for span in receiver.spans]
    assert sorted(names) == ["svstorage object"] * 5 + ["svstorage sync"]
    assert receiver.services == {"svstorage"}
    copied = [metric for metric in receiver.metrics if metric.name == "svstorage.copied"]
    assert copied[-1].sum.data_points[0].as_int == 50
    assert copied[-1].unit == "By"
    sent = b"".join(receiver.raw)
    assert bucket.encode() in sent, "the search is worth nothing if it finds nothing"
    for secret in (rclone_s3.secret_key, SECRET):
        assert secret.encode() not in sent
    rclone_s3.drop_bucket(bucket)


def test_without_a_receiver_nothing_is_loaded_or_said(tmp_path):
    tree(tmp_path / "src")
    done = _command(tmp_path, "sync", "src", "dst")
    assert (done.returncode, "elemetry" in done.stderr) == (0, False)
    code = (
        "import sys, svstorage.plugins as p; p.plugins(); sys.exit('opentelemetry' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_a_receiver_that_is_not_there_costs_only_seconds(tmp_path):
    tree(tmp_path / "src")
    endpoint = f"http://127.0.0.1:{free_port()}"
    began = time.monotonic()
    done = _command(tmp_path, "sync", "src", "dst", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    assert done.returncode == 0
    assert done.stderr.count("telemetry") == 1, "told once, in one line"
    assert "Traceback" not in done.stderr
    assert (tmp_path / "dst/f4").exists()
    assert time.monotonic() - began < 60  # not for ever


def test_an_observer_that_fails_harms_nothing(tmp_path, monkeypatch, caplog):
    class Broken:
        name, summary = "broken", ""
        heard = 0

        def observe(self, event):
            self.heard += 1
            raise RuntimeError("no")

    broken = Broken()
    monkeypatch.setitem(plugins().registry.observers, "broken", broken)
    tree(tmp_path / "src")
    assert svstorage.sync("src", "dst").ok
    assert broken.heard == 1
    assert "'broken'" in caplog.text
