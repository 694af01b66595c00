"""How each tool does each job: its own commands, with the options its documentation advises.

Every tool is asked for the same: all files of a folder or bucket, to an empty place. Checks that
a tool makes by default stay on.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import ACCESS_KEY, DEV_ACCOUNT, DEV_KEY, SECRET_KEY, Server
from tests.servers.process import find_program

HERE = Path(__file__).resolve().parent
# For many small files rclone's documentation advises more transfers than its default of 4.
_RCLONE = ["--transfers", "32", "--checkers", "32", "--config", "/nonexistent"]
_AZCOPY = HERE / "node/node_modules/@azure-tools/azcopy-linux/dist/bin/azcopy_linux_amd64"


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done: ``upload``, ``download``, ``copy``, ``sync`` (up), ``sync-buckets``,
    ``list`` or ``help``."""

    what: str
    server: Server | None
    local: Path
    bucket: str = ""
    other: str = ""


class Tool:
    """A program, and the commands by which it does a job; None where it cannot."""

    name = ""
    share = 1.0
    """The part of the objects it gets: slow tools get fewer, and rates are compared."""
    kinds = ("s3",)

    def program(self) -> str | None:
        return find_program(self.name)

    def command(self, job: Job) -> list[str] | None:
        raise NotImplementedError

    def environment(self, server: Server | None, folder: Path) -> dict[str, str]:
        env = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "NO_PROXY": "*",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        if server is not None:
            env["AWS_ENDPOINT_URL"] = server.endpoint
        return env


class Svstorage(Tool):
    name = "svstorage"
    kinds = ("s3", "azure")

    def program(self) -> str | None:
        return sys.executable

    def environment(self, server: Server | None, folder: Path) -> dict[str, str]:
        env = super().environment(server, folder)
        env["SVSTORAGE_STATE_PATH"] = str(folder / "state")
        if server is not None:
            file = folder / f"{server.kind}-{server.endpoint.split(':')[2].split('/')[0]}.env"
            azure = server.kind == "azure"
            file.write_text(
                f"STORAGE_PROVIDER={'azure' if azure else 'minio'}\n"
                f"STORAGE_ENDPOINT={server.endpoint}\n"
                f"STORAGE_ACCESS_KEY={DEV_ACCOUNT if azure else ACCESS_KEY}\n"
                f"STORAGE_SECRET_KEY={DEV_KEY if azure else SECRET_KEY}\n"
                + ("STORAGE_S3_CHECKSUMS=on\n" if server.tells_crc else "")
            )
            file.chmod(0o600)
            env["SVSTORAGE_ENV_FILE"] = str(file)
        return env

    def command(self, job: Job) -> list[str] | None:
        base = [sys.executable, "-m", "svstorage.cli", "-q"]
        bucket, other = f"sv://{job.bucket}/", f"sv://{job.other}/"
        match job.what:
            case "upload":
                return [*base, "cp", "-r", f"{job.local}/", bucket]
            case "download":
                return [*base, "cp", "-r", bucket, f"{job.local}/"]
            case "copy":
                return [*base, "cp", "-r", bucket, other]
            case "sync":
                return [*base, "sync", f"{job.local}/", bucket]
            case "sync-buckets":
                return [*base, "sync", bucket, other]
            case "list":
                return [*base, "ls", "-R", bucket]
            case "help":
                return [*base[:3], "--help"]
        return None


class SvstorageBySize(Svstorage):
    """What is left of the time when digests are not compared, as the Go tools' downloads do."""

    name = "svstorage-size"

    def command(self, job: Job) -> list[str] | None:
        command = super().command(job)
        return [*command, "--verify", "size"] if command and job.what != "help" else command


class S5cmd(Tool):
    name = "s5cmd"

    def command(self, job: Job) -> list[str] | None:
        base = [self.program() or "", "--log", "error"]
        if job.server is not None:  # it does not read AWS_ENDPOINT_URL
            base += ["--endpoint-url", job.server.endpoint]
        match job.what:
            case "upload":
                return [*base, "cp", f"{job.local}/", f"s3://{job.bucket}/"]
            case "download":
                return [*base, "cp", f"s3://{job.bucket}/*", f"{job.local}/"]
            case "copy":
                return [*base, "cp", f"s3://{job.bucket}/*", f"s3://{job.other}/"]
            case "sync":
                return [*base, "sync", f"{job.local}/", f"s3://{job.bucket}/"]
            case "sync-buckets":
                return [*base, "sync", f"s3://{job.bucket}/*", f"s3://{job.other}/"]
            case "list":
                return [*base, "ls", f"s3://{job.bucket}/*"]
            case "help":
                return [*base, "--help"]
        return None


class Rclone(Tool):
    name = "rclone"

    def environment(self, server: Server | None, folder: Path) -> dict[str, str]:
        env = super().environment(server, folder)
        if server is not None:
            env |= {
                "RCLONE_CONFIG_B_TYPE": "s3",
                "RCLONE_CONFIG_B_PROVIDER": "Other",
                "RCLONE_CONFIG_B_ENDPOINT": server.endpoint,
                "RCLONE_CONFIG_B_ACCESS_KEY_ID": ACCESS_KEY,
                "RCLONE_CONFIG_B_SECRET_ACCESS_KEY": SECRET_KEY,
                "RCLONE_CONFIG_B_NO_CHECK_BUCKET": "true",
            }
        return env

    def command(self, job: Job) -> list[str] | None:
        base = [self.program() or "", *_RCLONE]
        match job.what:
            case "upload":
                return [*base, "copy", str(job.local), f"B:{job.bucket}"]
            case "download":
                return [*base, "copy", f"B:{job.bucket}", str(job.local)]
            case "copy":
                return [*base, "copy", f"B:{job.bucket}", f"B:{job.other}"]
            case "sync":
                return [*base, "sync", "--fast-list", str(job.local), f"B:{job.bucket}"]
            case "sync-buckets":
                # Without --checksum it would ask every object for the time in its metadata.
                return [*base, "sync", "--fast-list", "--checksum",
                        f"B:{job.bucket}", f"B:{job.other}"]  # fmt: skip
            case "list":
                return [*base, "lsf", "-R", "--fast-list", f"B:{job.bucket}"]
            case "help":
                return [self.program() or "", "--help"]
        return None


class AwsCli(Tool):
    name = "aws"
    share = 0.05

    def command(self, job: Job) -> list[str] | None:
        base = [self.program() or "", "s3"]
        match job.what:
            case "upload":
                return [*base, "cp", "--recursive", "--only-show-errors",
                        str(job.local), f"s3://{job.bucket}/"]  # fmt: skip
            case "download":
                return [*base, "cp", "--recursive", "--only-show-errors",
                        f"s3://{job.bucket}/", str(job.local)]  # fmt: skip
            case "copy":
                return [*base, "cp", "--recursive", "--only-show-errors",
                        f"s3://{job.bucket}/", f"s3://{job.other}/"]  # fmt: skip
            case "list":
                return [*base, "ls", "--recursive", f"s3://{job.bucket}/"]
            case "help":
                return [self.program() or "", "--version"]
        return None

    def environment(self, server: Server | None, folder: Path) -> dict[str, str]:
        # Its checksums in trailers are more than small services understand.
        return super().environment(server, folder) | {
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        }


class _Driver(Tool):
    """A Python library, driven by `drivers.py`."""

    share = 0.05

    def program(self) -> str | None:
        from importlib.util import find_spec

        module = {"msc": "multistorageclient"}.get(self.name, self.name)
        return sys.executable if find_spec(module) else None

    def command(self, job: Job) -> list[str] | None:
        what = {"upload": "put", "download": "get", "list": "list"}.get(job.what)
        if what is None:
            return None
        driver = str(HERE / "drivers.py")
        return [sys.executable, driver, self.name, what, str(job.local), job.bucket]


class S3fs(_Driver):
    name = "s3fs"


class Msc(_Driver):
    name = "msc"

    def environment(self, server: Server | None, folder: Path) -> dict[str, str]:
        env = super().environment(server, folder)
        if server is not None:
            file = folder / "msc.yaml"
            file.write_text(
                "profiles:\n  bench:\n    storage_provider:\n      type: s3\n      options:\n"
                f"        base_path: ''\n        endpoint_url: {server.endpoint}\n"
                "        region_name: us-east-1\n"
            )
            env["MSC_CONFIG"] = str(file)
        return env


class Adlfs(_Driver):
    name = "adlfs"
    kinds = ("azure",)
    share = 1.0

    def environment(self, server: Server | None, folder: Path) -> dict[str, str]:
        env = super().environment(server, folder)
        if server is not None:
            env["AZURE_CONNECTION"] = (
                f"DefaultEndpointsProtocol=http;AccountName={DEV_ACCOUNT};"
                f"AccountKey={DEV_KEY};BlobEndpoint={server.endpoint};"
            )
        return env


class Azcopy(Tool):
    name = "azcopy"
    kinds = ("azure",)

    def program(self) -> str | None:
        if not _AZCOPY.exists():
            return shutil.which("azcopy")
        _AZCOPY.chmod(0o755)  # its own npm installer would do so; scripts are not run
        return str(_AZCOPY)

    def environment(self, server: Server | None, folder: Path) -> dict[str, str]:
        return super().environment(server, folder) | {
            "AZCOPY_LOG_LOCATION": str(folder / "azcopy"),
            "AZCOPY_JOB_PLAN_LOCATION": str(folder / "azcopy"),
            "AZCOPY_DISABLE_SYSLOG": "true",
        }

    def command(self, job: Job) -> list[str] | None:
        base = [self.program() or "", "copy", "--recursive", "--log-level", "NONE",
                "--output-level", "quiet", "--skip-version-check"]  # fmt: skip
        if job.server is None:
            return None
        if job.what == "upload":
            return [*base, "--put-md5", "--from-to", "LocalBlob", f"{job.local}/*", _sas(job)]
        if job.what == "download":
            return [*base, "--from-to", "BlobLocal", _sas(job, "/*"), str(job.local)]
        return None


def _sas(job: Job, more: str = "") -> str:
    import datetime

    from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

    assert job.server is not None
    now = datetime.datetime.now(datetime.timezone.utc)
    token = generate_account_sas(
        DEV_ACCOUNT,
        DEV_KEY,
        ResourceTypes(service=True, container=True, object=True),
        AccountSasPermissions.from_string("rwdlacup"),
        expiry=now + datetime.timedelta(hours=6),
        start=now - datetime.timedelta(minutes=5),
    )
    return f"{job.server.endpoint}/{job.bucket}{more}?{token}"


TOOLS: tuple[Tool, ...] = (
    Svstorage(), SvstorageBySize(), S5cmd(), Rclone(), AwsCli(), S3fs(), Msc(), Azcopy(), Adlfs(),
)  # fmt: skip
