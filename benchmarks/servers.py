"""Databases of the benchmarks: sources filled once, a fresh target for every run, all dropped at the end.

Talks to the servers through their own commands, psql and mysql, so that the process that measures stays small and
imports no driver (see `measure`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit
from uuid import uuid4

from benchmarks.places import HERE

if TYPE_CHECKING:
    from collections.abc import Sequence

URLS = HERE.parent / ".servers" / "urls.json"
"""What `make servers` started: URLs of administrators by the name of the server."""
SCHEMA = "target"
"""Where the rows go in PostgreSQL, so that source and target can share a database."""
CHANGED = "lineitem_changed"
"""lineitem with another quantity and price in every tenth row."""

_POSTGRES_COLUMNS = """
    l_orderkey bigint NOT NULL, l_partkey bigint NOT NULL, l_suppkey bigint NOT NULL, l_linenumber integer NOT NULL,
    l_quantity numeric(15,2) NOT NULL, l_extendedprice numeric(15,2) NOT NULL, l_discount numeric(15,2) NOT NULL,
    l_tax numeric(15,2) NOT NULL, l_returnflag text NOT NULL, l_linestatus text NOT NULL, l_shipdate date NOT NULL,
    l_commitdate date NOT NULL, l_receiptdate date NOT NULL, l_shipinstruct text NOT NULL, l_shipmode text NOT NULL,
    l_comment text NOT NULL"""
_MYSQL_COLUMNS = """
    l_orderkey bigint NOT NULL, l_partkey bigint NOT NULL, l_suppkey bigint NOT NULL, l_linenumber int NOT NULL,
    l_quantity decimal(15,2) NOT NULL, l_extendedprice decimal(15,2) NOT NULL, l_discount decimal(15,2) NOT NULL,
    l_tax decimal(15,2) NOT NULL, l_returnflag varchar(1) NOT NULL, l_linestatus varchar(1) NOT NULL,
    l_shipdate date NOT NULL, l_commitdate date NOT NULL, l_receiptdate date NOT NULL,
    l_shipinstruct varchar(25) NOT NULL, l_shipmode varchar(10) NOT NULL, l_comment varchar(44) NOT NULL"""
CREATE_POSTGRES = f"CREATE TABLE {SCHEMA}.lineitem ({_POSTGRES_COLUMNS})"
CREATE_MYSQL = f"CREATE TABLE lineitem ({_MYSQL_COLUMNS}) CHARACTER SET utf8mb4"
LOAD_CSV = r"""LOAD DATA LOCAL INFILE '{path}' INTO TABLE lineitem CHARACTER SET utf8mb4
    FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '"' ESCAPED BY '' LINES TERMINATED BY '\n' IGNORE 1 LINES"""
_CHANGE = f"""CREATE TABLE {CHANGED} AS SELECT l_orderkey, l_partkey, l_suppkey, l_linenumber,
    CASE WHEN l_partkey % 10 = 0 THEN l_quantity + 1 ELSE l_quantity END::numeric(15,2) AS l_quantity,
    CASE WHEN l_partkey % 10 = 0 THEN l_extendedprice + 1 ELSE l_extendedprice END::numeric(15,2) AS l_extendedprice,
    l_discount, l_tax, l_returnflag, l_linestatus, l_shipdate, l_commitdate, l_receiptdate, l_shipinstruct, l_shipmode,
    l_comment FROM lineitem"""
_SUMS = "count(*), sum(l_orderkey), round(sum({money})), sum({letters}), min(l_shipdate)"


class NoServerError(Exception):
    """No server of that kind is known."""


class StatementFailedError(Exception):
    """A server refused a statement; its words are the message."""


def url(server: str) -> str:
    """Return the administrator's URL of `postgres`, `mysql` or `mariadb`: the variable, or what was started.

    `postgres_target` is a second PostgreSQL cluster for moves between two; without one it is the same cluster.
    Raises NoServerError.
    """
    if given := os.environ.get(f"EMATIX_TEST_{server.upper()}_URL"):
        return given
    found: dict[str, str] = json.loads(URLS.read_text()) if URLS.exists() else {}
    if server in found:
        return found[server]
    if server == "postgres_target":
        return url("postgres")
    raise NoServerError(f"no {server} server is known: run `make servers`, or set EMATIX_TEST_{server.upper()}_URL")


def is_postgres(address: str) -> bool:
    """Say whether a URL is of PostgreSQL rather than of MySQL or MariaDB."""
    return address.startswith("postgres")


def client(address: str) -> list[str]:
    """Return the server's own command, connected to the database of the URL."""
    if is_postgres(address):
        return ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", address]
    parts = urlsplit(address)
    mariadb = shutil.which("mariadb")
    options = [
        "--no-defaults", "--protocol=tcp", f"--host={parts.hostname}", f"--port={parts.port or 3306}",
        f"--user={unquote(parts.username or 'root')}", "--local-infile=1", "--default-character-set=utf8mb4",
        "--skip-ssl" if mariadb else "--ssl-mode=DISABLED",
    ]  # fmt: skip
    return [mariadb or "mysql", *options, *([parts.path.strip("/")] if parts.path.strip("/") else [])]


def password(address: str) -> dict[str, str]:
    """Return what the mysql command reads the password from; psql takes it from the URL."""
    secret = urlsplit(address).password
    return {"MYSQL_PWD": unquote(secret)} if secret and not is_postgres(address) else {}


def execute(address: str, *statements: str) -> list[str]:
    """Run the statements and return the first row of the last one as text. Raises StatementFailedError."""
    said = ""
    for statement in statements:
        asked = ["--no-align", "--tuples-only", "--field-separator=\t", "--command", statement]
        if not is_postgres(address):
            asked = ["--batch", "--skip-column-names", "--execute", statement]
        done = subprocess.run(
            [*client(address), *asked], check=False, capture_output=True, text=True, env=os.environ | password(address)
        )
        if done.returncode:
            raise StatementFailedError(f"{statement[:80]} in {_name(address) or 'the server'}: {done.stderr.strip()}")
        said = done.stdout
    return said.splitlines()[0].split("\t") if said.strip() else []


def sums(address: str, table: str, where: str = "") -> list[str]:
    """Return count and checksums of a table, as `verify` does for files. Values may have arrived as text."""
    mine = "length(l_comment)", "CAST(l_extendedprice AS numeric)"
    theirs = "char_length(l_comment)", "CAST(l_extendedprice AS decimal(30,2))"
    letters, money = mine if is_postgres(address) else theirs
    query = f"SELECT {_SUMS.format(money=money, letters=letters)} FROM {table} {where}"
    count, keys, price, total, first = execute(address, query)
    return [count, keys, f"{float(price):.0f}", total, first[:10]]


def fill(address: str, folder: Path, *, changed: bool) -> None:
    """Put lineitem of that folder into an empty database; `changed` adds the table CHANGED, in PostgreSQL."""
    if is_postgres(address):
        execute(address, f"CREATE TABLE lineitem ({_POSTGRES_COLUMNS})")
        execute(address, rf"\copy lineitem FROM '{folder / 'lineitem.csv'}' (FORMAT csv, HEADER)")
        # Frozen and analyzed, so that the first reader does not pay for hint bits nor autovacuum runs into another.
        execute(address, *([_CHANGE] if changed else []), "VACUUM (FREEZE, ANALYZE)")
        settle(address)
    else:
        load = LOAD_CSV.format(path=folder / "lineitem.csv")
        execute(address, CREATE_MYSQL, load, "ANALYZE TABLE lineitem", "FLUSH TABLES lineitem FOR EXPORT")


def new_address(server: str) -> str:
    """Return the URL of a database that is not there yet, without TLS: some contenders would use it and some not."""
    parts = urlsplit(url(server))
    query = "sslmode=disable" if is_postgres(parts.scheme) else ""
    return urlunsplit(parts._replace(path=f"/bench_{uuid4().hex[:12]}", query=query))


def create(address: str, template: str = "") -> None:
    """Make the database, empty or a copy of another one of the server. Drops it first when it is there."""
    drop(address)
    copied = f" TEMPLATE {_name(template)} STRATEGY file_copy" if template else ""
    execute(_admin(address), f"CREATE DATABASE {_name(address)}{copied}")
    if is_postgres(address):
        execute(address, f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")


def drop(address: str) -> None:
    """Drop the database when it is there, whoever is still connected."""
    forced = " WITH (FORCE)" if is_postgres(address) else ""
    execute(_admin(address), f"DROP DATABASE IF EXISTS {_name(address)}{forced}")


def _name(address: str) -> str:
    return urlsplit(address).path.strip("/")


def _admin(address: str) -> str:
    """Return the URL of the same server without the database."""
    return urlunsplit(urlsplit(address)._replace(path="/postgres" if is_postgres(address) else ""))


def settle(address: str) -> None:
    """Have the server write what earlier work left, so that it does not slow the next run.

    MySQL has no statement for that; the pages of a dropped database are not written at all.
    """
    if is_postgres(address):
        execute(address, "CHECKPOINT")


def cpu_seconds(addresses: Sequence[str]) -> float | None:
    """Return the CPU time that all processes of the servers have used so far; None when they are on another machine.

    PostgreSQL's postmaster counts every backend that has ended; MySQL is one process.
    """
    total = 0.0
    for admin in sorted({_admin(address) for address in addresses}):
        stat = Path(f"/proc/{_pid(admin)}/stat")
        if not stat.exists():
            return None
        used = stat.read_text().rpartition(")")[2].split()[11:15]
        total += sum(map(int, used)) / os.sysconf("SC_CLK_TCK")
    return total


def _pid(admin: str) -> str:
    if is_postgres(admin):
        return execute(admin, "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)")[0]
    file = Path(execute(admin, "SELECT @@pid_file")[0])
    return file.read_text().strip() if file.is_file() else "unknown"
