"""MySQL and MariaDB against the suites."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, ClassVar

import pytest

from ematix_core.model.connection import Connection, MySQLConnection
from ematix_core.testing import (
    LedgerConformance,
    SourceConformance,
    StrategyConformance,
    TargetConformance,
    TransactionConformance,
    TypeConformance,
)
from tests.servers.reach import database

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_open = ExitStack()


@pytest.fixture(autouse=True)
def dropped() -> Iterator[None]:
    with _open:
        yield


def in_database(folder: Path, server: str) -> Connection:
    """Return a connection to a database of the test's own."""
    del folder
    return MySQLConnection(server, url=_open.enter_context(database(server)))


class Suites(
    SourceConformance,
    TargetConformance,
    TransactionConformance,
    LedgerConformance,
    StrategyConformance,
    TypeConformance,
):
    gaps: ClassVar[Mapping[str, str]] = {
        f"test_values_come_back_as_they_were_sent[{kind}]": "MySQL has no infinity: the load is refused"
        for kind in ("float", "double")
    }


class TestMySQL(Suites):
    @staticmethod
    def connection(folder: Path) -> Connection:
        return in_database(folder, "mysql")


class TestMariaDB(Suites):
    @staticmethod
    def connection(folder: Path) -> Connection:
        return in_database(folder, "mariadb")
