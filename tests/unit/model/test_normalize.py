"""Every normalizer against DuckDB itself, with NULL, Unicode and edge values."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ematix_core.errors import DeclarationError
from ematix_core.model import normalize as n

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def session() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def apply(
    session: duckdb.DuckDBPyConnection, values: list[Any], *steps: n.Normalizer, kind: pa.DataType | None = None
) -> list[Any]:
    """Send the values through the steps, in an Arrow table as the engine does."""
    rows = pa.table({"it's": pa.array(values, kind)})  # noqa: F841 - DuckDB finds the table by its variable's name
    result = session.sql(f"SELECT {n.chain(steps, chr(34) + 'it' + chr(39) + 's' + chr(34))} AS x FROM rows")
    return list(result.to_arrow_table().column("x").to_pylist())


TEXT_CASES: list[tuple[n.Normalizer, list[Any], list[Any]]] = [
    (n.trim(), [" a b ", "\t\r\n\v\fé\u00a0\u2003", "", "   ", None], ["a b", "é", "", "", None]),
    (n.lower(), ["ÀÉ Straße", "ΑΒΓ", None], ["àé straße", "αβγ", None]),
    (n.upper(), ["àé", "αβγ", "日本", None], ["ÀÉ", "ΑΒΓ", "日本", None]),
    (n.empty_to_null(), ["", " ", "a", None], [None, " ", "a", None]),
    (n.regex_replace(r"[^0-9]+", ""), ["+44 (0)20", "", None], ["44020", "", None]),
    (n.regex_replace(r"(\w+)@(\w+)", r"\2 at \1"), ["me@here you@there"], ["here at me there at you"]),
    (n.regex_replace("'", '"'), ["it's"], ['it"s']),
    (n.replace("'", "''"), ["it's 'so'", None], ["it''s ''so''", None]),
    (n.replace("{col}", "x"), ["a {col} b"], ["a x b"]),
    (n.truncate(3), ["日本語文", "añ👍b", "ab", "", None], ["日本語", "añ👍", "ab", "", None]),
    (n.default("n/a"), ["a", "", None], ["a", "", "n/a"]),
    (n.nullif("n/a"), ["n/a", "N/A", None], [None, "N/A", None]),
    (n.sql("reverse({col}) || '{' || {col}"), ["ab", None], ["ba{ab", None]),
    (n.derive("""'it''s ' || "it's" """), ["me", None], ["it's me", None]),
    (n.parse_int(), [" 12 ", "-7", "+5", "9223372036854775807", None], [12, -7, 5, 2**63 - 1, None]),
    (n.parse_numeric(), ["12.5", "-.5", "1e3", " 7. ", None],
     [Decimal("12.5"), Decimal("-0.5"), Decimal(1000), Decimal(7), None]),
    (n.parse_numeric(5, 2), ["1.005", "999.99"], [Decimal("1.01"), Decimal("999.99")]),
    (n.parse_bool(), ["TRUE", " yes", "0", "Off", None], [True, True, False, False, None]),
    (n.parse_date(), ["2024-02-29", " 1970-01-01", None], [date(2024, 2, 29), date(1970, 1, 1), None]),
    (n.parse_date("%d/%m/%Y", "%Y%m%d"), ["31/12/2024", "20240102"], [date(2024, 12, 31), date(2024, 1, 2)]),
    (n.parse_timestamp(), ["2024-07-01T10:00:00+02:00", "2024-07-01 10:00:00.25", "2024-07-01T10:00:00Z", None],
     [datetime(2024, 7, 1, 8), datetime(2024, 7, 1, 10, 0, 0, 250_000), datetime(2024, 7, 1, 10), None]),  # noqa: DTZ001 - timestamps without a zone are the subject
    (n.parse_timestamp("%d.%m.%Y %H:%M", "%d.%m.%Y"), ["01.07.2024 09:30", "02.07.2024"],
     [datetime(2024, 7, 1, 9, 30), datetime(2024, 7, 2)]),  # noqa: DTZ001 - timestamps without a zone are the subject
    (n.parse_timestamp("%Y-%m-%d %H:%M %z"), ["2024-07-01 10:00 +0200"], [datetime(2024, 7, 1, 8)]),  # noqa: DTZ001 - timestamps without a zone are the subject
]  # fmt: skip


@pytest.mark.parametrize(("step", "values", "expected"), TEXT_CASES, ids=lambda case: repr(case)[:40])
def test_normalizer_of_text_gives_what_its_docstring_says(
    session: duckdb.DuckDBPyConnection, step: n.Normalizer, values: list[Any], expected: list[Any]
) -> None:
    assert apply(session, values, step, kind=pa.string()) == expected


NUMBER_CASES: list[tuple[n.Normalizer, list[Any], list[Any], pa.DataType]] = [
    (n.round(1), [1.25, -1.25, None], [1.3, -1.3, None], pa.float64()),
    (n.round(), [2.5, -2.5, None], [3.0, -3.0, None], pa.float64()),
    (n.round(-2), [1250, 1249, None], [1300, 1200, None], pa.int64()),
    (n.round(1), [Decimal("1.25"), None], [Decimal("1.3"), None], pa.decimal128(10, 2)),
    (n.clamp(0, 100), [-5, 50, 500, None], [0, 50, 100, None], pa.int64()),
    (n.clamp(-1.5, 1.5), [-2.0, 0.25, float("inf"), None], [-1.5, 0.25, 1.5, None], pa.float64()),
    (n.default(0), [1, None], [1, 0], pa.int64()),
    (n.default(Decimal("-0.10")), [Decimal("1.25"), None], [Decimal("1.25"), Decimal("-0.10")], pa.decimal128(10, 2)),
    (n.nullif(-1), [-1, 1, None], [None, 1, None], pa.int64()),
    (n.default(value=False), [True, None], [True, False], pa.bool_()),
]


@pytest.mark.parametrize(("step", "values", "expected", "kind"), NUMBER_CASES, ids=lambda case: repr(case)[:40])
def test_normalizer_of_numbers_gives_what_its_docstring_says(
    session: duckdb.DuckDBPyConnection, step: n.Normalizer, values: list[Any], expected: list[Any], kind: pa.DataType
) -> None:
    assert apply(session, values, step, kind=kind) == expected


def test_to_timezone_reads_wall_clock_as_an_instant(session: duckdb.DuckDBPyConnection) -> None:
    wall_clock = [datetime(2024, 7, 1, 12), datetime(2024, 1, 1, 12), None]  # noqa: DTZ001 - wall clock
    instants = apply(session, wall_clock, n.to_timezone("Europe/London"), kind=pa.timestamp("us"))
    assert instants == [datetime(2024, 7, 1, 11, tzinfo=UTC), datetime(2024, 1, 1, 12, tzinfo=UTC), None]


def test_to_timezone_shows_an_instant_as_wall_clock(session: duckdb.DuckDBPyConnection) -> None:
    instants = [datetime(2024, 7, 1, 12, tzinfo=UTC), None]
    kind = pa.timestamp("us", "UTC")
    assert apply(session, instants, n.to_timezone("Asia/Tokyo"), kind=kind) == [datetime(2024, 7, 1, 21), None]  # noqa: DTZ001 - wall clock


def test_date_trunc_goes_back_to_the_start_of_the_unit(session: duckdb.DuckDBPyConnection) -> None:
    moment = datetime(2024, 7, 17, 13, 45, 9)  # noqa: DTZ001 - without a zone on purpose
    assert apply(session, [moment, None], n.date_trunc("month")) == [datetime(2024, 7, 1), None]  # noqa: DTZ001 - as above
    assert apply(session, [moment], n.date_trunc("week")) == [datetime(2024, 7, 15)]  # noqa: DTZ001 - as above


def test_steps_apply_from_left_to_right(session: duckdb.DuckDBPyConnection) -> None:
    steps = n.trim(), n.empty_to_null(), n.parse_int(), n.clamp(0, 10), n.default(-1)
    assert apply(session, [" 7 ", " ", "99", None], *steps, kind=pa.string()) == [7, -1, 10, -1]


BAD_TEXT = [
    (n.parse_int, ["1.5", "1e3", "", "1_000", "9223372036854775808", "٣"]),
    (n.parse_numeric, ["1,5", "nan", "", "1e60", "0x10"]),
    (n.parse_bool, ["", "2", "maybe"]),
    (n.parse_date, ["2024-02-30", "infinity", "2024-01-01 12:00", ""]),
    (n.parse_timestamp, ["infinity", "epoch", "2024-13-01", "", "yesterday"]),
]


@pytest.mark.parametrize(("parse", "values"), BAD_TEXT, ids=lambda case: getattr(case, "__name__", ""))
def test_what_cannot_be_read_becomes_null_on_request(
    session: duckdb.DuckDBPyConnection, parse: Callable[..., n.Normalizer], values: list[str]
) -> None:
    assert apply(session, values, parse(on_failure="null")) == [None] * len(values)


@pytest.mark.parametrize(("parse", "values"), BAD_TEXT, ids=lambda case: getattr(case, "__name__", ""))
def test_what_cannot_be_read_stops_the_job_and_shows_the_text(
    session: duckdb.DuckDBPyConnection, parse: Callable[..., n.Normalizer], values: list[str]
) -> None:
    for value in values:
        with pytest.raises(duckdb.Error, match=f"{parse.__name__} cannot read: ") as caught:
            apply(session, [None, value], parse(), kind=pa.string())
        assert value in str(caught.value)


def test_default_replaces_what_cannot_be_read_and_leaves_null(session: duckdb.DuckDBPyConnection) -> None:
    assert apply(session, ["x", "5", None], n.parse_int(on_failure="default", default=0)) == [0, 5, None]
    replacement = date(1970, 1, 1)
    assert apply(session, ["x"], n.parse_date(on_failure="default", default=replacement)) == [replacement]
    assert apply(session, ["x"], n.parse_bool(on_failure="default", default=False)) == [False]


WHITE_SPACE = [character for character in map(chr, range(0x3001)) if character.isspace()]


@given(value=st.text(st.sampled_from(WHITE_SPACE) | st.characters(codec="utf-8")))
def test_trim_agrees_with_str_strip(session: duckdb.DuckDBPyConnection, value: str) -> None:
    assert apply(session, [value], n.trim()) == [value.strip()]


@given(
    value=st.one_of(
        st.text(st.characters(codec="utf-8", exclude_characters="\0")),
        st.integers(-(2**63), 2**63 - 1),
        st.booleans(),
        st.floats(allow_nan=False),
        st.decimals(-(10**20), 10**20, places=6),
        st.dates(),
        st.datetimes(),
        st.datetimes(timezones=st.just(UTC)),
        st.times(),
        st.binary(),
    )
)
def test_literals_come_back_as_they_were(session: duckdb.DuckDBPyConnection, value: n.Value) -> None:
    result = session.sql(f"SELECT {n.literal(value)} AS x").to_arrow_table().column("x")[0].as_py()
    assert result == value or float(result) == value


@pytest.mark.parametrize("value", [None, object(), [1]])
def test_values_that_sql_cannot_write_are_refused(value: object) -> None:
    with pytest.raises(DeclarationError, match="cannot be written as a value in SQL"):
        n.literal(cast("n.Value", value))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: n.truncate(0), "truncate(0): the length must be at least 1"),
        (lambda: n.clamp(5, 1), "clamp(5, 1): the lower bound is above the upper one"),
        (lambda: n.clamp(5, "a"), "clamp(5, 'a'): the bounds cannot be compared with each other"),
        (lambda: n.replace("", "a"), "replace('', ...): there is nothing to replace"),
        (lambda: n.sql("upper(name)"), "sql('upper(name)') does not mention {col}"),
        (lambda: n.derive(" "), "derive() has no expression"),
        (lambda: n.date_trunc("mnth"), "date_trunc('mnth'): unknown unit"),
        (lambda: n.to_timezone("Europe/Londn"), "unknown time zone 'Europe/Londn'"),
        (lambda: n.parse_int(on_failure="default"), "parse_int: on_failure='default' and default= go together"),
        (lambda: n.parse_int(default=1), "parse_int: on_failure='default' and default= go together"),
        (lambda: n.parse_date("%Y\0"), "SQL text cannot hold the NUL character"),
        (lambda: n.parse_numeric(39), "parse_numeric(39, 9): precision is 1 to 38, scale 0 to precision"),
    ],
)
def test_a_normalizer_that_contradicts_itself_is_refused(make: Callable[[], n.Normalizer], message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        make()
    assert caught.value.what == message


def test_a_normalizer_prints_as_it_was_written() -> None:
    steps = n.trim(), n.parse_date("%d/%m/%Y", on_failure="null"), n.default(time(1)), n.truncate(3)
    assert repr(steps) == (
        "(trim(), parse_date('%d/%m/%Y', on_failure='null'), default(datetime.time(1, 0)), truncate(3))"
    )
