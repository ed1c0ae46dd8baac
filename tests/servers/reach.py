"""How tests reach the servers of `make servers`, each test in a database of its own."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pymysql

if TYPE_CHECKING:
    from collections.abc import Iterator

URLS = Path(__file__).resolve().parents[2] / ".servers" / "urls.json"
"""What `make servers` started: URLs of administrators by the name of the server."""


def url(server: str) -> str:
    """Return the URL of `postgres`, `mariadb` or `mysql`: the variable, or what was started."""
    if given := os.environ.get(f"EMATIX_TEST_{server.upper()}_URL"):
        return given
    found: dict[str, str] = json.loads(URLS.read_text()) if URLS.exists() else {}
    if server not in found:
        message = f"no {server} server is known: run `make servers`, or set EMATIX_TEST_{server.upper()}_URL"
        raise RuntimeError(message)
    return found[server]


def in_database(server_url: str, database: str) -> str:
    """Return the URL with another database."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{database}"))


@contextmanager
def database(server: str) -> Iterator[str]:
    """Make an empty database, yield its URL and drop it with all that is in it."""
    name = f"ematix_{uuid4().hex[:12]}"
    admin = url(server)
    execute(admin, f"CREATE DATABASE {name}")
    try:
        yield in_database(admin, name)
    finally:
        execute(admin, f"DROP DATABASE {name}" + (" WITH (FORCE)" if server == "postgres" else ""))


def execute(server_url: str, *statements: str) -> list[tuple[object, ...]]:
    """Run the statements, each in its own transaction, and return the rows of the last one."""
    if server_url.startswith("postgresql"):
        with psycopg.connect(server_url, autocommit=True) as connection:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement.encode())
            return list(cursor.fetchall()) if cursor.description else []
    parts = urlsplit(server_url)
    client = pymysql.connect(
        host=parts.hostname, port=parts.port or 3306, user=parts.username, password=parts.password or "",
        database=parts.path.strip("/") or None, autocommit=True, charset="utf8mb4",
    )  # fmt: skip
    with client, client.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())
