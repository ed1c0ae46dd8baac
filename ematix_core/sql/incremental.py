"""The query of an incremental job: rows at or above the last watermark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.model.table import TableName
from ematix_core.sql import build
from ematix_core.sql.parameters import names

if TYPE_CHECKING:
    from ematix_core.sql.dialect import Dialect

WATERMARK = "watermark"
"""The parameter that a job's SQL may use: `WHERE updated_at >= :watermark`."""


def uses_watermark(sql: str) -> bool:
    """Say whether the user's SQL mentions `:watermark` itself."""
    return WATERMARK in names(sql)


def at_or_above(sql: str, column: str, dialect: Dialect) -> str:
    """Return the user's query, unchanged inside, reduced to rows whose column is at or above `:watermark`."""
    name = build.text(build.col(column), dialect)
    return f"SELECT *\nFROM (\n{sql}\n) AS incremental\nWHERE {name} >= :{WATERMARK}"


def whole(table: str, dialect: Dialect) -> str:
    """Return the query for all rows of a table, or of a file pattern."""
    return build.text(build.everything(build.placed(TableName.parse(table), dialect)), dialect)


def between(sql: str, column: str, start: str, end: str, dialect: Dialect) -> str:
    """Return the user's query, unchanged inside, reduced to rows whose column is in `[:start, :end)`."""
    name = build.text(build.col(column), dialect)
    return f"SELECT *\nFROM (\n{sql}\n) AS slice\nWHERE {name} >= :{start} AND {name} < :{end}"
