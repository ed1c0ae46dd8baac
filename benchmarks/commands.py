"""How each contender is started: the command of a run, for the ends of a move."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from benchmarks.contenders import LIBRARY, OURS, SERVERS, Contender
from benchmarks.places import HERE
from benchmarks.servers import CREATE_MYSQL, CREATE_POSTGRES, LOAD_CSV, SCHEMA, client, password

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.contenders import Move
    from benchmarks.places import Ours, Peers


@dataclass(frozen=True)
class Ends:
    """Where a run reads and writes: a path of a file, a URL of a database."""

    source: str
    target: str
    data: Path
    """The folder with lineitem in all forms."""


def contenders(move: Move, ends: Ends, ours: Ours, peers: Peers) -> list[Contender]:
    """Return who takes part, ours first."""
    found = [_ours(move, ends, ours)]
    if not move.servers:
        found.append(Contender(LIBRARY, "ours", (str(ours.python), "library.py", move.name)))
    for name in move.peers:
        found += _PEERS[name](move, ends, peers)
    return [*found, *(PLAIN[name](name, ends, peers) for name in move.plain)]


def _ours(move: Move, ends: Ends, ours: Ours) -> Contender:
    if move.target == "arrow":
        return Contender("ematix: Source.read", "ours", (str(ours.python), "drain.py", ends.source))
    return Contender(OURS, "ours", (str(ours.flow), "run", "pipelines.py", move.name))


def _dlt(move: Move, ends: Ends, peers: Peers) -> list[Contender]:
    sql = move.source in SERVERS or move.source.endswith("sqlite")
    script = str(HERE / "peers" / "dlt_moves.py")
    return [
        Contender(
            f"dlt, {backend}" if backend else "dlt",
            "peer",
            (str(peers.python), script, f"{move.name}:{backend}", ends.source, ends.target),
        )
        for backend in (["connectorx", "pyarrow"] if sql else [""])
    ]


def _ingestr(move: Move, ends: Ends, peers: Peers) -> list[Contender]:
    if "duckdb" in move.name and not peers.preload:
        return [Contender("ingestr", "peer", missing="needs to download a DuckDB driver: this Python is not shared")]
    command = [
        str(peers.ingestr), "ingest", "--yes", "--progress", "log", "--incremental-strategy", "append",
        "--source-uri", _uri(ends.source), "--source-table", _table(move.source, ends.source, "public"),
        "--dest-uri", _uri(ends.target), "--dest-table", _table(move.target, ends.target, SCHEMA),
    ]  # fmt: skip
    if move.name.endswith("_watermark"):
        command += ["--incremental-key", "l_orderkey"]
    return [Contender("ingestr", "peer", tuple(command), {"LD_PRELOAD": peers.preload})]


def _uri(end: str) -> str:
    """Return a file's URI for ingestr, or the URL itself."""
    if "://" in end:
        return end
    schemes = {".sqlite": "sqlite:///", ".duckdb": "duckdb:///", ".csv": "csv://", ".parquet": "parquet://"}
    return schemes[Path(end).suffix] + end


def _table(end: str, address: str, schema: str) -> str:
    if end == "postgres":
        return f"{schema}.lineitem"
    if end == "mysql":
        return f"{urlsplit(address).path.strip('/')}.lineitem"
    return "main.lineitem" if end.endswith("duckdb") else "lineitem"


def _sling(move: Move, ends: Ends, peers: Peers) -> list[Contender]:
    if move.source not in SERVERS or move.target not in SERVERS:
        return [Contender("sling", "peer", missing="needs a DuckDB program for this, which it downloads")]
    command = (
        str(peers.sling), "run", "--mode", "full-refresh",
        "--src-conn", "SLING_FROM", "--src-stream", _table(move.source, ends.source, "public"),
        "--tgt-conn", "SLING_TO", "--tgt-object", _table(move.target, ends.target, SCHEMA),
    )  # fmt: skip
    # Rows go straight into the table, without a temporary one before it.
    env = {"SLING_FROM": _uri(ends.source), "SLING_TO": _uri(ends.target), "SLING_DIRECT_INSERT": "true"}
    return [Contender("sling", "peer", command, env)]


def _ematix_flow(move: Move, ends: Ends, peers: Peers) -> list[Contender]:
    command = (str(peers.ematix_flow), "run", "--no-run-log", "--module", "ematix_flow_pipelines", move.mode)
    env = {
        "EMATIX_FLOW_DSN_SOURCE": ends.source, "EMATIX_FLOW_DSN_TARGET": ends.target,
        "PYTHONPATH": str(HERE / "peers"), "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    return [Contender("ematix-flow", "peer", command, env)]


_PEERS: dict[str, Callable[[Move, Ends, Peers], list[Contender]]] = {
    "dlt": _dlt,
    "ingestr": _ingestr,
    "sling": _sling,
    "ematix_flow": _ematix_flow,
}


def _script(function: str) -> Callable[[str, Ends, Peers], Contender]:
    """Return the maker of a contender that is a function of peers/plain.py."""

    def made(name: str, ends: Ends, peers: Peers) -> Contender:
        if "pipe" in function and shutil.which("sqlite3") is None:
            return Contender(name, "plain", missing="there is no sqlite3 command here")
        command = (str(peers.python), str(HERE / "peers" / "plain.py"), function, ends.source, ends.target)
        return Contender(name, "plain", command)

    return made


def _shell(name: str, *lines: str, env: dict[str, str] | None = None) -> Contender:
    return Contender(name, "plain", ("sh", "-c", " | ".join(lines)), env)


def _asked(address: str, *statements: str, create: str = "") -> str:
    """Return a psql or mysql call as a line for the shell; `create` goes into the same transaction in psql."""
    option = "--command" if address.startswith("postgres") else "--execute"
    asked = [part for statement in (create, *statements) if statement for part in (option, statement)]
    together = ["--single-transaction"] if create and address.startswith("postgres") else []
    return shlex.join([*(word for word in client(address) if word != "--quiet"), *together, *asked])


def _psql_pipe(name: str, ends: Ends, _: Peers) -> Contender:
    reader = _asked(ends.source, "COPY lineitem TO STDOUT (FORMAT binary)")
    copy = f"COPY {SCHEMA}.lineitem FROM STDIN (FORMAT binary)"
    return _shell(name, reader, _asked(ends.target, copy, create=CREATE_POSTGRES))


def _psql_inside(name: str, ends: Ends, _: Peers) -> Contender:
    insert = f"INSERT INTO {SCHEMA}.lineitem SELECT * FROM public.lineitem"
    return _shell(name, _asked(ends.target, insert, create=CREATE_POSTGRES))


def _psql_drain(name: str, ends: Ends, _: Peers) -> Contender:
    return _shell(name, _asked(ends.source, r"\copy (SELECT * FROM lineitem) TO '/dev/null' (FORMAT csv)"))


def _psql_file(name: str, ends: Ends, _: Peers) -> Contender:
    copy = rf"\copy {SCHEMA}.lineitem FROM '{ends.data / 'lineitem.pgcopy'}' (FORMAT binary)"
    return _shell(name, _asked(ends.target, copy, create=CREATE_POSTGRES))


def _mysql_file(name: str, ends: Ends, _: Peers) -> Contender:
    load = LOAD_CSV.format(path=ends.data / "lineitem.csv")
    return _shell(name, _asked(ends.target, f"{CREATE_MYSQL}; {load}"), env=password(ends.target))


PLAIN: dict[str, Callable[[str, Ends, Peers], Contender]] = {
    "sqlite3 CSV | DuckDB": _script("sqlite_pipe_to_duckdb"),
    "DuckDB INSERT..SELECT": _script("parquet_to_duckdb"),
    "DuckDB COPY": _script("csv_to_parquet"),
    "DuckDB CSV | sqlite3 .import": _script("duckdb_pipe_to_sqlite"),
    "sqlite3 executemany": _script("duckdb_to_sqlite"),
    "psql COPY BINARY | psql": _psql_pipe,
    "psql INSERT..SELECT": _psql_inside,
    "psql COPY CSV > /dev/null": _psql_drain,
    "psql COPY BINARY < file": _psql_file,
    "mysql LOAD DATA LOCAL < CSV": _mysql_file,
}
