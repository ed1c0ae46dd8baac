"""Tables of files and Delta tables in Azure's object store, on Azurite: `make azure`.

No part of the gate, which has S3: what differs is the client within obstore and delta-rs, and a server's answers.
"""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.errors import AccessError, ConnectError
from ematix_core.model.connection import Connection, DeltaConnection, ObjectStoreConnection
from ematix_core.store import open_store
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

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ematix_core.testing import Reached

RUN = f"conformance-{uuid4().hex[:12]}"
COMMITS, WRITERS = 15, 3


def at(folder: Path) -> dict[str, Any]:
    """Return path and options for a test's own folder."""
    parts = urlsplit(url("azure"))
    account, key = unquote(parts.username or ""), unquote(parts.password or "")
    host = parts.netloc.rpartition("@")[2]
    options = {"account_name": account, "account_key": key, "endpoint": f"{parts.scheme}://{host}/{account}"}
    return {"path": f"az:/{parts.path}/{RUN}{folder}", "options": options}


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


@pytest.mark.parametrize("kind", [ObjectStoreConnection, DeltaConnection])
def test_every_commit_of_writers_that_race_is_kept(kind: Callable[..., Connection], tmp_path: Path) -> None:
    lake = kind("lake", **at(tmp_path))

    def write(writer: int) -> None:
        rows = ematix.job(
            name=f"writer_{writer}", target="events", target_connection=lake,
            retries=ematix.Retry(200, delay=0.01, max_delay=0.2, jitter=1.0),
        )(lambda: pa.table({"writer": [writer]}))  # fmt: skip
        with open_store(f"sqlite:///{tmp_path / f'runs-{writer}.db'}") as store:
            for _ in range(COMMITS):
                assert rows.run(store=store).inserted == 1

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))
    with closing(registry.source(lake)) as source:
        found = source.read(Query(table="events")).read_all()
    assert Counter(found.column("writer").to_pylist()) == dict.fromkeys(range(WRITERS), COMMITS)


def test_a_wrong_key_and_a_missing_container_are_named() -> None:
    right = at(Path("/x"))
    wrong = {**right, "options": {**right["options"], "account_key": "d3Jvbmc="}}
    missing = {**right, "path": "az://nowhere/x"}
    for given, kind, said in (
        (wrong, AccessError, "refuses to list"), (missing, ConnectError, "there is no container 'nowhere'"),
    ):  # fmt: skip
        with closing(registry.source(ObjectStoreConnection("files", **given))) as source, pytest.raises(kind) as caught:
            source.read(Query(sql='SELECT * FROM "a.csv"')).read_all()
        assert said in str(caught.value)
        assert not any(word in str(caught.value) for word in ("d3Jvbmc", "RequestId"))
