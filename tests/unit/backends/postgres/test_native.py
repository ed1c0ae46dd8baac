"""What type modifiers mean, and which form rows pass from server to server in."""

from __future__ import annotations

import pytest

from ematix_core import types as t
from ematix_core.backends.postgres import native as n
from ematix_core.backends.postgres.catalog import Stored
from ematix_core.backends.postgres.native import Native
from ematix_core.backends.postgres.relay import agreed
from ematix_core.model.table import Column

ENUM, OTHER_ENUM, HSTORE = Native(20_000, kind="e"), Native(30_000, kind="e"), Native(20_001, name="hstore")
INET = Native(869, name="inet")


def stored(found: Native, sql: str) -> Stored:
    return Stored(Column("c", found.column_type), found, sql)


@pytest.mark.parametrize(
    ("precision", "scale", "kind"),
    [
        (12, 2, t.Numeric[12, 2]), (38, 9, t.Numeric), (76, 76, t.Numeric[76, 76]), (77, 0, t.Text),
        (3, -2, t.Numeric[5, 0]), (2, 5, t.Numeric[5, 5]), (1000, -1000, t.Text),
    ],
)  # fmt: skip
def test_numeric_by_its_modifier(precision: int, scale: int, kind: type[t.ColumnType]) -> None:
    typmod = ((precision << 16) | (scale & 0x7FF)) + 4
    assert Native(n.NUMERIC, typmod).column_type is kind


@pytest.mark.parametrize(
    ("source", "target", "form", "expression"),
    [
        (Native(n.INT8), stored(Native(n.INT8), "bigint"), "binary", "q.c0"),
        (Native(n.VARCHAR, 24), stored(Native(n.TEXT), "text"), "binary", "q.c0"),
        (Native(n.BPCHAR, 9), stored(Native(n.TEXT), "text"), "binary", "q.c0::text"),
        (ENUM, stored(OTHER_ENUM, "mood"), "binary", "q.c0"),
        (ENUM, stored(Native(n.TEXT), "text"), "binary", "q.c0"),
        (INET, stored(INET, "inet"), "binary", "q.c0"),
        (INET, stored(Native(n.TEXT), "text"), "binary", "q.c0::text"),
        (Native(n.TEXT), stored(INET, "inet"), "binary", "q.c0::inet"),
        (Native(n.JSON), stored(Native(n.JSONB), "jsonb"), "binary", "q.c0::jsonb"),
        (HSTORE, stored(HSTORE, "hstore"), "text", "q.c0"),
        (HSTORE, stored(Native(n.TEXT), "text"), "binary", "q.c0::text"),
    ],
)
def test_form_in_which_rows_pass(source: Native, target: Stored, form: str, expression: str) -> None:
    assert agreed([source], [target]) == (form, [expression])
