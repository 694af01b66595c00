"""fsspec's own suites for filesystems, over every provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fsspec.tests.abstract import (
    AbstractCopyTests,
    AbstractFixtures,
    AbstractGetTests,
    AbstractOpenTests,
    AbstractPipeTests,
    AbstractPutTests,
)

from svstorage.filesystem import SvFileSystem
from tests.filesystem.conftest import PROVIDERS, Service, service_of


class Fixtures(AbstractFixtures):
    @pytest.fixture(params=PROVIDERS)
    def service(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
        yield from service_of(request.param, request, tmp_path, s3_server="rclone_s3")

    @pytest.fixture
    def fs(self, service: Service) -> SvFileSystem:
        return service.fs()

    @pytest.fixture
    def fs_path(self, service: Service) -> str:
        return service.bucket

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        return lambda *parts: "/".join(parts)

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False


class TestCopy(Fixtures, AbstractCopyTests):
    pass


class TestGet(Fixtures, AbstractGetTests):
    pass


class TestPut(Fixtures, AbstractPutTests):
    pass


class TestOpen(Fixtures, AbstractOpenTests):
    pass


class TestPipe(Fixtures, AbstractPipeTests):
    pass
