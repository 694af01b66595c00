"""fsspec's own suites for filesystems, over every provider."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

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


@pytest.fixture(scope="module", params=PROVIDERS)
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One bucket for all of them: making and emptying one takes longer than most tests."""
    folder = tmp_path_factory.mktemp("abstract")
    yield from service_of(request.param, request, folder, s3_server="rclone_s3")


class Fixtures(AbstractFixtures):
    @pytest.fixture
    def fs(self, shared: Service) -> SvFileSystem:
        return shared.fs()

    @pytest.fixture
    def fs_path(self, shared: Service) -> str:
        return f"{shared.bucket}/{uuid.uuid4().hex[:8]}"

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
