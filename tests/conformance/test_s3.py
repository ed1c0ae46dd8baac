"""Files and Delta tables in an object store against the suites."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ematix_core.backends.stream_protocols import StreamQuery
from ematix_core.model.connection import Connection, DeltaConnection, ObjectStoreConnection
from ematix_core.testing import (
    LedgerConformance,
    SourceConformance,
    StrategyConformance,
    StreamConformance,
    TargetConformance,
    TransactionConformance,
    TypeConformance,
)
from tests.servers.reach import url
from tools.servers.bucket import Bucket

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ematix_core.testing import Reached


RUN = f"conformance-{uuid4().hex[:12]}"
_NUMBERS = count()


@pytest.fixture(scope="module", autouse=True)
def _cleared() -> Iterator[None]:
    yield
    replace(Bucket.from_url(url("s3")), prefix=RUN).clear()


def at(folder: Path) -> dict[str, Any]:
    """Return path and options for a test's own folder."""
    bucket = Bucket.from_url(url("s3"))
    return {"path": f"{bucket.s3_url}/{RUN}{folder}", "options": bucket.options}


class TestParquet(
    SourceConformance,
    TargetConformance,
    TransactionConformance,
    LedgerConformance,
    StrategyConformance,
    TypeConformance,
):
    @staticmethod
    def connection(folder: Path) -> Connection:
        return ObjectStoreConnection("files", format="parquet", **at(folder))


class TestCsv(TargetConformance, StrategyConformance):
    @staticmethod
    def connection(folder: Path) -> Connection:
        return ObjectStoreConnection("files", format="csv", **at(folder))


class TestOrc(TargetConformance, StrategyConformance):
    @staticmethod
    def connection(folder: Path) -> Connection:
        return ObjectStoreConnection("files", format="orc", **at(folder))


class TestJsonLines(TargetConformance, StrategyConformance):
    @staticmethod
    def connection(folder: Path) -> Connection:
        return ObjectStoreConnection("files", format="jsonl", **at(folder))


class TestDelta(
    SourceConformance,
    TargetConformance,
    TransactionConformance,
    LedgerConformance,
    StrategyConformance,
    TypeConformance,
):
    gaps: ClassVar[Mapping[str, str]] = {
        "test_every_name_can_be_a_table[per%cent]": "delta-rs takes a % in a path for the beginning of an escape",
    }

    @staticmethod
    def connection(folder: Path) -> Connection:
        return DeltaConnection("delta", **at(folder))


class TestStreamOfFiles(StreamConformance):
    @staticmethod
    def connection(folder: Path) -> Connection:
        return ObjectStoreConnection("files", **at(folder))

    apart = 0.0

    def query(self, name: str) -> StreamQuery:
        return StreamQuery(f"{name}/*.parquet")

    def test_a_time_is_that_of_the_first_row_that_is_not_older(self, system: Reached, table: str) -> None:
        self.apart = 1.1  # an object's time is in seconds
        super().test_a_time_is_that_of_the_first_row_that_is_not_older(system, table)

    def arrive(self, system: Reached, name: str, ids_: list[int]) -> datetime:
        time.sleep(self.apart)
        before = datetime.now(UTC).replace(microsecond=0)
        content = BytesIO()
        pq.write_table(pa.table({"id": ids_}), content, row_group_size=4)
        place = replace(Bucket.from_url(url("s3")), prefix=f"{RUN}{system.folder}")
        place.store().put(f"{name}/{next(_NUMBERS):06}.parquet", content.getvalue())  # in order within a second, too
        return before


class TestStreamOfATable(StreamConformance):
    @staticmethod
    def connection(folder: Path) -> Connection:
        return ObjectStoreConnection("files", **at(folder))

    def arrive(self, system: Reached, name: str, ids_: list[int]) -> datetime:
        before = datetime.now(UTC)
        system.load(name, pa.table({"id": ids_}))
        return before


class TestStreamOfADeltaTable(StreamConformance):
    @staticmethod
    def connection(folder: Path) -> Connection:
        return DeltaConnection("lake", **at(folder))

    def arrive(self, system: Reached, name: str, ids_: list[int]) -> datetime:
        time.sleep(0.002)  # commits have milliseconds
        before = datetime.now(UTC)
        time.sleep(0.002)
        system.load(name, pa.table({"id": ids_}))
        return before
