"""Writes docs/reference/native-types.md from the types that the tests send: `python -m tools.native_types_page`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers import mysql_types, postgres_types

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "native-types.md"
HEAD = """\
# Types of PostgreSQL and MySQL

What a column of each type is read as. This page is made from the tables by which the tests send awkward values of every
type around: out of the database and back into it, and into DuckDB, Parquet and SQLite. Types without a form of their
own in Arrow travel as text, which the same type reads back. How columns are made in new tables: [support](support.md).
"""
SERVERS = {("mysql", "mariadb"): "", ("mysql",): "MySQL only", ("mariadb",): "MariaDB only"}


def page() -> str:
    """Return the page's text."""
    postgres = [[_code(t.sql), _code(t.type.label()) if t.type else "refused"] for t in postgres_types.NATIVE_TYPES]
    mysql = [[_code(t.sql), _code(t.type.label()), SERVERS[t.servers]] for t in mysql_types.NATIVE_TYPES]
    refused = [[_code(t.sql), _code(t.literal), _code(t.hint)] for t in mysql_types.REFUSED]
    return "\n".join(
        [
            HEAD,
            "## PostgreSQL\n",
            *_table(("type", "read as"), postgres),
            "\n## MySQL and MariaDB\n",
            *_table(("type", "read as", ""), mysql),
            "\nValues that the column type cannot hold are refused, and the error says how to read them:\n",
            *_table(("type", "value", "the way out is"), refused),
            "",
        ]
    )


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


def _table(head: Iterable[str], rows: Iterable[list[str]]) -> list[str]:
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")


if __name__ == "__main__":
    main()
