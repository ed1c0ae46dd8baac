"""PostgreSQL against the suites, in a database of its own."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from ematix_core.model.connection import PostgresConnection
from ematix_core.testing import (
    LedgerConformance,
    SourceConformance,
    StrategyConformance,
    TargetConformance,
    TransactionConformance,
    TypeConformance,
)
from tests.servers.reach import database, execute

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


_numbers = count()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with database("postgres") as made:
        yield made


class TestPostgres(
    SourceConformance,
    TargetConformance,
    TransactionConformance,
    LedgerConformance,
    StrategyConformance,
    TypeConformance,
):
    connection: Any
    gaps: ClassVar[Mapping[str, str]] = {
        f"test_values_come_back_as_they_were_sent[{kind}]": "kept in the next wider type, and read as that"
        for kind in ("tiny_int", "u_tiny_int", "u_small_int", "u_integer", "u_big_int")
    }

    @pytest.fixture(autouse=True)
    def own_schema(self, url: str) -> None:
        schema = f"conformance_{next(_numbers)}"
        execute(url, f"CREATE SCHEMA {schema}")
        type(self).connection = PostgresConnection("postgres", url=url, options={"search_path": schema})
