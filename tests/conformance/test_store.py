"""The store in each database that it can be in, against its suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ematix_core.testing.store import SharedStoreConformance, StoreConformance
from tests.servers.reach import database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class TestMemoryStore(StoreConformance):
    url = "memory:"


class TestFileStore(SharedStoreConformance):
    @staticmethod
    def url(folder: Path) -> str:
        return f"sqlite:///{folder / 'runs.db'}"


class _OnServer(SharedStoreConformance):
    server: str

    @pytest.fixture
    def store_url(self) -> Iterator[str]:
        with database(self.server) as url:
            yield url


class TestPostgresStore(_OnServer):
    server = "postgres"


class TestMariaDBStore(_OnServer):
    server = "mariadb"


class TestMySQLStore(_OnServer):
    server = "mysql"
