"""Statements for a server, by the URL of one of its users."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg
import pymysql
from psycopg.conninfo import make_conninfo

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 10
PASSWORD = "hunter2/@:%+ x"  # noqa: S105 - of test users on loopback; each of its signs needs care in a URL


def execute(url: str, *statements: str, ca: Path | None = None) -> list[tuple[object, ...]]:
    """Run the statements, each in its own transaction, and return the rows of the last one.

    With `ca`, over TLS to the host of the URL and no other.
    """
    if url.startswith("postgresql"):
        target = make_conninfo(url, sslmode="verify-full", sslrootcert=str(ca)) if ca else url
        with psycopg.connect(target, autocommit=True, connect_timeout=SECONDS) as connection:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement.encode())
            return list(cursor.fetchall()) if cursor.description else []
    parts = urlsplit(url)
    client = pymysql.connect(
        host=parts.hostname, port=parts.port or 3306, user=unquote(parts.username or ""),
        password=unquote(parts.password or ""), database=parts.path.strip("/") or None, autocommit=True,
        charset="utf8mb4", connect_timeout=SECONDS,
        ssl={"ca": str(ca), "check_hostname": True} if ca else None,
    )  # fmt: skip
    with client, client.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())


def as_user(url: str, user: str, password: str) -> str:
    """Return the URL with another user."""
    parts = urlsplit(url)
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{credentials}@{parts.hostname}:{parts.port}"))
