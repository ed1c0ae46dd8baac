"""Which tables a query reads: the names in its FROM clauses that no WITH of its own defines."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ematix_core.backends.duck.connection import quote, translated
from ematix_core.errors import SourceError, SqlError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TableReference = tuple[str, str]
"""Schema (may be empty) and name, as written."""
Found = dict[TableReference, list[dict[str, Any]]]
_NAME = r'(?:"(?:[^"]|"")+"|\w+)'
_MADE_OF = re.compile(
    rf"\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:TEMP(?:ORARY)?\s+)?(?:VIEW|TABLE)\s+(?:IF\s+NOT\s+EXISTS\s+)?"
    rf"{_NAME}(?:\.{_NAME})*\s+AS\b", re.IGNORECASE,
)  # fmt: skip
"""What comes before the query of a view or table."""


def table_names(connection: DuckDBPyConnection, sql: str) -> tuple[TableReference, ...]:
    """Return the tables that a query reads, in order of appearance. Raises SqlError for text that does not parse.

    DuckDB's own parser is asked (`json_serialize_sql`), so that a name means here what it means when the query runs.
    Those of CREATE .. AS are its query's. What it does not serialize goes through `get_table_names`, which binds and so
    takes no parameters; and which opens the files that a statement names without letting go of the interpreter, so that
    several of them in an object store, opened at once by a file system in Python, would wait for each other for ever.
    """
    if (made := _MADE_OF.match(sql)) is not None:
        sql = sql[made.end() :]
    tree = syntax_tree(connection, sql)
    if tree.get("error"):
        if tree.get("error_type") == "parser":
            position = int(tree["position"]) if str(tree.get("position", "")).isdigit() else None
            raise SqlError(str(tree["error_message"]), statement=sql, position=position)
        if re.match(r"\s*PIVOT\b", sql, re.IGNORECASE):
            raise SqlError(
                "DuckDB runs PIVOT without IN as several statements, which a job's query cannot be",
                statement=sql,
                hint="Name the values: FROM (PIVOT ... ON column IN ('a', 'b') USING ...).",
            )
        return _by_binder(connection, sql)
    if len(tree["statements"]) != 1:
        raise SqlError("a job's query is one statement", statement=sql)
    return tuple(_found(tree))


def references(connection: DuckDBPyConnection, sql: str) -> Found | None:
    """Return the tables that a query reads with their nodes in DuckDB's syntax tree; None for what it does not tell."""
    tree = syntax_tree(connection, sql)
    return None if tree.get("error") or len(tree["statements"]) != 1 else _found(tree)


def syntax_tree(connection: DuckDBPyConnection, sql: str) -> dict[str, Any]:
    """Return what DuckDB's parser makes of the text: `statements`, or `error` for what it does not serialize."""
    tree: dict[str, Any] = json.loads(
        connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()[0][0]
    )
    return tree


def _found(tree: dict[str, Any]) -> Found:
    found: Found = {}
    _visit(tree["statements"][0]["node"], frozenset(), found)
    return found


def _by_binder(connection: DuckDBPyConnection, sql: str) -> tuple[TableReference, ...]:
    with translated(sql):
        names = connection.get_table_names(sql, qualified=True)
    split = [_split(name) for name in sorted(names)]
    return tuple((".".join(parts[:-1]), parts[-1]) for parts in split)


def _split(name: str) -> list[str]:
    parts, rest = [], name
    while rest:
        if rest.startswith('"'):
            end = 1
            while rest[end : end + 1] != '"' or rest[end : end + 2] == '""':
                end += 2 if rest[end : end + 2] == '""' else 1
            parts.append(rest[1:end].replace('""', '"'))
            rest = rest[end + 1 :].removeprefix(".")
        else:
            part, _, rest = rest.partition(".")
            parts.append(part)
    return parts


def _visit(node: Any, defined: frozenset[str], found: Found) -> None:  # noqa: ANN401 - parsed JSON
    """Walk DuckDB's syntax tree; `defined` are the names that a WITH gives at this place."""
    if isinstance(node, list):
        for item in node:
            _visit(item, defined, found)
        return
    if not isinstance(node, dict):
        return
    if node.get("type") == "BASE_TABLE":
        _reference(node, defined, found)
    if node.get("type") == "RECURSIVE_CTE_NODE":
        defined |= {node["cte_name"].lower()}
    for entry in (node.get("cte_map") or {}).get("map", ()):
        _visit(entry["value"], defined, found)
        defined |= {entry["key"].lower()}
    for key, value in node.items():
        if key != "cte_map":
            _visit(value, defined, found)


def _reference(node: dict[str, Any], defined: frozenset[str], found: Found) -> None:
    path = (node.get("qualified_name") or {}).get("path") or [node.get("schema_name", ""), node["table_name"]]
    *qualifiers, name = [part for part in path if part]
    if not qualifiers and name.lower() in defined:
        return
    if qualifiers and qualifiers[0].lower() in {"information_schema", "pg_catalog"}:
        return
    if len(qualifiers) > 1:
        raise SourceError(
            f"{quote(*qualifiers, name)} has more than two parts", hint='Write FROM "folder/name" or FROM schema.name.'
        )
    found.setdefault((qualifiers[0] if qualifiers else "", name), []).append(node)
