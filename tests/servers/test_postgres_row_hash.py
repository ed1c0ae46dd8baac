"""The text of a value inside PostgreSQL is that of DuckDB, for every kind that the Dialect says so of."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ematix_core import types as t
from ematix_core.backends import registry
from ematix_core.backends.postgres.dialect import DIALECT
from ematix_core.model.connection import PostgresConnection
from ematix_core.model.table import Column, TableName
from ematix_core.sql.ddl import Wanted, create_table
from ematix_core.testing.values import SAMPLES, column
from tests.servers.reach import database

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAIVE = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999))  # noqa: DTZ001 - for a type without a zone
_VALUES: dict[type[t.ColumnType], st.SearchStrategy[Any]] = {
    t.Boolean: st.booleans(),
    t.TinyInt: st.integers(-(2**7), 2**7 - 1),
    t.UTinyInt: st.integers(0, 2**8 - 1),
    t.USmallInt: st.integers(0, 2**16 - 1),
    t.UInteger: st.integers(0, 2**32 - 1),
    t.UBigInt: st.integers(0, 2**64 - 1),
    t.SmallInt: st.integers(-(2**15), 2**15 - 1),
    t.Integer: st.integers(-(2**31), 2**31 - 1),
    t.BigInt: st.integers(-(2**63), 2**63 - 1),
    t.Text: st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    t.String[20]: st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    t.Date: st.dates(date(1, 1, 1), date(9999, 12, 31)),
    t.Numeric[12, 2]: st.decimals(Decimal("-9999999999.99"), Decimal("9999999999.99"), places=2),
    t.Numeric[38, 9]: st.decimals(Decimal("-1e28"), Decimal("1e28"), places=9),
    t.Numeric[18, 0]: st.decimals(Decimal(-999999999999999999), Decimal(999999999999999999), places=0),
    t.UUID: st.uuids().map(lambda found: found.bytes),
    t.Time: st.times(),
    t.Timestamp: _NAIVE,
    t.TimestampTZ: _NAIVE.map(lambda found: found.replace(tzinfo=UTC)),
    t.JSON: st.sampled_from(['{"a": 1}', "[1, 2.50]", '"x"']),
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with database("postgres") as made:
        yield made


def texts(url: str, kind: type[t.ColumnType], values: pa.Array[Any]) -> tuple[list[str | None], list[str | None]]:
    """Return the values' text by PostgreSQL and by DuckDB."""
    target = registry.target(PostgresConnection("postgres", url=url))
    rows = pa.table({"n": pa.array(range(len(values)), pa.int64()), "v": values})
    columns, name = (Column("n", t.BigInt), Column("v", kind)), TableName("", "_ematix_values")
    with target.session() as session:
        session.execute(create_table(Wanted(name, columns), target.dialect, temporary=True), {})
        session.load(name, columns, rows.to_reader())
        query = 'SELECT CAST("v" AS VARCHAR) AS "text" FROM "_ematix_values" ORDER BY "n"'
        inside = session.query(query, {}).column("text").to_pylist()
    target.close()
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        if kind is t.JSON:
            return inside, inside  # DuckDB is given the text that PostgreSQL has written
        connection.register("rows", rows)
        return inside, [
            row[0] for row in connection.execute("SELECT CAST(v AS VARCHAR) FROM rows ORDER BY n").fetchall()
        ]


def _comparable(kind: type[t.ColumnType]) -> bool:
    """Say whether both systems hold the kind; a number with all its digits behind the point is never hashed inside."""
    precision, scale = kind.parameters.get("precision", 0), kind.parameters.get("scale")
    return kind.kind in DIALECT.same_text and kind.parameters.get("unit") != "ns" and scale != precision <= 38


def test_every_kind_of_the_dialect_is_tried() -> None:
    assert {kind.kind for kind in _VALUES} >= DIALECT.same_text


@pytest.mark.parametrize("kind", list(_VALUES), ids=lambda kind: kind.label())
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_both_systems_write_the_same_text(url: str, kind: type[t.ColumnType], data: st.DataObject) -> None:
    drawn = data.draw(st.lists(_VALUES[kind], min_size=1, max_size=100))
    arrow: Any = kind.to_arrow()
    if isinstance(arrow, pa.BaseExtensionType):
        values: Any = pa.ExtensionArray.from_storage(arrow, pa.array(drawn, arrow.storage_type))
    else:
        values = pa.array(drawn, arrow)
    inside, outside = texts(url, kind, values)
    assert inside == outside


@pytest.mark.parametrize("sample", [name for name, (kind, _) in SAMPLES.items() if _comparable(kind)])
def test_difficult_values_have_the_same_text(url: str, sample: str) -> None:
    kind, _ = SAMPLES[sample]
    inside, outside = texts(url, kind, column(sample))
    assert inside == outside
