"""Linked storages through the command: each entry with its own provider and credentials."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Done, run
from tests.servers.front import Front

AMBIENT = "ambientCanary0123456789"


@dataclass
class Linked:
    """The services of the links file below, and what is in them."""

    folder: Path
    env: Path
    links: Path
    cars: Any
    """moto behind a front, bucket ``cars``."""
    boxes: Any
    """rclone behind a front, bucket ``boxes``."""
    boats: Any
    """Azurite, container ``boats`` by SAS."""
    fronts: dict[str, Front]
    names: dict[str, str]

    def __call__(self, *words: Any) -> Done:
        return run("--env-file", self.env, *words)

    def blob(self, key: str) -> bytes:
        blob = self.boats.client().get_blob_client(self.names["boats"], key)
        return blob.download_blob().readall()

    def object(self, name: str, key: str) -> bytes:
        server = {"cars": self.cars, "boxes": self.boxes}[name]
        return server.client().get_object(Bucket=self.names[name], Key=key)["Body"].read()


def sas(server: Any) -> str:
    from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

    return generate_account_sas(
        server.account,
        server.key,
        ResourceTypes(service=True, container=True, object=True),
        AccountSasPermissions(read=True, write=True, delete=True, list=True, add=True, create=True),
        datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1),
    )


@pytest.fixture
def linked(moto_server, rclone_s3, azurite, front, tmp_path, monkeypatch) -> Linked:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", AMBIENT)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", AMBIENT)
    monkeypatch.setenv("AZURE_STORAGE_KEY", AMBIENT)
    fronts = {"cars": front(moto_server.endpoint), "boxes": front(rclone_s3.endpoint)}
    servers = {"cars": moto_server, "boxes": rclone_s3, "boats": azurite}
    names = {name: server.new_bucket() for name, server in servers.items()}
    disk = tmp_path / "pool"
    (disk / "deep").mkdir(parents=True)
    (disk / "deep" / "file.txt").write_bytes(b"from the pool")
    links = tmp_path / "links.yml"
    links.write_text(
        f"""\
my-cars:
  provider: minio
  endpoint: {fronts["cars"].endpoint}
  access_key: carskey
  secret_key: carssecret
  region: eu-central-1
  buckets: [{names["cars"]}]
my-boxes:
  provider: minio
  endpoint: {fronts["boxes"].endpoint}
  access_key: {rclone_s3.access_key}
  secret_key: {rclone_s3.secret_key}
  buckets: [{names["boxes"]}]
my-boats:
  provider: azure
  endpoint: {azurite.endpoint}
  access_key: {azurite.account}
  secret_key: "?{sas(azurite)}"
  buckets: [{names["boats"]}]
pool:
  provider: http
  path: {disk}
"""
    )
    links.chmod(0o600)
    (tmp_path / "data" / "storage" / "acme-public").mkdir(parents=True)
    env = tmp_path / ".env"
    env.write_text(
        f"STORAGE_PROVIDER=http\nDATA_PATH={tmp_path / 'data'}\nSTORAGE_LINKS_FILE={links}\n"
    )
    env.chmod(0o600)
    return Linked(tmp_path, env, links, moto_server, rclone_s3, azurite, fronts, names)


def test_into_and_out_of_each(linked, tmp_path):
    one = tmp_path / "one.bin"
    one.write_bytes(b"the content")
    names = linked.names
    for url in (
        f"s3://{names['cars']}/d/one.bin",
        f"s3://{names['boxes']}/d/one.bin",
        f"azure://{names['boats']}/d/one.bin",
        "fs://pool/d/one.bin",
        "sv://acme-public/d/one.bin",
    ):
        linked("cp", one, url).ok()
        back = tmp_path / "back.bin"
        back.unlink(missing_ok=True)
        linked("cp", url, back).ok()
        assert back.read_bytes() == b"the content", url
        assert linked("cat", url).ok().out == "the content"
    assert linked.object("cars", "d/one.bin") == b"the content"
    assert linked.object("boxes", "d/one.bin") == b"the content"
    assert linked.blob("d/one.bin") == b"the content"
    assert (tmp_path / "pool" / "d" / "one.bin").read_bytes() == b"the content"
    assert (tmp_path / "data/storage/acme-public/d/one.bin").read_bytes() == b"the content"


def test_from_one_to_another_each_with_its_own_credentials(linked):
    names, fronts = linked.names, linked.fronts
    client = linked.cars.client()
    for number in range(3):
        client.put_object(Bucket=names["cars"], Key=f"set/{number}", Body=b"car %d" % number)
    linked("cp", "-r", f"s3://{names['cars']}/set/", f"s3://{names['boxes']}/set/").ok()
    linked("cp", "-r", f"s3://{names['boxes']}/set/", f"azure://{names['boats']}/set/").ok()
    linked("cp", "-r", f"azure://{names['boats']}/set/", "fs://pool/set/").ok()
    linked("cp", "-r", "fs://pool/set/", "sv://acme-public/set/").ok()
    for number in range(3):
        assert linked.object("boxes", f"set/{number}") == b"car %d" % number
        assert linked.blob(f"set/{number}") == b"car %d" % number
        path = linked.folder / "data/storage/acme-public/set" / str(number)
        assert path.read_bytes() == b"car %d" % number
    assert fronts["cars"].access_keys == {"carskey"}
    assert fronts["boxes"].access_keys == {linked.boxes.access_key}
    assert "eu-central-1" in fronts["cars"].text()
    assert "eu-central-1" not in fronts["boxes"].text()
    for before in fronts.values():
        assert AMBIENT not in before.text()
        assert "carssecret" not in before.text()
        assert linked.boxes.secret_key not in before.text()


def test_by_the_name_of_the_entry(linked, tmp_path):
    """``sv://NAME@bucket/key`` reaches buckets that the entry does not list, too."""
    other = linked.cars.new_bucket()
    one = tmp_path / "one"
    one.write_bytes(b"named")
    linked("cp", one, f"sv://my-cars@{other}/k").ok()
    assert linked.cars.client().get_object(Bucket=other, Key="k")["Body"].read() == b"named"
    assert linked("cat", f"sv://my-cars@{other}/k").ok().out == "named"
    linked("cp", one, f"sv://my-boats@{linked.names['boats']}/k").ok()
    assert linked.blob("k") == b"named"
    assert linked.fronts["cars"].access_keys == {"carskey"}
    linked.cars.drop_bucket(other)


def test_listing_and_removing(linked, tmp_path):
    one = tmp_path / "one"
    one.write_bytes(b"x")
    for url in (f"s3://{linked.names['boxes']}/d/a", f"azure://{linked.names['boats']}/d/a"):
        linked("cp", one, url).ok()
        assert "a" in linked("ls", url.rpartition("/")[0] + "/").ok().out
        linked("rm", url).ok()
        assert linked("cat", url).code == 1
    assert "file.txt" in linked("ls", "fs://pool/deep/").ok().out
    assert linked("cat", "fs://pool/deep/file.txt").ok().out == "from the pool"


def test_odd_keys_go_from_link_to_link(linked):
    keys = ["a//b", "a/../b", "lead%2F+ ü", "trail.", "-rf", "q?versionId=x#f"]
    cars, other = linked.names["cars"], linked.cars.new_bucket()
    for key in keys:
        linked.cars.client().put_object(Bucket=cars, Key=key, Body=key.encode())
    linked("cp", "-r", f"s3://{cars}/", f"sv://my-cars@{other}/").ok()
    assert sorted(linked.cars.keys(other)) == sorted(keys)
    linked.cars.drop_bucket(other)


@pytest.mark.parametrize(
    "url", ["fs://pool/../escape", "fs://pool/deep/../../escape", "fs://pool//abs", "fs://pool/./x"]
)
def test_nothing_leaves_the_folder(linked, tmp_path, url):
    one = tmp_path / "one"
    one.write_bytes(b"x")
    before = sorted(tmp_path.rglob("*"))
    assert linked("cp", one, url).code == 2
    assert linked("cp", url, tmp_path / "down").code in (1, 2)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_link_out_of_the_folder_is_not_written_through(linked, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "pool" / "out").symlink_to(outside)
    one = tmp_path / "one"
    one.write_bytes(b"x")
    done = linked("cp", one, "fs://pool/out/evil")
    assert done.code == 1, done.said
    assert list(outside.iterdir()) == []


def test_an_entry_that_is_not_there(linked, tmp_path):
    for url in ("sv://nobody@bucket/k", "fs://nobody/k"):
        done = linked("cat", url)
        assert done.code == 2
        assert "nobody" in done.err


def test_wrong_secrets_are_named_without_being_shown(linked):
    text = linked.links.read_text()
    linked.links.write_text(text.replace(linked.boxes.secret_key, "wrongCanarySecret"))
    done = linked("ls", f"s3://{linked.names['boxes']}/")
    assert done.code == 3, done.said
    assert "wrongCanarySecret" not in done.said
    assert linked.boxes.secret_key not in done.said
