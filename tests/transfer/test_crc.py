"""CRCs of whole objects: AWS tells one of each object, and an encrypted bucket nothing else.

SeaweedFS checks the CRCs that a client sends, puts those of parts together and tells them; moto
keeps them unchecked. No server that runs here computes them by itself, as AWS does: for that there
is `Kms`, a scripted service.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import svstorage
from svstorage.model import CRC_BYTES, Checksum
from svstorage.strategies import crc, parts
from svstorage.strategies.crc import Crc, crc_of, joined
from svstorage.transfer.options import TransferOptions
from tests.servers.faultproxy import FaultProxy, flip
from tests.servers.scripted import Answer, Asked, ScriptedS3, error
from tests.transfer.conftest import Side

MIB = 1 << 20
CHECK = b"123456789"


def test_published_check_values() -> None:
    """Of the catalogue of parametrised CRC algorithms (reveng), and RFC 3720 for CRC-32C."""
    assert crc_of("crc64nvme", CHECK) == Checksum("crc64nvme", "ae8b14860a799888")
    assert crc_of("crc32c", CHECK) == Checksum("crc32c", "e3069283")
    assert crc_of("crc32", CHECK) == Checksum("crc32", "cbf43926")


@pytest.mark.parametrize("algorithm", list(CRC_BYTES))
def test_parts_are_put_together(algorithm: Any) -> None:
    data = os.urandom(100_000)
    made = []
    for start, end in ((0, 1), (1, 1), (1, 70_000), (70_000, 100_000)):
        part = Crc(algorithm)
        for at in range(start, end, 4096):
            part.update(data[at : min(end, at + 4096)])
        made.append(part)
    assert joined(made) == crc_of(algorithm, data)


@pytest.fixture
def told(side: Callable[[str], Side], tmp_path: Path) -> Iterator[Side]:
    """A bucket of a service that is said to tell CRCs."""
    one = side("moto")
    env = one.server.write_env(tmp_path / "crc.env", STORAGE_S3_CHECKSUMS="on")
    with svstorage.connect(env_file=env) as storage:
        yield Side(one.kind, one.address, storage, one.server, one.bucket)


def in_parts(side: Side, key: str, data: bytes, part: int = 5 * MIB) -> None:
    """As an AWS SDK uploads it today: parts, and a CRC of the whole."""
    where = {"Bucket": side.bucket, "Key": key}
    upload = side.client.create_multipart_upload(
        **where, ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT"
    )["UploadId"]
    done = []
    for number, at in enumerate(range(0, len(data), part), start=1):
        answer = side.client.upload_part(
            **where, UploadId=upload, PartNumber=number, Body=data[at : at + part],
            ChecksumAlgorithm="CRC64NVME",
        )  # fmt: skip
        done.append({"PartNumber": number, "ETag": answer["ETag"]})
    side.client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": done})


def down(source: Side, destination: Side, **options: Any) -> Any:
    return svstorage.copy(
        source.address, destination.address, source=source.storage, recursive=True,
        options=TransferOptions(**options),
    )  # fmt: skip


def test_a_claim_of_a_service_that_has_none_is_not_believed(side: Callable[[str], Side]) -> None:
    """rclone keeps whatever CRC a client claims, and repeats it to all."""
    source, there = side("s3"), side("local")
    source.client.put_object(
        Bucket=source.bucket, Key="f", Body=b"content", Metadata={}, ChecksumCRC32="AAAAAA=="
    )
    assert source.storage is not None
    assert source.storage.store.head(source.bucket, "f").crc is None
    assert down(source, there).ok
    assert there.content() == {"f": b"content"}


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    from svstorage.transfer import carry

    monkeypatch.setattr(parts, "PARTS_THRESHOLD", 10 * MIB)
    monkeypatch.setattr(carry, "PARTS_THRESHOLD", 10 * MIB)


def test_a_big_download_is_compared_by_its_crc(
    told: Side, side: Callable[[str], Side], small_parts: None
) -> None:
    """And no MD5 is computed on the way, which would take ten times as long."""
    data = os.urandom(12 * MIB)
    in_parts(told, "big", data)
    info = told.storage.store.head(told.bucket, "big")
    assert info.crc == crc_of("crc64nvme", data)
    there = side("local")

    def none(*args: Any, **options: Any) -> None:
        raise AssertionError("an MD5")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashlib, "md5", none)
        report = down(told, there)
    assert report.ok, report.failures
    assert there.content() == {"big": data}
    assert report.strategies == {"parts": 1}


def test_seaweedfs_and_we_come_to_the_same_crc(
    seaweed_s3: Any, side: Callable[[str], Side], small_parts: None, tmp_path: Path
) -> None:
    """Its own arithmetic, over the parts of another client, against ours."""
    data = os.urandom(12 * MIB)
    client = seaweed_s3.client()
    bucket = f"crc-{os.urandom(6).hex()}"
    client.create_bucket(Bucket=bucket)
    env = seaweed_s3.write_env(tmp_path / "weed.env", STORAGE_S3_CHECKSUMS="on")
    there, heard = side("local"), []
    with svstorage.connect(env_file=env) as storage:
        source = Side("s3", f"sv://{bucket}/", storage, seaweed_s3, bucket)
        in_parts(source, "big", data)
        assert storage.store.head(bucket, "big").crc == crc_of("crc64nvme", data)
        report = svstorage.copy(
            source.address, there.address, source=storage, recursive=True, on_result=heard.append
        )
    assert report.ok, report.failures
    assert heard[-1].checksum == crc_of("crc64nvme", data)
    assert there.content() == {"big": data}


def test_a_crc_that_differs_is_never_published(
    told: Side, side: Callable[[str], Side], small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_parts(told, "big", os.urandom(12 * MIB))
    there = side("local")
    real = Crc.update

    def other(self: Crc, data: Any) -> None:  # as if a byte had been flipped on the way
        real(self, b"\xff" + bytes(data)[1:])

    monkeypatch.setattr(Crc, "update", other)
    report = down(told, there, retries=0)
    assert [f.error_kind for f in report.failures] == ["ChecksumMismatch"]
    assert "not those announced (CRC)" in str(report.failures[0].error)
    assert there.keys() == {}


@pytest.mark.faults
@pytest.mark.parametrize("megabytes", [9, 12])
def test_a_byte_altered_on_its_way_down_is_noticed_by_the_crc(
    told: Side,
    side: Callable[[str], Side],
    small_parts: None,
    tmp_path: Path,
    fault_proxy: Callable[..., FaultProxy],
    megabytes: int,
) -> None:
    """One object in one piece, one in parts: a real flip, the named object, nothing published."""
    data = os.urandom(megabytes * MIB)
    in_parts(told, "big", data)
    proxy = fault_proxy(told.server.endpoint)
    when = {"when": lambda r: r.target.split("?")[0].endswith("/big")}
    proxy.rules.append(flip("response-body", after=70_000, times=1, method="GET", **when))
    env = told.server.at(proxy.endpoint).write_env(
        tmp_path / "proxy.env", STORAGE_S3_CHECKSUMS="on"
    )
    there = side("local")
    with svstorage.connect(env_file=env) as storage:
        through = Side(told.kind, told.address, storage, told.server, told.bucket)
        report = down(through, there, retries=0)
        assert [(f.key, f.error_kind) for f in report.failures] == [("big", "ChecksumMismatch")]
        assert "(CRC)" in str(report.failures[0].error)
        assert len(proxy.faults()) == 1
        assert there.keys() == {}
        assert down(through, there, retries=0).ok
    assert there.content() == {"big": data}


def test_parts_of_an_earlier_run_are_read_again(
    told: Side, side: Callable[[str], Side], small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(40 * MIB)
    in_parts(told, "big", data)
    there = side("local")
    from svstorage.errors import ConnectionFailed
    from svstorage.providers.local.store import LocalStore

    real, turns = LocalStore.put_part, itertools.count()

    def failing(self: Any, *args: Any, **options: Any) -> Any:
        if next(turns):  # one thread gets the 0, however many there are
            raise ConnectionFailed("cut")
        return real(self, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalStore, "put_part", failing)
        patch.setattr(parts, "PART_TRIES", 1)
        assert not down(told, there, retries=0).ok
    reading: list[int] = []
    from svstorage.strategies.part_crcs import PartCrcs

    before = PartCrcs._read
    monkeypatch.setattr(
        PartCrcs, "_read", lambda self, *args: (reading.append(1), before(self, *args))[1]
    )
    report = down(told, there)
    assert report.ok, report.failures
    assert there.content() == {"big": data}
    assert len(reading) == 1


def test_check_compares_crcs(told: Side, side: Callable[[str], Side], small_parts: None) -> None:
    """Cut into other parts, so that the ETags differ: nothing is read between two buckets."""
    data = os.urandom(12 * MIB)
    in_parts(told, "big", data, 5 * MIB)
    other = side("moto")
    second = Side(other.kind, other.address, told.storage, other.server, other.bucket)
    in_parts(second, "big", data, 6 * MIB)
    report = svstorage.check(
        told.address, second.address, source=told.storage, destination=told.storage,
        options=TransferOptions(read_back=True),
    )  # fmt: skip
    assert (report.exit_code, report.counters.skipped) == (0, 1)
    in_parts(second, "big", data[:-1] + b"?", 6 * MIB)
    report = svstorage.check(
        told.address, second.address, source=told.storage, destination=told.storage,
        options=TransferOptions(read_back=True),
    )  # fmt: skip
    assert report.exit_code == 1


class Kms:
    """AWS with a bucket under SSE-KMS: ETags are no digests, CRCs are told."""

    def __init__(self, service: ScriptedS3) -> None:
        self.service = service
        self.spoil = False
        service.answer = self

    def __call__(self, asked: Asked) -> Answer | None:
        headers = {k: v for k, v in asked.headers.items() if k != "if-match"}  # of our own ETags
        answer = self.service.honest(replace(asked, headers=headers))
        if not asked.key or answer.status >= 300 or asked.method == "DELETE":
            return answer
        headers = {**answer.headers, "x-amz-server-side-encryption": "aws:kms"}
        if "uploads" in asked.query or "partNumber" in asked.query:
            return Answer(answer.status, answer.body, headers, answer.length)
        data = self.service.objects[asked.key]
        told = bytes.fromhex(crc_of("crc64nvme", data).value)
        value = base64.b64encode(bytes(8) if self.spoil else told).decode()
        if asked.method == "POST":
            body = answer.body.replace(
                b"</Comp", f"<ChecksumCRC64NVME>{value}</ChecksumCRC64NVME></Comp".encode()
            )
            return Answer(200, body, headers)
        headers["ETag"] = '"%032x"' % (len(data) + 1)
        if asked.method == "PUT" or asked.headers.get("x-amz-checksum-mode") == "ENABLED":
            headers |= {"x-amz-checksum-crc64nvme": value, "x-amz-checksum-type": "FULL_OBJECT"}
        return Answer(answer.status, answer.body, headers, answer.length)


@pytest.fixture
def kms(scripted_s3: Callable[[], ScriptedS3]) -> Kms:
    return Kms(scripted_s3())


@pytest.fixture
def encrypted(kms: Kms, tmp_path: Path) -> Iterator[Any]:
    env = kms.service.write_env(tmp_path / "kms.env", STORAGE_S3_CHECKSUMS="on")
    with svstorage.connect(env_file=env) as storage:
        yield storage


SIZES = {"native": 1000, "parts": 12 * MIB}


@pytest.mark.parametrize("strategy", ["native", "stream", "parts"])
def test_what_an_encrypted_bucket_holds_is_confirmed_by_crc(
    kms: Kms, encrypted: Any, side: Callable[[str], Side], small_parts: None, strategy: str
) -> None:
    here = side("local")
    size = SIZES.get(strategy, 9 * MIB)
    here.put("f", os.urandom(size))
    heard: list[Any] = []

    def up(**options: Any) -> Any:
        return svstorage.copy(
            here.address, "sv://bucket/", destination=encrypted, recursive=True,
            options=TransferOptions(strategy=strategy, retries=0, **options),
            on_result=heard.append,
        )  # fmt: skip

    report = up()
    assert report.ok, report.failures
    assert heard[-1].checksum == crc_of("crc64nvme", here.get("f"))
    kms.spoil = True
    report = up()
    assert [f.error_kind for f in report.failures] == ["ChecksumMismatch"]


@pytest.mark.parametrize("size", [1000, 9 * MIB, 12 * MIB])
def test_what_comes_out_of_an_encrypted_bucket_is_compared_by_crc(
    kms: Kms, encrypted: Any, side: Callable[[str], Side], small_parts: None, size: int
) -> None:
    data = os.urandom(size)
    kms.service.objects["f"] = data
    kms.service.listing = None
    there = side("local")

    def down() -> Any:
        return svstorage.copy(
            "sv://bucket/f", there.address, source=encrypted, options=TransferOptions(retries=0)
        )

    kms.spoil = True
    report = down()
    assert [f.error_kind for f in report.failures] == ["ChecksumMismatch"]
    assert there.keys() == {}
    kms.spoil = False
    assert down().ok
    assert there.content() == {"f": data}


def test_one_who_may_not_decrypt_is_not_told_the_crc_and_goes_on(
    kms: Kms, encrypted: Any, side: Callable[[str], Side]
) -> None:
    """AWS refuses a HEAD that asks for the CRC where kms:Decrypt is not granted."""

    def refuses(asked: Asked) -> Answer | None:
        if asked.method == "HEAD" and "x-amz-checksum-mode" in asked.headers:
            return error(403, "AccessDenied")
        return kms(asked)

    kms.service.answer = refuses
    kms.service.objects["f"] = b"x"
    info = encrypted.store.head("bucket", "f")
    assert (info.entry.size, info.crc) == (1, None)


def test_without_awscrt_it_is_md5_that_is_compared(
    told: Side, side: Callable[[str], Side], small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an extra. The CRC that moto tells here is wrong, the MD5 is right."""
    monkeypatch.setattr(crc, "_table", dict)
    data = os.urandom(12 * MIB)
    told.client.put_object(
        Bucket=told.bucket,
        Key="f",
        Body=data,
        ChecksumCRC64NVME=base64.b64encode(bytes(8)).decode(),
    )
    there = side("local")
    heard: list[Any] = []
    report = svstorage.copy(
        told.address, there.address, source=told.storage, recursive=True, on_result=heard.append
    )
    assert report.ok, report.failures
    assert heard[-1].checksum.algorithm == "md5"
    assert there.content() == {"f": data}


@pytest.mark.parametrize("by", ["crc", "md5"])
def test_a_blob_made_of_blocks_gets_the_md5_that_its_bytes_were_compared_with(
    told: Side, side: Callable[[str], Side], small_parts: None, by: str
) -> None:
    """Azure computes none itself. With one, later checks read nothing."""
    data = os.urandom(12 * MIB)
    there = side("azure")
    md5 = hashlib.md5(data).digest()
    wanted = {"ChecksumAlgorithm": "CRC64NVME"} if by == "crc" else {}
    told.client.put_object(Bucket=told.bucket, Key="f", Body=data, **wanted)
    assert (told.storage.store.head(told.bucket, "f").crc is not None) == (by == "crc")
    report = svstorage.copy(
        told.address, there.address, source=told.storage, destination=there.storage,
        recursive=True,
    )  # fmt: skip
    assert report.ok, report.failures
    assert report.strategies == {"parts": 1}
    blob = there.client.get_blob_client(there.bucket, "f").get_blob_properties()
    assert bytes(blob.content_settings.content_md5) == md5


def test_a_blob_whose_bytes_were_compared_with_nothing_whole_gets_no_md5(
    told: Side, side: Callable[[str], Side], small_parts: None
) -> None:
    there = side("azure")
    told.client.put_object(Bucket=told.bucket, Key="f", Body=os.urandom(12 * MIB))
    report = svstorage.copy(
        told.address, there.address, source=told.storage, destination=there.storage,
        recursive=True, options=TransferOptions(verify="size"),
    )  # fmt: skip
    assert report.ok, report.failures
    blob = there.client.get_blob_client(there.bucket, "f").get_blob_properties()
    assert blob.content_settings.content_md5 is None
