"""What users get wrong: each with a message that names what, where and what to do, and a target left as it was."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core import expect, pk
from ematix_core.errors import (
    BadRowError,
    CheckFailedError,
    ConversionError,
    DeclarationError,
    DriftError,
    EmatixError,
    EmptySourceError,
    KeyViolationError,
    LockedError,
    MissingSourceError,
    ProjectError,
    RunError,
    SqlError,
    UnknownConnectionError,
)
from ematix_core.types import BigInt, Text  # noqa: TC001 - the table decorator reads them

GOOD = pa.table({"id": [1, 2], "name": ["a", "b"]})
MEMORY = {
    "good": GOOD,
    "doubled": pa.table({"id": [1, 1, 2], "name": ["x", "y", "z"]}),
    "keyless": pa.table({"id": pa.array([1, None], pa.int64()), "name": ["x", "y"]}),
    "worded": pa.table({"id": ["one"], "name": ["x"]}),
    "empty": GOOD.slice(0, 0),
}


@ematix.table(schema="shop")
class People:
    """What the target holds."""

    id: Annotated[BigInt, pk()]
    name: Text | None


@dataclass(frozen=True)
class Mistake:
    """One mistake: the options and the SQL of a job, and what it must be told."""

    sql: str
    error: type[EmatixError]
    said: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)


FILES = {"source_connection": ematix.ObjectStoreConnection("files", path="drops", format="csv")}
MISTAKES = {
    "no key": Mistake(
        "SELECT * FROM good", DeclarationError, ("merge needs a key", "Pass mode=ematix.merge(keys=[...])"),
        {"target": "shop.other"},
    ),
    "unknown column": Mistake("SELECT id, nam FROM good", SqlError, ('"nam"', "line 1: SELECT id, nam", "^")),
    "syntax": Mistake("SELECT id\nFRM good", SqlError, ("good", "line 2: FRM good", "^")),
    "no SQL": Mistake("  -- later;\n/* ; */ ;", RunError, ("the function returned no SQL", "Return a query")),
    "two statements": Mistake(
        "SELECT * FROM good; SELECT * FROM empty", SqlError,
        ("there is more than one statement", "make one of them, or a job of each", "^"),
    ),
    "missing column": Mistake("SELECT id FROM good", DriftError, ("no column 'name'", "shop.people", "Known: id.")),
    "unknown table": Mistake(
        "SELECT * FROM goods", MissingSourceError,
        ("goods", "Did you mean 'good'? Known: doubled, empty, good, keyless, worded."),
    ),
    "missing file": Mistake('SELECT * FROM "goo.csv"', MissingSourceError, ("goo.csv", "good.csv"), FILES),
    "duplicate keys": Mistake(
        "SELECT * FROM doubled", KeyViolationError,
        ("several rows of the load have one key (id)", "'id': 1", "order_by="),
    ),
    "NULL key": Mistake(
        "SELECT * FROM keyless", ConversionError, ("'id' has NULL", "shop.people", "Filter or default")
    ),
    "type": Mistake("SELECT * FROM worded", ConversionError, ("'id'", "'one'", "int64", "Cast or clean it")),
    "empty with deletes": Mistake(
        "SELECT * FROM empty", EmptySourceError, ("every row of the target would go", "allow_empty=True"),
        {"mode": ematix.merge(deletes="delete")},
    ),
    "check": Mistake(
        "SELECT * FROM doubled", CheckFailedError, ("unique(id)", "2 rows", "Nothing was committed"),
        {"mode": "append", "checks": [expect.unique("id")]},
    ),
    "CSV line": Mistake('SELECT * FROM "bad.csv"', BadRowError, ("bad.csv, line 3", "2,b,c,d", "quarantine"), FILES),
    "CSV value": Mistake('SELECT * FROM "worded.csv"', BadRowError, ("worded.csv, line 30002", "zz,c"), FILES),
    "JSON line": Mistake('SELECT * FROM "bad.jsonl"', BadRowError, ("bad.jsonl, line 2", '{"id":2'), FILES),
    "connection": Mistake(
        "SELECT 1", UnknownConnectionError, ("'shp'", "EMATIX_CONNECTION_SHP", "ematix.toml"),
        {"source_connection": "shp"},
    ),
}  # fmt: skip


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ematix.Connection:
    """Return a DuckDB target that holds two rows, in a folder with some files to read."""
    monkeypatch.chdir(tmp_path)
    drops = tmp_path / "drops"
    drops.mkdir()
    (drops / "good.csv").write_text("id,name\n1,a\n", encoding="utf-8")
    (drops / "bad.csv").write_text("id,name\n1,a\n2,b,c,d\n3,c\n", encoding="utf-8")
    lines = "".join(f"{i},x\n" for i in range(30_000))
    (drops / "worded.csv").write_text(f"id,name\n{lines}zz,c\n", encoding="utf-8")
    (drops / "bad.jsonl").write_text('{"id":1,"name":"a"}\n{"id":2\n{"id":3,"name":"c"}\n', encoding="utf-8")
    connection = ematix.DuckDBConnection("warehouse", path="warehouse.duckdb")
    _job("SELECT * FROM good", target_connection=connection).run()
    return connection


def _job(sql: str, **options: Any) -> ematix.Job:  # noqa: ANN401 - options of ematix.job
    defaults: dict[str, Any] = {
        "target": People,
        "mode": "merge",
        "source_connection": ematix.MemoryConnection("m", tables=MEMORY),
    }
    made: ematix.Job = ematix.job(name="people", **(defaults | options))(lambda: sql)
    return made


def _contents() -> list[tuple[Any, ...]]:
    import duckdb

    with duckdb.connect("warehouse.duckdb") as found:
        tables = found.execute("SELECT table_name FROM duckdb_tables() ORDER BY ALL").fetchall()
        return [*tables, *found.execute("SELECT * FROM shop.people ORDER BY id").fetchall()]


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_and_changes_nothing(name: str, target: ematix.Connection) -> None:
    """The error has the right type, says what, where and what to do, and the target is as before."""
    before = _contents()
    mistake = MISTAKES[name]

    with pytest.raises(mistake.error) as caught:
        _job(mistake.sql, **({"target_connection": target} | mistake.options)).run()

    text = str(caught.value)
    for part in ("job people", *mistake.said):
        assert part in text
    assert _contents() == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mode": "merg"}, "unknown mode 'merg' (job people)\nDid you mean 'merge'?"),
        ({"mode": ematix.merge(keys=["idd"])}, "'idd', which is no column of shop.people (job people)\nDid you mean"),
        ({"schedule": "99 * * * *"}, "schedule='99 * * * *' is no cron pattern"),
        ({"schedule": "0 2 * * *", "timezone": "Europe/Lodnon"}, "Did you mean 'Europe/London'?"),
        ({"timezone": "Europe/London"}, "timezone"),
    ],
)  # fmt: skip
def test_a_contradiction_is_refused_where_it_is_declared(options: dict[str, Any], said: str) -> None:
    """Nothing has to run to find it."""
    with pytest.raises(DeclarationError) as caught:
        _job("SELECT 1", **options)
    assert said in str(caught.value)


def test_unknown_jobs_and_circles_are_found_in_the_whole_project() -> None:
    """Both are said at once."""
    first = ematix.job(name="first", target="a", target_connection="w", depends_on="second")(lambda: "SELECT 1")
    second = ematix.job(name="second", target="b", target_connection="w", depends_on="first")(lambda: "SELECT 1")
    third = ematix.job(name="third", target="c", target_connection="w", depends_on="frist")(lambda: "SELECT 1")

    with pytest.raises(ProjectError) as caught:
        ematix.Project.of(first, second, third)
    assert "'frist'" in str(caught.value)
    assert "Did you mean 'first'?" in str(caught.value)
    assert "first -> second -> first" in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "hold"),
    [
        ("duckdb", "import duckdb; held = duckdb.connect('held.db'); held.execute('CREATE TABLE t (a INT)')"),
        ("sqlite", "import sqlite3; held = sqlite3.connect('held.db'); held.execute('BEGIN EXCLUSIVE')"),
    ],
)
def test_a_file_that_another_program_holds_is_named(kind: str, hold: str, target: ematix.Connection) -> None:
    """After the wait, the message has the file's path."""
    del target
    script = f"{hold}; print('held', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        held = _connection(kind)
        with pytest.raises(LockedError) as caught:
            _job("SELECT * FROM good", target_connection=held, target="t", mode="append").run(lock_wait=1)
        holder.communicate(b"\n")
    assert "held.db" in str(caught.value)


def _connection(kind: str) -> ematix.Connection:
    made: dict[str, type[ematix.DuckDBConnection | ematix.SQLiteConnection]] = {
        "duckdb": ematix.DuckDBConnection, "sqlite": ematix.SQLiteConnection,
    }  # fmt: skip
    return made[kind]("held", path="held.db")


def test_a_missing_driver_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    """In a process that cannot import the driver."""
    script = """
        import sys
        sys.modules["adbc_driver_sqlite"] = None
        import ematix_core as ematix
        from ematix_core.errors import MissingDriverError
        shop = ematix.SQLiteConnection("shop", path="shop.db")
        try:
            ematix.job(name="j", target="t", target_connection=shop)(lambda: "SELECT 1 AS one").run()
        except MissingDriverError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=tmp_path, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert 'Run: pip install "ematix[sqlite]"' in done.stdout
