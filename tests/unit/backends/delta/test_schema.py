"""Columns without Arrow: what delta-rs and pyarrow make of the same schema."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, Schema, write_deltalake

from ematix_core import types
from ematix_core.backends.delta.schema import columns_of, schema_of
from ematix_core.model.table import Column, columns_from

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.types import ColumnType

KINDS: list[type[ColumnType]] = [
    types.Boolean, types.TinyInt, types.SmallInt, types.Integer, types.BigInt, types.Float, types.Double, types.Text,
    types.String[10], types.Bytes, types.Date, types.TimestampTZ, types.Timestamp, types.Numeric[15, 2],
    types.Numeric[38, 0], types.UBigInt, types.Array[types.Integer], types.Struct[(("a", types.Text),)],
    types.Map[types.Text, types.Numeric[5, 1]],
]  # fmt: skip
COLUMNS = [Column(f"c{number}", kind, nullable=number % 2 == 0) for number, kind in enumerate(KINDS)]


def test_a_schema_is_the_one_that_arrow_gives() -> None:
    arrow: Any = pa.schema([pa.field(c.name, c.type.to_arrow(), c.nullable) for c in COLUMNS])
    assert schema_of(COLUMNS) == Schema.from_arrow(arrow)


@pytest.mark.parametrize(
    "columns",
    [COLUMNS, COLUMNS[:15], [Column("j", types.JSON)], []],
    ids=["with nested types", "usual", "json", "none"],
)
def test_columns_are_those_that_arrow_gives(columns: list[Column]) -> None:
    schema = schema_of(columns)
    arrow: Any = schema.to_arrow()
    assert columns_of(schema) == columns_from(pa.schema(arrow))


def test_a_table_is_looked_at_without_arrow(tmp_path: Path) -> None:
    table: Any = pa.table({"day": ["a", "b"], "n": [1, 2], "amount": pa.array([1, 2], pa.decimal128(9, 2))})
    write_deltalake(tmp_path / "t", table, partition_by=["day"])
    assert len(DeltaTable(tmp_path / "t").file_uris()) == 2
    code = (
        "import sys\n"
        "from ematix_core.backends.delta.log import opened\n"
        "from ematix_core import DeltaConnection\n"
        "from ematix_core.backends.delta.settings import settings_of\n"
        f"found = opened(settings_of(DeltaConnection('lake', path={str(tmp_path)!r})).root.at('t'))\n"
        "print([c.name for c in found.columns], sorted(f.partition for f in found.files()), 'pyarrow' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "['day', 'n', 'amount'] [('a',), ('b',)] False\n", done.stderr
