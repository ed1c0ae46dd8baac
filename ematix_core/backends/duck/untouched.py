"""Which columns of its one table a query hands on untouched: their values are not looked at, only passed through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ematix_core.backends.duck.names import syntax_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from duckdb import DuckDBPyConnection

_PLAIN = {"ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER"}
_MAKES_OTHERS = ("group_expressions", "group_sets", "having", "qualify")


def untouched(connection: DuckDBPyConnection, sql: str, names: Iterable[str]) -> frozenset[str]:
    """Return those of the columns `names` that come out under their own name just as the table has them.

    That is: they stand in the SELECT list by themselves or by `*`, and nowhere else. So another type for one of them
    changes nothing but the values of that column. None of them where several tables are read, rows are grouped or
    made distinct, or the parser does not tell.
    """
    tree = syntax_tree(connection, sql)
    if tree.get("error") or len(tree["statements"]) != 1:
        return frozenset()
    return frozenset(name for name in names if _passes(tree["statements"][0]["node"], name.lower()))


def _passes(node: dict[str, Any], name: str) -> bool:
    if node["type"] != "SELECT_NODE" or node["cte_map"]["map"] or any(node[part] for part in _MAKES_OTHERS):
        return False
    if any(modifier["type"] not in _PLAIN for modifier in node["modifiers"]):
        return False
    if _mentions([node["where_clause"], node["modifiers"]], name):
        return False
    table = node["from_table"]
    inner = table["type"] == "SUBQUERY" and _passes(table["subquery"]["node"], name)
    if not (inner or table["type"] == "BASE_TABLE") or table["column_name_alias"]:
        return False
    return _selected(node["select_list"], table["alias"] or table.get("table_name", ""), name)


def _selected(items: list[dict[str, Any]], alias: str, name: str) -> bool:
    given = [_gives(item, alias, name) for item in items]
    others = [item for item, gives in zip(items, given, strict=True) if not gives and item["class"] != "STAR"]
    return any(given) and not _mentions(others, name)


def _gives(item: dict[str, Any], alias: str, name: str) -> bool:
    """Say whether an item of a SELECT list is the column, or a `*` that has it."""
    if item["class"] == "COLUMN_REF":
        *table, column = (part.lower() for part in item["column_names"])
        return column == name and item["alias"].lower() in {"", name} and table in ([], [alias.lower()])
    if item["class"] != "STAR" or item["columns"] or item["expr"]:
        return False
    changed = [item["exclude_list"], item["qualified_exclude_list"], item["replace_list"], item["rename_list"]]
    return not any(text.lower() == name for text in _texts(changed)) and not _mentions(changed, name)


def _mentions(node: Any, name: str) -> bool:  # noqa: ANN401 - parsed JSON
    """Say whether an expression has the column, or a `*` that may be it: COLUMNS(*), ORDER BY ALL."""
    if isinstance(node, list):
        return any(_mentions(item, name) for item in node)
    if not isinstance(node, dict):
        return False
    if node.get("class") == "STAR":
        return True
    if node.get("class") == "COLUMN_REF" and name in {part.lower() for part in node["column_names"]}:
        return True
    return any(_mentions(value, name) for value in node.values())


def _texts(node: Any) -> Iterator[str]:  # noqa: ANN401 - parsed JSON
    if isinstance(node, str):
        yield node
    elif isinstance(node, list | dict):
        for item in node.values() if isinstance(node, dict) else node:
            yield from _texts(item)
