"""Streams: what is read without end, what becomes of it, where it goes, and what happens to records that do not fit."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from ematix_core.errors import DeclarationError, near
from ematix_core.model.connection import Connection, ConnectionLike, named_connection
from ematix_core.model.duration import parse_seconds
from ematix_core.model.format import Format
from ematix_core.model.function import Enrichment, Function, FunctionLike, enrichments_of, functions_of
from ematix_core.model.job import Target, targets_of
from ematix_core.model.join import Join
from ematix_core.model.mode import Merge, Scd2, Truncate
from ematix_core.model.names import require_short
from ematix_core.model.options import explained, explained_decorator, listed_as, tags_of
from ematix_core.model.table import TableDef, TableLike
from ematix_core.model.window import AGGREGATES, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import timedelta

    import pyarrow as pa

    from ematix_core.model.connection import ConnectionLookup
    from ematix_core.model.mode import ModeLike
    from ematix_core.model.table import Column
    from ematix_core.streaming.result import StreamPlan, StreamResult

    Enriching = Callable[[pa.Table], pa.Table]

OnError = Literal["fail", "drop", "dead_letter"]
From = Literal["earliest", "latest"]
_OF_STREAM = ("name", "columns", "registry")
"""What a stream says of its format by options of its own."""
_ON_ERROR = ("fail", "drop", "dead_letter")
_STARTS = ("earliest", "latest")
DEAD_LETTERS = "_dead_letters"
"""Suffix of the table for dead letters that has no name of its own."""


@dataclass(frozen=True)
class Lookup:
    """A table that a stream's SQL may join: read whole, and read again every `refresh` seconds (None: never).

    `as_of`: a column of the stream with times, of which none is to be later than the last reading.
    """

    name: str
    connection: Connection | str
    query: str
    refresh: float | None = None
    as_of: str = ""

    @property
    def connection_name(self) -> str:
        """The connection's name."""
        return self.connection.name if isinstance(self.connection, Connection) else self.connection


@explained("a lookup", kind="lookup")
def lookup(
    name: str, *, connection: ConnectionLike, query: str, refresh: float | str | timedelta | None = "5 minutes",
    as_of: str = "",
) -> Lookup:  # fmt: skip
    """Declare a small table for a stream's SQL to join, under that name.

    `query`: SQL text, read from `connection` when the stream starts and again every `refresh`; None: never again.
    While a later read fails, the rows of the last one serve on, and the log says so. `as_of`: a column of the stream
    with the times of rows, such as `_event_ts`. A micro-batch with a later time than the last reading has the table
    read again first, so that the SQL can join the version that was valid then; if that fails, so does the micro-batch.
    """
    named = named_connection(connection, "connection")
    if named is None or not name.isidentifier() or not query:
        raise DeclarationError("a lookup needs a name, connection= and query=", where=f"lookup {name}")
    return Lookup(name, named, query, None if refresh is None else parse_seconds(refresh, "refresh"), as_of)


@dataclass(frozen=True)
class Batching:
    """When what was polled is loaded: so many rows, about so many bytes, or so many seconds after the first."""

    rows: int = 100_000
    bytes: int = 64 << 20
    seconds: float = 1.0

    def __post_init__(self) -> None:
        """Check the numbers, which are named as `stream()` has them."""
        given: dict[str, Any] = {"batch_rows": self.rows, "batch_bytes": self.bytes}
        for option, value in given.items():
            if not isinstance(value, int) or value < 1:
                raise DeclarationError(f"{option}={value!r} is no positive whole number")


@dataclass(frozen=True, repr=False)
class Stream:
    """One declared stream. Made by `stream()` and `@streaming_pipeline`; see there for the options."""

    name: str
    source: Connection | str
    source_query: str
    targets: tuple[Target, ...]
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    format: str = ""
    schema: TableDef | None = None
    registry: Connection | str | None = None
    format_options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    transform_sql: str = ""
    lookups: tuple[Lookup, ...] = ()
    functions: tuple[Function, ...] = ()
    enrich: tuple[Enrichment, ...] = ()
    window: Window | None = None
    join: Join | None = None
    state: Connection | str | None = None
    checkpoint: float = 10.0
    on_error: OnError = "fail"
    dead_letter: str = ""
    start: From = "earliest"
    batching: Batching = field(default_factory=Batching)
    tags: tuple[str, ...] = ()
    owner: str = ""
    doc: str = field(default="", compare=False)
    module: str = field(default="", compare=False)
    body: Callable[[], str | None] | None = field(default=None, compare=False)
    """The function that declared it, if one did."""

    def __post_init__(self) -> None:
        """Check the options that have no type of their own."""
        require_short(name=self.name)
        if self.on_error not in _ON_ERROR:
            raise DeclarationError(f"unknown on_error {self.on_error!r}", hint=near(str(self.on_error), _ON_ERROR))
        if self.dead_letter and self.on_error != "dead_letter":
            raise DeclarationError("dead_letter= is given, and on_error is another", hint="Set on_error='dead_letter'.")
        if self.start not in _STARTS:
            raise DeclarationError(f"unknown start {self.start!r}", hint=near(str(self.start), _STARTS))
        if self.schema is not None and not isinstance(self.schema, TableDef):
            raise DeclarationError(
                f"schema={self.schema!r} is no table declaration", hint="Put @ematix.table over the class."
            )
        if self.join is not None:
            self._check_join(self.join)
        elif self.format or self.registry or self.format_options:
            self.messages()  # which says what is wrong with them
        if self.window is not None:
            self._check_window(self.window)
        elif self.join is None and self.state is not None:
            raise DeclarationError("state= is given, and there is no window= and no join that keeps any")
        for target in self.targets:
            if isinstance(target.mode, Truncate) or getattr(target.mode, "deletes", "ignore") != "ignore":
                raise DeclarationError(
                    f"a stream brings {target.name} a few rows at a time, and this mode takes those for all there are",
                    hint="Use append, merge or scd2, without deletes=.",
                )  # fmt: skip
            if target.checks and any(check.kind in {"row_count", "fresh"} for check in target.checks):
                raise DeclarationError(f"{target.name}: a check of the whole load has no meaning for a stream")

    def _check_window(self, window: Window) -> None:
        """Check what the window asks of the stream."""
        if not isinstance(window, Window):
            raise DeclarationError(
                f"window={window!r} is no window",
                hint="Write window=ematix.tumbling('1 minute', on=..., aggregate=...), in Python.",
            )  # fmt: skip
        if window.late == "dead_letter" and self.on_error != "dead_letter":
            raise DeclarationError("late rows are to be dead letters", hint="Set on_error='dead_letter', too.")
        known = [*AGGREGATES, *(one.name for one in self.functions)]
        for column, text in window.aggregate.items():
            name = text.partition("(")[0].strip().lower()
            if name not in known:
                raise DeclarationError(f"column {column}: {text!r} is no aggregate", hint=near(name, known))
        told = "late='reopen'" if window.late == "reopen" else "early="
        for target in self.targets:
            if window.corrects and not isinstance(target.mode, Merge | Scd2):
                raise DeclarationError(
                    f"with {told} a window is told again, and {target.name} would have it several times",
                    hint=f"Use mode=ematix.merge(keys={list(window.keys)!r}).",
                )  # fmt: skip

    def _check_join(self, join: Join) -> None:
        """Check what the join asks of the stream."""
        if join.late == "dead_letter" and self.on_error != "dead_letter":
            raise DeclarationError("late rows are to be dead letters", hint="Set on_error='dead_letter', too.")
        for option in ("format", "schema", "registry", "format_options", "options"):
            if getattr(self, option):
                raise DeclarationError(
                    f"{option}= is given, and the source is a join",
                    hint=f"Write {option}= on its sides: ematix.side().",
                )
        for one in self.sides:
            one.messages()  # which says what is wrong with them

    def messages(self, columns: Sequence[Column] = ()) -> Format:
        """Return the format of the source's messages, with the columns that they shall be read with."""
        if isinstance(self.format, Format):
            raise DeclarationError(
                "format= takes the name of a format; a Format says how a target's messages are written",
                hint='Write format="avro", schema= for its columns, registry=, and format_options={...} for its other '
                "options; target_format= takes a Format.",
            )
        known = tuple(one.name for one in fields(Format) if one.name not in _OF_STREAM)
        for option in self.format_options:
            if option not in known:
                raise DeclarationError(f"format_options has no option {option!r}", hint=near(option, known))
        return Format(self.format or "json", columns=columns, registry=self.registry, **self.format_options)

    @property
    def keeps_state(self) -> bool:
        """Whether rows are kept between micro-batches."""
        return self.window is not None or self.join is not None

    @property
    def sides(self) -> tuple[Stream, ...]:
        """Left and right of a join, as streams into nowhere: so each is opened, read and shaped."""
        return tuple(
            replace(
                self, source=side.source, source_query=side.source_query, format=side.format, schema=side.schema,
                registry=side.registry, format_options=side.format_options, options=side.options,
                transform_sql=side.transform_sql, targets=(), lookups=(), enrich=(), join=None, state=None,
            )
            for side in (self.join.sides if self.join is not None else ())
        )  # fmt: skip

    @property
    def source_name(self) -> str:
        """The source connection's name."""
        return self.source.name if isinstance(self.source, Connection) else self.source

    @property
    def connection_names(self) -> tuple[str, ...]:
        """The names of its connections, of source, targets, lookups and registry, each once."""
        registry = self.registry.name if isinstance(self.registry, Connection) else self.registry or ""
        state = self.state.name if isinstance(self.state, Connection) else self.state or ""
        looked_up = [one.connection_name for one in self.lookups]
        written = [name for target in self.targets for name in target.connection_names]
        joined = [name for side in self.sides for name in side.connection_names]
        names = [self.source_name, *joined, *written, *looked_up, registry, state]
        return tuple(dict.fromkeys(filter(None, names)))

    def label(self, target: Target) -> str:
        """Return what a target is called: its name, after its connection's where two have the same."""
        names = [str(one.name) for one in self.targets]
        name = str(target.name)
        return f"{target.connection_name} {name}" if names.count(name) > 1 else name

    def plan(self, project: ConnectionLookup | None = None) -> StreamPlan:
        """Return how rows are read, shaped and loaded, and which delivery that makes; changes nothing.

        Looks at the source's first rows, where it does not declare their columns, and at the targets' tables.
        """
        from ematix_core.streaming import plan_stream

        return plan_stream(self, project)

    def consume(self, project: ConnectionLookup | None = None, **options: Any) -> StreamResult:  # noqa: ANN401 - handed on to streaming.consume_stream
        """Consume in this process until it is stopped; with `until_idle=True` until all there is has been loaded.

        Returns what was done; raises the EmatixError that it could not go on with.
        """
        from ematix_core.streaming import consume_stream

        return consume_stream(self, project, **options)

    def __repr__(self) -> str:
        """Show the name, and each target with its mode, on one line."""
        return f"<stream {self.name} ({', '.join(f'{one.mode.name} {one.name}' for one in self.targets)})>"


@explained("a stream", kind="stream")
def stream(
    name: str, *, source: ConnectionLike | Join, source_query: str = "", target: ConnectionLike | None = None,
    target_table: TableLike | None = None, target_format: Format | None = None,
    targets: Sequence[Target] | Target = (), mode: ModeLike = "append", transform_sql: str = "",
    lookups: Sequence[Lookup] | Lookup = (), functions: Sequence[FunctionLike] | FunctionLike = (),
    enrich: Sequence[Enriching] | Enriching = (), window: Window | None = None, state: ConnectionLike | None = None,
    checkpoint: float | str | timedelta = 10.0,
    format: str = "",  # noqa: A002 - the field's own word
    schema: TableDef | None = None, registry: ConnectionLike | None = None,
    format_options: Mapping[str, Any] | None = None, options: Mapping[str, Any] | None = None,
    on_error: OnError = "fail", dead_letter: str = "", on_drift: str = "error", start: From = "earliest",
    batch_rows: int = 122_880, batch_bytes: int = 64 << 20, batch_seconds: float | str | timedelta = 1.0,
    tags: Sequence[str] | str = (), owner: str = "", doc: str = "", module: str = "",
) -> Stream:  # fmt: skip
    """Declare a stream: micro-batches of `source_query` (a topic, queue, table or path of `source`) into a target.

    `source`: a connection, or `ematix.join(...)`, whose sides say what is read.
    `target`, `target_table`, `mode`, `on_drift`: as on a job; `target_format`: of messages, where the target is a
    topic; or `targets=[ematix.target(...)]`, each consumed for by itself. `transform_sql`: DuckDB SQL over the
    micro-batch, named `source`, and the `lookups`, with the `functions` (`@udf`, `@udaf`). `enrich`: functions from
    the `pa.Table` that the SQL gives to the one that goes on. `window`: `ematix.tumbling`, `hopping` or `session`
    over what that gives; what is open is kept in `state` (a folder or prefix, or a PostgresConnection; default: a
    folder beside the store's default file), at least every `checkpoint`, with the positions. `format`: "json"
    (default), "avro", "protobuf", "raw"; `schema`: a table declaration with the messages' columns; `registry`: the
    schema registry's connection; `format_options`, `options`: of the format, of the kind. `on_error`: what a record
    becomes that cannot be read, shaped or loaded: an end ("fail"), nothing ("drop"), "dead_letter" (in the target's
    table or topic `dead_letter`, by default its name and `_dead_letters`). `start`: where a consumer without
    positions begins: "earliest" or "latest". `batch_rows`, `batch_bytes`, `batch_seconds`: a micro-batch ends at
    the first of them. Raises DeclarationError.
    """
    with _where(name):
        join = source if isinstance(source, Join) else None
        connection, query = _read(source, source_query)
        return Stream(
            name=name, source=connection, source_query=query, join=join, format=format, owner=owner,
            targets=tuple(
                _keyed(one, window)
                for one in _targets(target, target_table, targets, mode=mode, on_drift=on_drift, format=target_format)
            ),
            options=MappingProxyType(dict(options or {})), format_options=MappingProxyType(dict(format_options or {})),
            schema=schema, registry=named_connection(registry, "registry"), tags=tags_of(tags), doc=doc,
            lookups=listed_as(Lookup, lookups, "lookups", "Write ematix.lookup(NAME, connection=..., query=...)"),
            transform_sql=transform_sql, window=window, state=named_connection(state, "state"),
            checkpoint=parse_seconds(checkpoint, "checkpoint"), functions=functions_of(functions),
            enrich=enrichments_of(enrich), on_error=on_error, dead_letter=dead_letter, start=start, module=module,
            batching=Batching(batch_rows, batch_bytes, parse_seconds(batch_seconds, "batch_seconds")),
        )  # fmt: skip


@contextmanager
def _where(name: str) -> Iterator[None]:
    """Name the stream in the errors of its declaration."""
    try:
        yield
    except DeclarationError as error:
        raise error.at(f"stream {name}") from None


def _keyed(target: Target, window: Window | None) -> Target:
    """Return the target with the keys of the window's results, where nothing else says which keys there are."""
    mode = target.mode
    if window is None or not isinstance(mode, Merge | Scd2) or mode.keys or isinstance(target.table, TableDef):
        return target
    return replace(target, mode=replace(mode, keys=window.keys))


def _read(source: ConnectionLike | Join, query: str) -> tuple[Connection | str, str]:
    """Return the connection and what is read of it; of a join the left one's, and both names."""
    if isinstance(source, Join):
        if query:
            raise DeclarationError("source_query= is given, and the source is a join", hint="Its sides have theirs.")
        return source.left.source, source.query
    connection = named_connection(source, "source")
    if connection is None or not query:
        raise DeclarationError("a stream needs source= and source_query=")
    return connection, query


def _targets(
    target: ConnectionLike | None, table: TableLike | None, several: Sequence[Target] | Target, **loaded: object
) -> tuple[Target, ...]:
    if (target is None or table is None) and not several:
        raise DeclarationError("a stream needs target= and target_table=, or targets=[ematix.target(...)]")
    return targets_of(table, several, target, loaded)


@explained_decorator(
    "@ematix.streaming_pipeline", kind="stream",
    hint="Write @ematix.streaming_pipeline(source=..., source_query=..., target=..., target_table=...).",
)  # fmt: skip
def streaming_pipeline(*, name: str = "", **options: Any) -> Callable[[Callable[[], str | None]], Stream]:  # noqa: ANN401 - those of `stream`
    """Declare a stream by a function, whose name it gets: see `stream` for the options.

    The function takes nothing. What it returns, if anything, is the `transform_sql`.
    """

    def declare(body: Callable[[], str | None]) -> Stream:
        if inspect.signature(body).parameters:
            raise DeclarationError(
                f"the function of a stream takes nothing, and {body.__name__} has parameters",
                where=f"stream {name or body.__name__}",
            )  # fmt: skip
        sql = body()
        if sql is not None and options.get("transform_sql"):
            raise DeclarationError("the SQL is given twice", where=f"stream {name or body.__name__}")
        given = {**options, "doc": inspect.getdoc(body) or "", "module": body.__module__}
        made = stream(name or body.__name__, **(given if sql is None else {**given, "transform_sql": sql}))
        return replace(made, body=body)

    return declare
