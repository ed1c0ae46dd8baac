"""An object store with trouble: requests are sent again, then comes a clear error; nothing is lost, twice or half."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.errors import (
    AccessError,
    ConnectError,
    EmatixError,
    MissingSourceError,
    RunError,
    SourceError,
    is_transient,
)
from ematix_core.model.connection import Connection, DeltaConnection, ObjectStoreConnection
from ematix_core.testing.s3_faults import (
    ACCESS_DENIED,
    EXPIRED_TOKEN,
    INTERNAL_ERROR,
    SLOW_DOWN,
    CutBody,
    LoseAnswer,
    S3Faults,
)
from tests.servers.reach import account
from tools.servers.bucket import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core.engine.result import RunResult

COMMIT = {ObjectStoreConnection: r"_manifest-\d+\.json$", DeltaConnection: r"_delta_log/\d+\.json$"}
KINDS = [ObjectStoreConnection, DeltaConnection]


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401 - a Path
    monkeypatch.chdir(tmp_path)


class Lake:
    """One table, reached through the proxy for the loads and directly for the looks at it."""

    def __init__(self, kind: Callable[..., Connection], bucket: Bucket, faults: S3Faults) -> None:
        self._kind = kind
        self._bucket = bucket
        self._through = bucket.at(faults.endpoint)
        self.commit = COMMIT[kind]  # type: ignore[index] # the fixture gives no others

    def connection(self, *, seconds: float = 20, through: bool = True) -> Connection:
        """Return the connection; a request is sent again for so many seconds."""
        place = self._through if through else self._bucket
        return self._kind("lake", path=place.s3_url, options={**place.options, "retry_seconds": seconds})

    def load(self, first: int, *, seconds: float = 20, mode: str = "append", count: int = 3) -> RunResult:
        """Load rows with the numbers `first` and on."""

        @ematix.job(name="orders", target="orders", target_connection=self.connection(seconds=seconds), mode=mode)
        def orders() -> pa.Table:
            return pa.table({"k": range(first, first + count), "v": [f"text {n}" for n in range(count)]})

        return orders.run()

    def rows(self, *, through: bool = False, sql: str = "SELECT k FROM orders ORDER BY k") -> list[Any]:
        """Return the table's numbers."""
        source = registry.source(self.connection(through=through))
        try:
            return source.read(Query(sql=sql)).read_all().column(0).to_pylist()
        finally:
            source.close()


@pytest.fixture(params=KINDS, ids=["objects", "delta"])
def lake(request: pytest.FixtureRequest, s3: Bucket, s3_faults: S3Faults) -> Lake:
    return Lake(request.param, s3, s3_faults)


@pytest.mark.parametrize("fault", [INTERNAL_ERROR, SLOW_DOWN], ids=["500", "503"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_trouble_that_passes_is_not_noticed(lake: Lake, s3_faults: S3Faults, fault: Any, method: str) -> None:  # noqa: ANN401 - an Answer
    lake.load(0)
    s3_faults.add(fault, times=3, method=method)
    assert lake.load(3).inserted == 3
    assert lake.rows() == [0, 1, 2, 3, 4, 5]


def test_a_body_that_breaks_off_is_read_again(lake: Lake, s3_faults: S3Faults) -> None:
    lake.load(0, count=5000)
    s3_faults.add(CutBody(1000), times=2, method="GET", key=r"\.parquet$")
    assert lake.rows(through=True) == list(range(5000))


def test_the_commit_whose_answer_is_lost_counts_once(lake: Lake, s3_faults: S3Faults) -> None:
    lake.load(0)
    s3_faults.add(LoseAnswer(), method="PUT", key=lake.commit)
    assert lake.load(3).inserted == 3
    assert lake.rows() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("mode", ["append", "truncate"])
def test_trouble_that_stays_is_an_error_and_leaves_what_was(lake: Lake, s3_faults: S3Faults, mode: str) -> None:
    lake.load(0)
    s3_faults.add(SLOW_DOWN, times=None, method="PUT", key=r"\.parquet")
    s3_faults.add(SLOW_DOWN, times=None, method="POST", key=r"\.parquet")
    with pytest.raises(ConnectError, match="SlowDown"):
        lake.load(3, seconds=1, mode=mode)
    assert lake.rows() == [0, 1, 2]
    s3_faults.clear()
    assert lake.load(3, mode=mode).inserted == 3
    assert lake.rows() == ([0, 1, 2, 3, 4, 5] if mode == "append" else [3, 4, 5])


def test_a_commit_that_is_never_answered_leaves_what_was(lake: Lake, s3_faults: S3Faults) -> None:
    lake.load(0)
    s3_faults.add(INTERNAL_ERROR, times=None, method="PUT", key=lake.commit)
    with pytest.raises(EmatixError):
        lake.load(3, seconds=1)
    assert lake.rows() == [0, 1, 2]
    s3_faults.clear()
    assert lake.load(3).inserted == 3
    assert lake.rows() == [0, 1, 2, 3, 4, 5]


def test_the_error_is_that_of_the_load_also_when_nothing_can_be_cleared_away(lake: Lake, s3_faults: S3Faults) -> None:
    lake.load(0)
    s3_faults.add(INTERNAL_ERROR, times=None, method="POST", query="delete")

    def step() -> None:
        raise ValueError("after the load")

    connection = lake.connection(seconds=1)

    @ematix.job(name="orders", target="orders", target_connection=connection, after=[step])
    def orders() -> pa.Table:
        return pa.table({"k": [3], "v": ["x"]})

    with pytest.raises(RunError, match="ValueError: after the load"):
        orders.run()
    assert lake.rows() == [0, 1, 2]


@pytest.mark.parametrize("fault", [EXPIRED_TOKEN, ACCESS_DENIED], ids=["expired", "denied"])
def test_keys_that_are_refused_are_an_error_at_once(lake: Lake, s3_faults: S3Faults, fault: Any) -> None:  # noqa: ANN401 - an Answer
    lake.load(0)
    s3_faults.add(fault, times=None)
    with pytest.raises(AccessError, match=r"Check the connection's keys|keys"):
        lake.load(3)
    assert len(s3_faults.seen()) < 60
    assert lake.rows() == [0, 1, 2]


def test_only_the_columns_that_a_query_needs_are_read(lake: Lake, s3_faults: S3Faults) -> None:
    lake.load(0, count=300_000)
    every = sum(len(r.read) for r in s3_faults.seen("PUT", r"\.parquet")) or None
    s3_faults.clear()
    assert lake.rows(through=True, sql="SELECT sum(k) FROM orders") == [sum(range(300_000))]
    narrow = sum(len(r.read) for r in s3_faults.seen("GET", r"\.parquet"))
    s3_faults.clear()
    assert lake.rows(through=True, sql="SELECT sum(k) + sum(length(v)) FROM orders")
    wide = sum(len(r.read) for r in s3_faults.seen("GET", r"\.parquet"))
    assert narrow < 0.7 * wide, (narrow, wide, every)


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_keys_are_named(kind: Callable[..., Connection], s3: Bucket) -> None:
    options = {**s3.options, "secret_access_key": "wrong"}
    source = registry.source(kind("lake", path=s3.s3_url, options=options))
    try:
        with pytest.raises(AccessError, match="SignatureDoesNotMatch"):
            source.schema(Query(table="orders"))
    finally:
        source.close()


@pytest.mark.parametrize("kind", KINDS)
def test_who_may_not_read_or_write_is_told(kind: Callable[..., Connection], s3: Bucket) -> None:
    nobody = Bucket.from_url(account("s3", "unprivileged"))
    connection = kind("lake", path=f"s3://{s3.bucket}/{s3.prefix}", options=nobody.options)

    @ematix.job(target="orders", target_connection=connection)
    def orders() -> pa.Table:
        return pa.table({"k": [1]})

    with pytest.raises(AccessError, match="AccessDenied"):
        orders.run()


@pytest.mark.parametrize("kind", KINDS)
def test_a_bucket_that_is_not_there_is_named(kind: Callable[..., Connection], s3: Bucket) -> None:
    source = registry.source(kind("lake", path="s3://no-such-bucket-here/x", options=s3.options))
    try:
        with pytest.raises(AccessError, match="there is no bucket 'no-such-bucket-here'"):
            source.schema(Query(table="orders"))
    finally:
        source.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_load_into_a_bucket_that_is_not_there_is_told_at_once_and_not_repeated(
    kind: Callable[..., Connection], s3: Bucket
) -> None:
    connection = kind("lake", path="s3://no-such-bucket-here/x", options=s3.options)

    @ematix.job(target="orders", target_connection=connection, retries=3)
    def orders() -> pa.Table:
        return pa.table({"k": [1]})

    begin = time.monotonic()
    for act in (orders.plan, orders.run):
        with pytest.raises(AccessError) as caught:
            act()
        assert f"there is no bucket 'no-such-bucket-here' at {s3.endpoint}" in str(caught.value)
        assert not is_transient(caught.value)
    assert time.monotonic() - begin < 10  # a request that is sent again goes on for 30 s


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["../other", "a/../../b", "/etc/passwd", "s3://elsewhere/x"])
def test_a_path_that_leads_out_is_refused(kind: Callable[..., Connection], name: str, s3: Bucket) -> None:
    source = registry.source(kind("lake", path=s3.s3_url, options=s3.options))
    try:
        with pytest.raises((SourceError, MissingSourceError)):
            source.schema(Query(sql=f'SELECT * FROM "{name}"'))
    finally:
        source.close()


def test_a_damaged_file_is_named(s3: Bucket) -> None:
    s3.store().put("bad/broken.parquet", b"PAR1 this is not a footer PAR1")
    source = registry.source(ObjectStoreConnection("lake", path=s3.s3_url, options=s3.options))
    try:
        with pytest.raises(SourceError, match=r"bad/broken\.parquet"):
            source.schema(Query(sql='SELECT * FROM "bad/*.parquet"'))
    finally:
        source.close()
