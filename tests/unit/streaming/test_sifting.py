"""Bad records among many: each refused by the SQL, by the types, or by the target, is kept with its own error."""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

import ematix_core as ematix
from ematix_core.errors import ConversionError, DriftError
from ematix_core.streaming import looking
from ematix_core.streaming.control import Control, Unobserved
from ematix_core.streaming.dead_letters import list_letters
from ematix_core.streaming.landing import Landing
from ematix_core.streaming.shaping import Shaping
from tests.unit.streaming.rows import ids

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ematix_core.model.connection import Connection
    from ematix_core.model.stream import Stream
    from tests.unit.streaming.conftest import Arrive

SQL = "SELECT id, CAST(price AS INTEGER) AS price FROM source"
OVER_ALL = "SELECT id, CAST(price AS INTEGER) AS price, count(*) OVER () AS n FROM source"


def into(target: Connection, source: Connection, **options: Any) -> Stream:  # noqa: ANN401 - those of `stream`
    return ematix.stream(
        "clicks", source=source, source_query="*.json", target=target, target_table="clicks",
        **{"transform_sql": SQL, "on_error": "dead_letter", **options},
    )  # fmt: skip


def prices(count: int, **odd: str) -> list[dict[str, Any]]:
    """Return records 0 to `count`; `odd`: the prices of some, by `_` and their number."""
    return [{"id": number, "price": odd.get(f"_{number}", "5")} for number in range(count)]


def errors(stream: Stream) -> dict[int, str]:
    """Return the first words of the letters' errors, by the line of the file."""
    return {int(one["letter_id"].split("/")[-1]): one["error"].split("\n")[0] for one in list_letters(stream).letters}


class Counted:
    """Counts the calls of a method, and may do something at one of them."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, of: type, name: str, then: Callable[[int], object] = int
    ) -> None:
        self.calls = 0
        method = getattr(of, name)

        def counted(*args: Any) -> Any:  # noqa: ANN401 - whatever the method takes and gives
            self.calls += 1
            then(self.calls)
            return method(*args)

        monkeypatch.setattr(of, name, counted)


@pytest.mark.parametrize("sql", [SQL, OVER_ALL])
def test_what_the_sql_refuses_is_kept_and_the_target_is_not_asked_for_it(
    files: Connection, store: Connection, arrive: Arrive, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    tried = Counted(monkeypatch, Landing, "attempt")
    odd = {f"_{number}": f"p{number}" for number in range(3, 300, 30)}
    arrive(*prices(300, **odd))
    stream = into(store, files, transform_sql=sql)
    assert stream.consume(until_idle=True).targets[0].dead == 10
    assert ids(store) == [number for number in range(300) if f"_{number}" not in odd]
    assert tried.calls == 0
    told = errors(stream)
    assert [f"'{value}'" in told[line] for line, value in zip(sorted(told), odd.values(), strict=True)] == [True] * 10


def test_what_many_rows_tell_at_once_is_asked_once(
    files: Connection, store: Connection, arrive: Arrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    shaped = Counted(monkeypatch, Shaping, "shaped")
    arrive(*prices(2_000, **{f"_{number}": "much" for number in range(0, 2_000, 20)}))
    assert into(store, files).consume(until_idle=True).targets[0].dead == 100
    assert shaped.calls <= 100 + 6  # one each, and of all, of none, of the others


def test_what_does_not_fit_the_columns_is_found_without_the_target_and_the_sql_runs_once(
    files: Connection, store: Connection, arrive: Arrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, shaped = Counted(monkeypatch, Landing, "attempt"), Counted(monkeypatch, Shaping, "shaped")

    @ematix.table
    class Clicks:
        id: ematix.types.BigInt
        price: ematix.types.SmallInt

    arrive(*prices(400, _7="40000", _8="50000", _300="60000"))
    stream = ematix.stream(
        "clicks", source=files, source_query="*.json", target=store, target_table=Clicks, transform_sql=SQL,
        on_error="dead_letter",
    )  # fmt: skip
    assert stream.consume(until_idle=True).targets[0].dead == 3
    assert len(ids(store)) == 397
    assert (tried.calls, shaped.calls) == (0, 3)
    assert ["40000" in error for error in errors(stream).values()].count(True) == 1


@pytest.mark.parametrize("sql", [SQL, OVER_ALL, ""])
def test_what_the_target_refuses_is_kept_and_what_the_sql_refuses_beside_it(
    files: Connection, store: Connection, arrive: Arrive, tmp_path: Path, sql: str
) -> None:
    more = ", n BIGINT" if sql == OVER_ALL else ""
    with sqlite3.connect(tmp_path / "store.sqlite") as database:
        kind = "INTEGER" if sql else "TEXT"
        database.execute(f"CREATE TABLE clicks (id BIGINT, price {kind}{more}, CHECK (CAST(price AS INTEGER) < 100))")
    odd = {"_4": "101", "_5": "102", "_200": "103"} | ({"_6": "much"} if sql else {})
    arrive(*prices(300, **odd))
    stream = into(store, files, transform_sql=sql)
    assert stream.consume(until_idle=True).targets[0].dead == len(odd)
    assert ids(store) == [number for number in range(300) if f"_{number}" not in odd]
    assert len(errors(stream)) == len(odd)


def test_a_stop_during_the_search_loads_nothing_and_the_next_consumer_begins_there(
    files: Connection, store: Connection, arrive: Arrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(*prices(1_000, **{f"_{number}": "much" for number in range(0, 1_000, 10)}))
    control = Control()
    with monkeypatch.context() as patched:
        shaped = Counted(patched, Shaping, "shaped", lambda calls: control.stop() if calls == 50 else None)
        done = into(store, files).consume(control=control)
    assert shaped.calls == 50
    assert done.targets[0].records == done.targets[0].batches == 0
    assert into(store, files).consume(until_idle=True).targets[0].dead == 100
    assert len(ids(store)) == 900


def test_a_long_search_is_told_to_the_observer_and_the_log(
    files: Connection,
    store: Connection,
    arrive: Arrive,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[tuple[str, int, int, int]] = []

    class Told(Unobserved):
        def searching(self, target: str, looked: int, of: int, found: int) -> None:
            told.append((target, looked, of, found))

    monkeypatch.setattr(looking, "_SHOW_SECONDS", 0.0)
    monkeypatch.setattr(looking, "_FIRST_SECONDS", 0.0)
    arrive(*prices(100, _3="much", _4="more"))
    with caplog.at_level(logging.WARNING):
        into(store, files).consume(until_idle=True, observer=Told())
    assert (told[0][0], told[0][2], told[-1][3]) == ("clicks", 100, 2)
    (line,) = [record.getMessage() for record in caplog.records if "looked for" in record.getMessage()]
    assert "stream clicks, clicks: some records" in line
    assert "of 100 looked at, 0 bad" in line


def test_rows_that_only_the_whole_batch_makes_bad_end_the_stream(
    files: Connection, store: Connection, arrive: Arrive
) -> None:
    arrive(*prices(30))
    sql = "SELECT id, CASE WHEN count(*) OVER () > 20 THEN CAST('many' AS INTEGER) ELSE 1 END AS price FROM source"
    with pytest.raises(ConversionError, match="many"):
        into(store, files, transform_sql=sql).consume(until_idle=True)


def test_a_value_of_another_type_in_a_text_file_is_a_bad_line(
    files: Connection, store: Connection, arrive: Arrive
) -> None:
    stream = into(store, files, transform_sql="")
    arrive({"id": 1})
    stream.consume(until_idle=True)
    arrive({"id": "x"}, {"id": 2})
    done = stream.consume(until_idle=True).targets[0]
    assert (done.inserted, done.dead) == (1, 1)


def test_drift_of_a_source_of_rows_ends_the_stream(files: Connection, store: Connection, arrive: Arrive) -> None:
    arrive({"id": 1})
    into(store, files, transform_sql="").consume(until_idle=True)
    arrive({"id": 2})
    with pytest.raises(DriftError, match="id"):
        into(store, files, transform_sql="SELECT id || 'x' AS id FROM source").consume(until_idle=True)
