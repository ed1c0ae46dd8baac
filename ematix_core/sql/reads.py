"""What a query may read: a table under its own name, or through a view or function that it names; all columns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from ematix_core.model.table import TableName

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ematix_core.sql.dialect import Dialect

_WORD = re.compile(r"[\w$]+")
_QUOTES = str.maketrans("", "", "\"'`[]\\")
_SPELLED = 'u&"'
"""Begins a name of PostgreSQL's that is spelled by numbers of characters, so that it cannot be looked for."""


def names_table(sql: str, table: TableName, dialect: Dialect) -> bool:
    """Say whether a query may read the table under its own name. What cannot be parsed may do anything."""
    found = tables_in(sql, dialect)
    return found is None or any(may_be(each, table, dialect) for each in found)


def names_any(sql: str, names: Iterable[str]) -> bool:
    """Say whether one of the names may stand in a query, whatever its case and its quotes.

    Any word counts, also the name of a column or a text: rather once too often than not at all.
    """
    text = sql.lower()
    words = set(_WORD.findall(text))
    bare = text.translate(_QUOTES)
    known = [name.lower() for name in names]
    return _SPELLED in text or any(
        name in words if _WORD.fullmatch(name) else name.translate(_QUOTES) in bare for name in known
    )


def tables_in(sql: str, dialect: Dialect) -> set[TableName] | None:
    """Return the names of the tables that a query reads; None when the text cannot be parsed."""
    try:
        parsed = parse_one(sql, read=dialect.grammar)
    except SqlglotError:
        return None
    if isinstance(parsed, exp.Command):  # what sqlglot takes over word for word
        return None
    return {TableName(found.db, found.name) for found in parsed.find_all(exp.Table)}


def may_be(one: TableName, other: TableName, dialect: Dialect) -> bool:
    """Say whether two names can mean one table: a name without a schema may be in any, and case may not count.

    What stands before the point may be a catalog in DuckDB: https://duckdb.org/docs/stable/sql/statements/attach
    """
    if one.name.lower() != other.name.lower():
        return False
    told_apart = one.schema and other.schema and dialect.grammar != "duckdb"
    return not told_apart or one.schema.lower() == other.schema.lower()


def selects_all(sql: str) -> bool:
    """Say whether a query of DuckDB selects `*`, whatever columns there are; False for text that cannot be parsed."""
    try:
        query = parse_one(sql, dialect="duckdb")
    except SqlglotError:
        return False
    return isinstance(query, exp.Query) and query.is_star
