"""Delta tables that Spark writes: by which statements, what is in them, and what of them ematix refuses by name.

The tables themselves are in tests/data/delta, where `python -m tools.spark --write` puts them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core.errors import UnsupportedError
from tests.e2e.lake_tables import loaded_on, ordered

if TYPE_CHECKING:
    from tests.unit.backends.delta.conftest import Lake

FOLDER = Path(__file__).parents[1] / "data" / "delta"


@dataclass(frozen=True)
class SparkTable:
    """A table: statements with `{table}` in them, its rows, and what a reader or a merge is refused for, by regex."""

    name: str
    statements: tuple[str, ...]
    rows: tuple[dict[str, Any], ...] = ()
    unread: str = ""
    unwritten: str = ""


def _made(columns: str, rest: str = "", **properties: str) -> str:
    listed = ", ".join(f"'delta.{name}' = '{value}'" for name, value in properties.items())
    return f"CREATE TABLE {{table}} ({columns}) USING delta {rest}" + (f" TBLPROPERTIES ({listed})" if listed else "")


_TWO: tuple[dict[str, Any], ...] = ({"id": 1, "note": "a"}, {"id": 2, "note": None})
_COLUMNS, _INSERT = "id BIGINT, note STRING", "INSERT INTO {table} VALUES (1, 'a'), (2, NULL)"

_TYPES = """id BIGINT NOT NULL COMMENT 'the key', tiny TINYINT, small SMALLINT, whole INT, single FLOAT, double DOUBLE,
    flag BOOLEAN, label STRING, raw BINARY, day DATE, moment TIMESTAMP_NTZ, instant TIMESTAMP, price DECIMAL(12, 2),
    tags ARRAY<STRING>, place STRUCT<city: STRING, zip: INT>, stops ARRAY<STRUCT<at: TIMESTAMP, fee: DECIMAL(9, 3)>>,
    scores MAP<STRING, BIGINT>, region STRING"""
_VALUES = """INSERT INTO {table} VALUES (1, -128, 32767, -2147483648, 0.5, 1e300, true, 'Zoë 漢字', X'00FF',
    DATE '1969-12-31', TIMESTAMP_NTZ '2026-03-29 02:30:00.123456', TIMESTAMP '2026-01-01 00:00:00Z', -9999999999.99,
    array('a', NULL, ''), named_struct('city', NULL, 'zip', 1),
    array(named_struct('at', TIMESTAMP '2026-01-01 00:00:00Z', 'fee', NULL), NULL), map('x', 1, 'y', NULL), 'a/b=%')"""
_NULLS = "INSERT INTO {table} (id) VALUES (2)"
_NAMES = (
    "id", "tiny", "small", "whole", "single", "double", "flag", "label", "raw", "day", "moment", "instant", "price",
    "tags", "place", "stops", "scores", "region",
)  # fmt: skip
_FULL = (
    1, -128, 32767, -2147483648, 0.5, 1e300, True, "Zoë 漢字", b"\x00\xff", date(1969, 12, 31),
    datetime(2026, 3, 29, 2, 30, 0, 123456),  # noqa: DTZ001 - a time without zone
    datetime(2026, 1, 1, tzinfo=UTC), Decimal("-9999999999.99"), ["a", None, ""], {"city": None, "zip": 1},
    [{"at": datetime(2026, 1, 1, tzinfo=UTC), "fee": None}, None], [("x", 1), ("y", None)], "a/b=%",
)  # fmt: skip

TABLES = (
    SparkTable(
        "types",
        (_made(_TYPES, "PARTITIONED BY (region)", enableDeletionVectors="false"), _VALUES, _NULLS),
        (dict(zip(_NAMES, _FULL, strict=True)), {**dict.fromkeys(_NAMES), "id": 2}),
    ),
    SparkTable(
        "checkpoint",
        (
            _made(_COLUMNS, checkpointInterval="2", enableDeletionVectors="false"),
            "INSERT INTO {table} VALUES (1, 'a')", "INSERT INTO {table} VALUES (2, 'b')",
            "UPDATE {table} SET note = NULL WHERE id = 2", "INSERT INTO {table} VALUES (3, 'c')",
            "DELETE FROM {table} WHERE id = 3",
        ),
        _TWO,
    ),
    SparkTable(
        "deletion_vectors",
        (
            _made(_COLUMNS, enableDeletionVectors="true"),
            "INSERT INTO {table} SELECT id, 'x' FROM range(1000)", "DELETE FROM {table} WHERE id = 7",
        ),
        unread="deletionVectors",
    ),
    SparkTable(
        "column_mapping",
        (_made(_COLUMNS, **{"columnMapping.mode": "name"}), _INSERT, "ALTER TABLE {table} RENAME COLUMN note TO said"),
        unread="columnMapping",
    ),
    SparkTable("v2_checkpoint", (_made(_COLUMNS, checkpointPolicy="v2"), _INSERT), unread="v2Checkpoint"),
    SparkTable(
        "widened",
        (
            _made("id INT, note STRING", enableTypeWidening="true"), "INSERT INTO {table} VALUES (1, 'a')",
            "ALTER TABLE {table} ALTER COLUMN id TYPE BIGINT", "INSERT INTO {table} VALUES (2, NULL)",
        ),
        unread="typeWidening",
    ),
    SparkTable(
        "clustered", (_made(_COLUMNS, "CLUSTER BY (id)", enableDeletionVectors="false"), _INSERT), _TWO,
        unwritten="clustering",
    ),
    SparkTable(
        "row_tracking", (_made(_COLUMNS, enableRowTracking="true", enableDeletionVectors="false"), _INSERT), _TWO,
        unwritten="rowTracking",
    ),
    SparkTable(
        "change_feed", (_made(_COLUMNS, enableChangeDataFeed="true", enableDeletionVectors="false"), _INSERT), _TWO,
        unwritten="change data feed",
    ),
    SparkTable(
        "checked",
        (
            _made(_COLUMNS, enableDeletionVectors="false"), _INSERT,
            "ALTER TABLE {table} ADD CONSTRAINT positive CHECK (id > 0)",
        ),
        _TWO, unwritten="CHECK constraint, 'positive'",
    ),
    SparkTable(
        "generated",
        (
            _made("id BIGINT, note STRING, twice BIGINT GENERATED ALWAYS AS (id * 2)", enableDeletionVectors="false"),
            "INSERT INTO {table} (id, note) VALUES (1, 'a'), (2, NULL)",
        ),
        tuple({**row, "twice": 2 * number} for number, row in enumerate(_TWO, 1)), unwritten="a generated value",
    ),
)  # fmt: skip


def check(lake: Lake, table: SparkTable) -> None:
    """See that the table `orders` of the lake, which Spark wrote, is read right, and loaded on, or refused by name."""
    if table.unread:
        for refused in (lambda: lake.read("SELECT * FROM orders"), lambda: lake.plan(_MORE)):
            with pytest.raises(UnsupportedError, match=table.unread):
                refused()
        return
    assert ordered(lake.read("SELECT * FROM orders")) == ordered(list(table.rows))
    if table.unwritten:
        with pytest.raises(UnsupportedError, match=table.unwritten):
            lake.plan(_MORE, mode=ematix.merge(keys="id"))
        return
    loaded_on(lake, list(table.rows))


_MORE = pa.table({"id": pa.array([3], pa.int64()), "note": ["c"]})
