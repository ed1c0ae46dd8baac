"""DuckDB as ematix uses it everywhere: settings, reading as Arrow, and its errors in our words.

Shared by the backends that run on DuckDB (`duckdb`, `memory`, `objects`). The driver is imported inside the functions,
so that a Dialect record can be read without it.
"""

from __future__ import annotations

import json
import re
import tempfile
import unicodedata
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ematix_core.backends.storage.handover import cause_of, handed_over
from ematix_core.errors import (
    CancelledError,
    ConfigError,
    ConnectError,
    ConversionError,
    DiskFullError,
    EmatixError,
    KeyViolationError,
    LockedError,
    MissingDriverError,
    MissingSourceError,
    RunError,
    SourceError,
    SqlError,
)
from ematix_core.model.names import alike

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import ModuleType

    from duckdb import DuckDBPyConnection, DuckDBPyRelation

BATCH_ROWS = 32_768
"""Rows of a batch. With DuckDB's row groups of 122,880, 6M rows into SQLite take 634 MiB instead of 505, as fast."""

SETTINGS: Mapping[str, Any] = {
    "TimeZone": "UTC",  # an instant is kept and shown in UTC, whatever the zone of the machine
    "arrow_lossless_conversion": True,  # uuid and json come out as such, not as text
    "autoinstall_known_extensions": False,  # a query never downloads code
    "enable_progress_bar": False,  # DuckDB draws on stdout after two seconds, whoever reads that
    # Beyond it DuckDB spills to temp_directory; its own default is 80% of the machine. Loads of 6M rows are no slower
    # with 256 MB than with 1 GB, and merges of them fail below it.
    "memory_limit": "256MB",
    "python_enable_replacements": False,  # a name in FROM is a table, never a Python variable that happens to be near
}
"""What each connection is set to, unless the user's options say otherwise; `threads` stays DuckDB's: one a CPU."""

OWN_FUNCTION = "_ematix_function_"
"""Begins the names under which a database has functions of the user's; see `functions`."""
_OWN_FUNCTION = re.compile(rf"{OWN_FUNCTION}\d+_")

# These can only be given when a database is opened: https://duckdb.org/docs/current/configuration/overview
_AT_START = frozenset({"access_mode", "allow_unsigned_extensions", "storage_compatibility_version"})
_CLOSING = "Unique file handle conflict"
_CLOSING_SECONDS = 10.0
# Types that Arrow has no form for, or no form that keeps every value: they travel as the ones on the right.
_TRAVELS_AS = {"UHUGEINT": "DECIMAL(38,0)", "HUGEINT": "DECIMAL(38,0)", "BIGNUM": "VARCHAR", "BIT": "VARCHAR"}
_FOREIGN = re.compile(rf'"(?:[^"]|"")*"|\b({"|".join(_TRAVELS_AS)})\b')


def driver() -> ModuleType:
    """Return the module duckdb. Raises MissingDriverError when it is not installed."""
    try:
        import duckdb
    except ImportError as error:
        raise MissingDriverError("duckdb", "duckdb", "duckdb") from error
    return duckdb


def open_duck(path: str | Path = ":memory:", **settings: Any) -> DuckDBPyConnection:  # noqa: ANN401 - DuckDB's own settings
    """Open a DuckDB database with our standard settings; `settings` are DuckDB's own and override them.

    Raises ConnectError, LockedError (another process has the file) and ConfigError (an unknown setting).
    """
    at_start = {name: str(value) for name, value in settings.items() if name in _AT_START}
    with translated(f"open {path}"):
        connection = _connected(str(path), at_start)
    later = {name: value for name, value in settings.items() if name not in _AT_START}
    if str(path) == ":memory:":
        # DuckDB's own default is `.tmp` in the working directory; the name is ours alone because a database reuses
        # the file names of any other one that spills to the same folder.
        later = {"temp_directory": str(Path(tempfile.gettempdir()) / f"ematix_duckdb_{uuid4().hex}")} | later
    try:
        configure(connection, later)
    except BaseException:
        connection.close()
        raise
    return connection


def _connected(path: str, at_start: dict[str, str]) -> DuckDBPyConnection:
    """Return a connection; a file that another thread of this process is just closing is waited for.

    DuckDB keeps one database a file and process, and refuses to open it anew before it has let go of it.
    """
    connect: Callable[..., DuckDBPyConnection] = driver().connect
    try:
        return connect(path, config=at_start)
    except driver().Error as error:
        if _CLOSING not in str(error):
            raise
    from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

    again = Retrying(
        retry=retry_if_exception(lambda error: _CLOSING in str(error)), stop=stop_after_delay(_CLOSING_SECONDS),
        wait=wait_fixed(0.01), reraise=True,
    )  # fmt: skip
    return again(connect, path, config=at_start)


def configure(connection: DuckDBPyConnection, settings: Mapping[str, Any]) -> None:
    """Apply our standard settings and the user's to a connection, or to a new cursor: some do not carry over."""
    for name, value in {**SETTINGS, **settings}.items():
        text = str(value).replace("'", "''")
        try:
            connection.execute(f"SET {_identifier(name)} = '{text}'")
        except driver().Error as error:
            raise ConfigError(
                f"DuckDB refuses the setting {name}={value!r}: {_head(error)}",
                hint="`SELECT name, description FROM duckdb_settings()` lists them.",
            ) from error


def _identifier(name: str) -> str:
    if not name.isidentifier():
        raise ConfigError(f"{name!r} is no name of a DuckDB setting")
    return name


def relation(connection: DuckDBPyConnection, sql: str, parameters: Mapping[str, Any]) -> DuckDBPyRelation:
    """Return the query as a relation whose columns all have an Arrow form; nothing is read yet.

    `sql` has `$name` parameters, and `parameters` just those. HUGEINT (the type of `sum(integer)`) travels as
    DECIMAL(38,0), BIT and ENUM as text, booleans as `arrow.bool8` (see `duck_arrow`). The connection is taken until
    the relation's reader is exhausted or closed.
    Raises the errors of `translate`.
    """
    with translated(sql):
        _require_query(connection, sql)
    try:
        found = connection.sql(sql, params=dict(parameters) or None)
    except driver().Error as error:
        raise _located(connection, sql, parameters, error) from cause_of(error)
    kinds = [str(kind) for kind in found.types]
    travels = [_travels_as(kind) for kind in kinds]
    if travels == kinds:
        return found
    return found.project(
        ", ".join(
            (f"#{i}" if old == new else f"CAST(#{i} AS {new})") + f" AS {quote(name)}"
            for i, (old, new, name) in enumerate(zip(kinds, travels, found.columns, strict=True), start=1)
        )
    )


def table_of(connection: DuckDBPyConnection, sql: str, parameters: Mapping[str, Any]) -> DuckDBPyRelation:
    """As `relation`, for a query whose rows become those of a table.

    Raises SqlError for two columns with one name: DuckDB would call one otherwise later on, also by case alone.
    """
    found = relation(connection, sql, parameters)
    if (two := alike(found.columns, folded=True)) is not None:
        both = f"{two[0]!r}" if two[0] == two[1] else f"{two[0]!r} and {two[1]!r}, which DuckDB takes for one"
        raise SqlError(
            f"the query has two columns named {both}", statement=sql, hint="Give one of them another name, with AS."
        )
    return found


def _travels_as(kind: str) -> str:
    if kind.startswith("ENUM("):
        return "VARCHAR"
    return _FOREIGN.sub(lambda found: _TRAVELS_AS[found[1]] if found[1] else found[0], kind)


def _require_query(connection: DuckDBPyConnection, sql: str) -> None:
    """Raise SqlError for anything but a query: `sql()` would run it, and it is called while planning, too."""
    kinds = driver().StatementType
    harmless = {kinds.SELECT, kinds.EXPLAIN, kinds.PRAGMA, kinds.CALL, kinds.RELATION}
    statements = connection.extract_statements(sql)
    if not statements or any(statement.type not in harmless for statement in statements):
        raise SqlError("the statement returns no rows: it is no query", statement=sql)


def _located(connection: DuckDBPyConnection, sql: str, parameters: Mapping[str, Any], error: Exception) -> EmatixError:
    """Return the error with its position: `sql()` does not give it for unknown columns, EXPLAIN does."""
    duckdb = driver()
    if isinstance(error, (duckdb.BinderException, duckdb.CatalogException)) and "LINE " not in str(error):
        try:
            operators(connection, sql, parameters)
        except SqlError as found:
            if found.position is not None:
                return found
        except EmatixError:
            pass  # what was raised first tells more
    return translate(error, sql)


def operators(connection: DuckDBPyConnection, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the operators of DuckDB's plan of the statement, each with its `name` and `extra_info`.

    None for what has no plan (PRAGMA, EXPLAIN, CALL, CREATE), where the option `explain_output` hides it, and for
    several statements, of which EXPLAIN would run all but the first. Raises the errors of `translate`.
    """
    types = driver().StatementType
    planned = {types.SELECT, types.INSERT, types.UPDATE, types.DELETE}
    with translated(sql):
        statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type not in planned:
        return []
    explain = "EXPLAIN (FORMAT json) "
    try:
        plans = dict(connection.execute(explain + sql, dict(parameters) or None).fetchall())
    except driver().Error as error:
        found = translate(error, explain + sql)
        if isinstance(found, SqlError):
            at = None if found.position is None else found.position - len(explain)
            found = SqlError(found.what, statement=sql, position=at)
        raise found from cause_of(error)
    plan: list[dict[str, Any]] = json.loads(plans.get("physical_plan", "[]"))
    for operator in plan:  # which grows
        plan += operator["children"]
    return plan


def quote(*names: str) -> str:
    """Return the names as one quoted identifier, empty ones left out: `"analytics"."orders"`."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names if name)


@contextmanager
def translated(statement: str, written: str = "") -> Iterator[None]:
    """Raise the errors of DuckDB as ours, for calls and for the reading of a result.

    `written` is the statement as its author wrote it, when that is not what was sent; both have the same length.

    A result's reader wraps DuckDB's message in an OSError; and Ctrl-C during a call arrives as
    `RuntimeError("Query interrupted")`, which becomes KeyboardInterrupt again.
    """
    try:
        yield
    except (driver().Error, OSError) as error:
        if isinstance(error, OSError) and not (_CLASS.match(str(error)) or handed_over(error)):
            raise
        raise as_written(translate(error, statement), written) from cause_of(error)
    except SqlError as error:
        as_written(error, written)
        raise
    except RuntimeError as error:
        if str(error) == "Query interrupted":
            raise KeyboardInterrupt from error
        raise


def as_written(error: EmatixError, written: str) -> EmatixError:
    """Return the error with the statement as its author wrote it, if there is such a text; see `translated`."""
    if written and isinstance(error, SqlError):
        error.statement = written
    return error


_CLASS = re.compile(r"(?:INTERRUPT|[A-Z][A-Za-z ]*) Error: ")
_LOCKED = re.compile(r'Could not set lock on file "(.*?)": (?:Conflicting lock is held in (.*?)\. See)?')
_NO_FILE = re.compile(r'Cannot open file "(.*?)": No such file')
# By the start of DuckDB's message, which is the same in its own exceptions and in those of a result's reader.
_BY_MESSAGE: tuple[tuple[re.Pattern[str], type[EmatixError], str], ...] = (
    (
        re.compile(r"No space left on device|max_temp_directory_size|Disk quota exceeded"),
        DiskFullError,
        "Free space there, or point the option temp_directory at a larger disk. Nothing was committed.",
    ),
    (re.compile(r"INTERRUPT Error"), CancelledError, ""),
    (re.compile(r"IO Error: No files found that match"), MissingSourceError, ""),
    (
        re.compile(r"IO Error: .*(?:No such file or directory|not a valid DuckDB database|Cannot open|Is a directory)"),
        ConnectError,
        "",
    ),
    (re.compile(r"IO Error"), SourceError, ""),
    (re.compile(r"(?:Conversion|Out of Range) Error"), ConversionError, "Cast the value in the query, or clean it."),
    (re.compile(r"Constraint Error: .*(?:UNIQUE|uplicate key)"), KeyViolationError, ""),
    (re.compile(r"Constraint Error: NOT NULL"), ConversionError, ""),
    (
        re.compile(r"Out of Memory Error"),
        RunError,
        "Raise the connection's option memory_limit, or set temp_directory.",
    ),
    (re.compile(r"Transaction.* Error: .*onflict"), LockedError, "Another session changed the same: run it again."),
)


def translate(error: Exception, statement: str) -> EmatixError:
    """Return the error of our tree that says what DuckDB's error means; SqlError for what has no class of its own."""
    message = str(error)
    if (ours := handed_over(error)) is not None:
        return ours
    if locked := _LOCKED.search(message):
        holder = f" by {locked[2]}" if locked[2] else ""
        return LockedError(
            f"the DuckDB file {locked[1]} is in use{holder}",
            hint="DuckDB admits one process at a time: wait until that one ends, or stop it.",
        )
    if (missing := _NO_FILE.search(message)) and not (folder := Path(missing[1]).parent).exists():
        return ConnectError(f"cannot open {missing[1]}: there is no folder {folder}", hint=f"Run: mkdir -p {folder}")
    for pattern, kind, hint in _BY_MESSAGE:
        if pattern.search(message):
            return kind(_head(error), hint=hint)
    return SqlError(_head(error), statement=statement, position=_position(message, statement))


def _head(error: Exception) -> str:
    """Return DuckDB's message without its class (`Binder Error: `) and without the excerpt at its end."""
    text = _CLASS.sub("", str(error).partition("\n\nLINE ")[0], count=1).strip().replace("\n", " ")
    return _OWN_FUNCTION.sub("", text)


def _position(message: str, statement: str) -> int | None:
    """Return the offset that the caret under DuckDB's `LINE n: ...` stands for; it may show a part of a long line."""
    found = re.search(r"^LINE (\d+): (.*)\n( *)\^", message, re.MULTILINE)
    if found is None:
        return None
    number, shown, width = int(found[1]), found[2], len(found[3]) - len(f"LINE {found[1]}: ")
    if shown.startswith("..."):
        shown, width = shown[3:], width - 3
    shown = shown.removesuffix("...")
    lines = statement.split("\n")
    at = lines[number - 1].find(shown) if number <= len(lines) else -1
    if at < 0:
        return None
    offset = 0
    while width > 0 and offset < len(shown):
        width -= _columns(shown[offset])
        offset += 1
    return sum(len(line) + 1 for line in lines[: number - 1]) + at + offset


def _columns(character: str) -> int:
    """Return how many columns of a terminal the character takes, as DuckDB counts them under its caret."""
    if unicodedata.combining(character) or unicodedata.category(character).startswith("C"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
