"""A query with its tables under other names, so that it can run where those names are taken."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ematix_core.backends.duck.connection import quote
from ematix_core.backends.duck.names import TableReference, references
from ematix_core.errors import SqlError
from ematix_core.sql.parameters import bind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from duckdb import DuckDBPyConnection

    from ematix_core.errors import EmatixError

VIEW = "_ematix_source_"
"""How the names begin that a session on a target gives to the tables of a source."""


def views(names: Sequence[TableReference]) -> dict[TableReference, str]:
    """Return a name for each table of a source that no table of a target has."""
    return {name: f"{VIEW}{number}" for number, name in enumerate(names, 1)}


def renamed(
    connection: DuckDBPyConnection, sql: str, parameters: Mapping[str, object], names: Mapping[TableReference, str]
) -> str | None:
    """Return the query, with its `:name` parameters, over tables of other names; its columns are known as before.

    None when the parser does not tell where in the text a table stands, as for DESCRIBE.
    """
    bound, _ = bind(sql, parameters, "named_dollar")  # of the same length
    found = references(connection, bound)
    if found is None:
        return None
    text = bytearray(sql.encode())
    places = [(node["query_location"], table, node) for table, nodes in found.items() for node in nodes]
    for at, table, node in sorted(places, key=lambda place: place[0], reverse=True):
        written = _written(table)
        here = re.match(written, text[at : at + len(text)].decode(errors="replace"), re.IGNORECASE)
        if here is None or node.get("at_clause"):
            return None
        if table[0] and re.search(rf"{written}\s*\.", text.decode(), re.IGNORECASE):
            return None  # a column is named with the schema, which an alias cannot have
        new = quote(names[table]) + ("" if node["alias"] else f" AS {quote(table[1])}")
        text[at : at + len(here[0].encode())] = new.encode()
    return text.decode()


def as_asked(error: EmatixError, sql: str, written: str) -> EmatixError:
    """Return the error with `written` in the place of `sql`, which `renamed` made of it."""
    if isinstance(error, SqlError) and sql and sql in error.statement:
        start = error.statement.index(sql)
        error.statement = error.statement.replace(sql, written, 1)
        if error.position is not None and error.position >= start:
            error.position = None  # names have other lengths
    return error


def _written(table: TableReference) -> str:
    """Return a pattern for the table as a query may write it, with or without quotes."""
    parts = [rf"(?:{re.escape(quote(part))}|{re.escape(part)}(?![\w$]))" for part in table if part]
    return r"\s*\.\s*".join(parts)
