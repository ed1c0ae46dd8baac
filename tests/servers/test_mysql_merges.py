"""Texts that a collation takes for one: what merges into tables of our own and of others make of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from ematix_core.engine import plan_job, run_job
from ematix_core.errors import AlikeKeysError, KeyViolationError, UnsupportedError
from ematix_core.model.connection import MySQLConnection
from ematix_core.model.job import Job, job
from ematix_core.model.mode import merge
from ematix_core.store import open_store
from tests.servers import reach

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.engine.result import RunResult


@pytest.fixture(params=["mysql", "mariadb"])
def server(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(server: str) -> Iterator[str]:
    with reach.database(server) as found:
        yield found


def declared(url: str, *rows: tuple[object, str | None]) -> Job:
    @job(name="merges", target="t", target_connection=MySQLConnection("m", url=url), mode=merge(keys="k"))
    def merges() -> pa.Table:
        return pa.table({"k": [k for k, _ in rows], "v": pa.array([v for _, v in rows], pa.string())})

    found: Job = merges
    return found


def load(url: str, *rows: tuple[object, str | None]) -> RunResult:
    with open_store("memory:") as store:
        return run_job(declared(url, *rows), store=store)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "utf8mb4 COLLATE utf8mb4_general_ci",
        "utf8mb4 COLLATE utf8mb4_bin",
        "utf8mb4 COLLATE utf8mb4_unicode_ci",
        "latin1 COLLATE latin1_swedish_ci",
        "utf8 COLLATE utf8_general_ci",
    ],
)
def test_text_that_only_the_collation_takes_for_equal_is_a_change(url: str, text: str) -> None:
    rows: list[tuple[int, str | None]] = [(1, "a"), (2, "e\u0301"), (3, None)]
    if text:
        reach.execute(url, f"CREATE TABLE t (k BIGINT PRIMARY KEY, v LONGTEXT CHARACTER SET {text})")
        rows = rows[:1]
    assert load(url, *rows).inserted == len(rows)
    steps = ("A", "A ", "A", "\u00c5")
    for value in steps:
        result = load(url, (1, value))
        assert (result.updated, result.unchanged) == (1, 0)
        assert load(url, (1, value)).updated == 0
        assert reach.execute(url, "SELECT HEX(CONVERT(v USING utf8mb4)) FROM t WHERE k = 1") == [
            (value.encode().hex().upper(),)
        ]


def test_keys_that_differ_in_case_or_form_are_two_keys(url: str) -> None:
    keys = ["a", "A", "\u00e9", "e\u0301", "🙂", ""]
    assert load(url, *((key, "one") for key in keys)).inserted == len(keys)
    again = load(url, *((key, "two") for key in keys))
    assert (again.inserted, again.updated) == (0, len(keys))


def test_keys_that_differ_in_spaces_at_the_end_are_two_keys_or_refused(server: str, url: str) -> None:
    load(url, ("a", "one"))
    if server == "mysql":  # 8.0.15 has no collation that tells them apart
        alike = r"'a ', which MySQL \S+ takes for 'a': its collation utf8mb4_bin"
        with pytest.raises(AlikeKeysError, match=alike):
            load(url, ("a ", "two"))
        with pytest.raises(AlikeKeysError, match=alike):
            load(url, ("a", "one"), ("a ", "two"))
    else:
        assert load(url, ("a ", "two")).inserted == 1
    assert ("a", "one") in reach.execute(url, "SELECT k, v FROM t")


@pytest.mark.parametrize("second", ["A", "a "])
def test_unique_key_of_a_table_with_another_collation_tells_what_it_takes_for_equal(url: str, second: str) -> None:
    reach.execute(url, "CREATE TABLE t (k VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, v TEXT)")

    @job(name="appends", target="t", target_connection=MySQLConnection("m", url=url), on_drift="warn")
    def appends() -> pa.Table:
        return pa.table({"k": ["a", second], "v": ["one", "two"]})

    with open_store("memory:") as store, pytest.raises(KeyViolationError, match="differ in case, accents or spaces"):
        run_job(appends, store=store)


@pytest.mark.parametrize("collation", ["utf8mb4_general_ci", "utf8mb4_unicode_ci"])
def test_key_of_a_table_whose_collation_ignores_case_is_refused_when_planned(url: str, collation: str) -> None:
    text = f"VARCHAR(20) CHARACTER SET utf8mb4 COLLATE {collation}"
    reach.execute(url, f"CREATE TABLE t (k {text} PRIMARY KEY, v TEXT)")
    with pytest.raises(UnsupportedError, match=f"'k'.*{collation}"):
        plan_job(declared(url, ("a", "one")))


@pytest.mark.parametrize("kind", ["TIMESTAMP(6) NULL", "DATETIME(6) COMMENT 'UTC'"])
def test_mark_of_instants_is_an_instant_in_the_same_database_too(server: str, url: str, kind: str) -> None:
    reach.execute(
        url, f"CREATE TABLE s (k BIGINT, at {kind})", "INSERT INTO s VALUES (1, '2026-01-01'), (2, '2026-01-02')"
    )
    source = MySQLConnection("m", url=url)
    with reach.database(server) as other:
        for target, row in ((source, 3), (MySQLConnection("d", url=other), 4)):

            @job(name="mark", target="t", source_connection=source, target_connection=target, watermark="at")
            def mark() -> str:
                return "SELECT k, at FROM s WHERE at >= :watermark"

            with open_store("memory:") as store:
                assert run_job(mark, store=store).inserted == row - 1
                reach.execute(url, f"INSERT INTO s VALUES ({row}, '2026-01-0{row}')")
                assert run_job(mark, store=store).inserted == 1
        sql = "SELECT watermark FROM _ematix_loads ORDER BY loaded_at DESC LIMIT 1"
        marks = [str(reach.execute(place, sql)[0][0]) for place in (url, other)]
    assert [mark.count("+00:00") for mark in marks] == [1, 1]
