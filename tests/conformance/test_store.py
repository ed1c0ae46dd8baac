"""The store in each database that it can be in, against its suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ematix_core.testing.consumer_store import ConsumerConformance
from ematix_core.testing.pruning_store import PruneConformance
from ematix_core.testing.scheduler_store import EventConformance, LeaseConformance, WorkflowConformance
from ematix_core.testing.shared_scheduler_store import SharedSchedulerConformance
from ematix_core.testing.store import SharedStoreConformance, StoreConformance
from tests.servers.reach import database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class _Scheduler(WorkflowConformance, EventConformance, LeaseConformance, PruneConformance, ConsumerConformance):
    """All that one process can ask of a store."""


class _Shared(SharedStoreConformance, SharedSchedulerConformance, _Scheduler):
    """All that several can."""


class TestMemoryStore(StoreConformance, _Scheduler):
    url = "memory:"


class TestFileStore(_Shared):
    @staticmethod
    def url(folder: Path) -> str:
        return f"sqlite:///{folder / 'runs.db'}"


class _OnServer(_Shared):
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
