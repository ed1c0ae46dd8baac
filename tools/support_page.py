"""Writes docs/reference/support.md from the capability records of the backends: `python tools/support_page.py`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ematix_core import types
from ematix_core.backends import registry
from ematix_core.errors import UnsupportedError
from ematix_core.types import ColumnType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ematix_core.sql.dialect import Dialect

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "support.md"
HEAD = """\
# What each system supports

This page is made from the capability records of the backends (`ematix_core.backends.<kind>`); each flag there has the
vendor's page beside it. What a system cannot do raises `UnsupportedError` when a job is planned, never half-way.
Connections of kind `federated` [join the others' tables](../how-to/join-connections.md), and are only read.
"""
MODES = ("append", "truncate", "merge", "scd2")
NO = "-"
REPLACE = {"transaction": "in one transaction", "overwrite": "by a new version"}
UPSERT = {
    "none": NO, "update_insert": "UPDATE, then INSERT", "merge": "MERGE", "on_conflict": "INSERT .. ON CONFLICT",
    "on_duplicate_key": "INSERT .. ON DUPLICATE KEY", "native": "its own",
}  # fmt: skip
FEATURES: tuple[tuple[str, Callable[[Dialect], str]], ...] = (
    ("a merge writes by", lambda d: UPSERT[d.upsert.value]),
    ("rows are replaced", lambda d: REPLACE[d.replace.value]),
    ("tables are created in the load's transaction", lambda d: _yes(d.transactional_ddl) if d.ddl else "no tables"),
    ("schemas", lambda d: "yes" if d.schemas else "`a.b` is kept as `a_b`"),
    ("PRIMARY KEY and UNIQUE are declared", lambda d: _yes(d.declares_keys)),
    ('`on_drift="evolve"` widens a column', lambda d: _yes(d.alter_type) if d.ddl else "in new files"),
    ("one writing process", lambda d: "yes: jobs queue" if d.one_writer else "no"),
    ("most digits of a `Numeric`", lambda d: str(d.limits.get("numeric_precision", 76))),
    ("`maintenance=`", lambda d: ", ".join(sorted(d.maintenance)) or NO),
    ("bulk load", lambda d: d.bulk),
)


def page() -> str:
    """Return the page's text."""
    dialects = [dialect for kind in registry.MODULES if (dialect := registry.dialect(kind)).modes]
    modes = [[f"mode `{mode}`", *(_yes(mode in dialect.modes) for dialect in dialects)] for mode in MODES]
    features = [[label, *(cell(dialect) for dialect in dialects)] for label, cell in FEATURES]
    kinds = [[f"`{kind.label()}`", *(_type(dialect, kind) for dialect in dialects)] for kind in column_types()]
    names = [dialect.name for dialect in dialects]
    return "\n".join(
        [
            HEAD,
            *_table(["", *names], [*modes, *features]),
            "\n## How types are stored\n",
            "Formats of `objects` hold less than this: see [files](../how-to/files.md#write-files).\n",
            *_table(["column type", *names], kinds),
            "",
        ]
    )


def column_types() -> list[type[ColumnType]]:
    """Return every column type once, parametrised ones with an example."""
    plain = [getattr(types, name) for name in types.__all__]
    found = {
        kind
        for kind in plain
        if isinstance(kind, type) and issubclass(kind, ColumnType) and kind.kind not in {"", "unknown"}
    }
    examples = {
        types.Array: types.Array[types.Text], types.Map: types.Map[types.Text, types.BigInt],
        types.Struct: types.Struct[("city", types.Text), ("zip", types.Text)], types.Numeric: types.Numeric[12, 2],
        types.String: types.String[20],
    }  # fmt: skip
    return sorted((examples.get(kind, kind) for kind in found), key=lambda kind: kind.label())


def _type(dialect: Dialect, kind: type[ColumnType]) -> str:
    try:
        return f"`{dialect.sql_type(kind, column='x')}`"
    except UnsupportedError:
        return NO


def _yes(value: bool) -> str:  # noqa: FBT001 - a flag to be shown
    return "yes" if value else NO


def _table(headers: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    headers = list(headers)
    lines = [headers, ["---"] * len(headers), *(list(row) for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
