"""Sources that are read without end against the suite: files that come, and tables by their versions."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake

from ematix_core.backends.stream_protocols import StreamQuery
from ematix_core.model.connection import Connection, DeltaConnection, ObjectStoreConnection
from ematix_core.testing import StreamConformance

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.testing import Reached

_BEGIN = int(time.time()) - 1200
"""When the first file was changed; each later one comes a minute later. All within the hour that files may be late."""


class TestParquetFiles(StreamConformance):
    @staticmethod
    def connection(folder: Path) -> Connection:
        return ObjectStoreConnection("files", path=str(folder))

    def query(self, name: str) -> StreamQuery:
        return StreamQuery(f"{name}/*.parquet")

    def arrive(self, system: Reached, name: str, ids_: list[int]) -> datetime:
        folder = system.folder / name
        folder.mkdir(exist_ok=True)
        number = len(list(folder.iterdir()))
        self.write(pa.table({"id": ids_}), folder / "_new")
        at = _BEGIN + 60 * number
        os.utime(folder / "_new", (at, at))
        # Names do not follow the order in which the files come.
        (folder / "_new").rename(folder / f"{(number * 7) % 10}-{number}.{self.ending}")
        return datetime.fromtimestamp(at, UTC)

    ending = "parquet"

    def write(self, rows: pa.Table, path: Path) -> None:
        pq.write_table(rows, path, row_group_size=4)


class TestCsvFiles(TestParquetFiles):
    ending = "csv"

    def query(self, name: str) -> StreamQuery:
        return StreamQuery(name)

    def write(self, rows: pa.Table, path: Path) -> None:
        pa.csv.write_csv(rows, path)


class TestTableOfFiles(StreamConformance):
    @staticmethod
    def connection(folder: Path) -> Connection:
        return ObjectStoreConnection("files", path=str(folder))

    def arrive(self, system: Reached, name: str, ids_: list[int]) -> datetime:
        before = datetime.now(UTC)
        system.load(name, pa.table({"id": ids_}))
        return before


class TestDelta(StreamConformance):
    @staticmethod
    def connection(folder: Path) -> Connection:
        return DeltaConnection("lake", path=str(folder))

    def arrive(self, system: Reached, name: str, ids_: list[int]) -> datetime:
        time.sleep(0.002)  # commits have milliseconds
        write_deltalake(str(system.folder / name), pa.table({"id": ids_}), mode="append")
        at = DeltaTable(str(system.folder / name)).history(1)[0]["timestamp"]
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)


class TestOurDelta(TestDelta):
    """Tables that our own jobs have written, with their bookkeeping."""

    def arrive(self, system: Reached, name: str, ids_: list[int]) -> datetime:
        before = datetime.now(UTC)
        time.sleep(0.002)
        system.load(name, pa.table({"id": ids_}))
        return before
