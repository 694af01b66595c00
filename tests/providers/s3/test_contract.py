"""The provider contract over real S3 servers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from svstorage.providers.s3.store import S3Store
from svstorage.testing import ProviderContract, Subject
from tests.servers.s3 import S3Server


class TestMoto(ProviderContract):
    @pytest.fixture
    def subject(self, moto_server: S3Server, connect: Callable[..., S3Store]) -> Subject:
        store = connect(moto_server)
        bucket = moto_server.new_bucket()
        return Subject(store, bucket, reconnect=lambda: connect(moto_server))
