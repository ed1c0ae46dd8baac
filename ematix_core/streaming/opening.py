"""What a consumer reads by: the source with the stream's options, and the decoder of its messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends import registry
from ematix_core.backends.stream_protocols import StreamQuery
from ematix_core.codecs import decoder
from ematix_core.codecs.registry import open_registry
from ematix_core.errors import DeclarationError, UnsupportedError
from ematix_core.model.changes import ADDED, CHANGE_COLUMNS
from ematix_core.model.table import TableDef
from ematix_core.streaming.pairing import PairedReading, PairedSource
from ematix_core.streaming.records import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ematix_core.backends.protocols import WantedType
    from ematix_core.backends.stream_protocols import StreamSource
    from ematix_core.engine.environment import Environment
    from ematix_core.model.job import Target
    from ematix_core.model.stream import Stream
    from ematix_core.model.table import Column


def open_source(
    env: Environment, stream: Stream, target: Target | None = None,
    wanted: Callable[[], Mapping[str, WantedType]] | None = None,
) -> StreamSource:  # fmt: skip
    """Return the stream's source, of a join both as one, as the consumer of a target reads it.

    It connects when it is first asked. `wanted`: see `StreamQuery`.
    """
    # A side of a join has no target of its own; for itself it is opened only to be looked at.
    read_for = target or next(iter(stream.targets), None)
    reader = stream.name if read_for is None else reader_of(stream, read_for)
    if stream.join is None:
        return _opened(env, stream, reader, wanted)
    sources: list[StreamSource] = []
    names = [side.name for side in stream.join.sides]
    try:
        for name, side in zip(names, stream.sides, strict=True):
            sources.append(_opened(env, side, f"{reader}.{name}"))
    except BaseException:
        for source in sources:
            source.close()
        raise
    return PairedSource(names, sources, stream.start)


def _opened(
    env: Environment, stream: Stream, reader: str, wanted: Callable[[], Mapping[str, WantedType]] | None = None
) -> StreamSource:
    query = StreamQuery(
        stream.source_query, stream.options, stream.start, reader, leave_out=stream.on_error != "fail", wanted=wanted
    )
    return registry.stream_source(env.connection(stream.source), query)


def reader_of(stream: Stream, target: Target, named: str = "") -> str:
    """Return the name that consumers of this target share: each target is consumed for by itself."""
    name = named or stream.name
    return name if len(stream.targets) == 1 else f"{name}.{stream.label(target).replace(' ', '.')}"


def require_shared(env: Environment, stream: Stream) -> None:
    """Raise UnsupportedError for a source whose records several consumers cannot share out."""
    if stream.keeps_state:
        raise UnsupportedError(
            f"one consumer keeps the {'windows' if stream.join is None else 'rows that wait'}, as rows that belong "
            "together may come from every partition",
            where=f"stream {stream.name}", hint="Leave --parallel out.",
        )  # fmt: skip
    source = open_source(env, stream)
    try:
        if not hasattr(source, "join"):
            raise UnsupportedError(
                f"{stream.source_query} has no partitions that several processes could share",
                where=f"stream {stream.name}", hint="Leave --parallel out. Topics can be shared.",
            )  # fmt: skip
    finally:
        source.close()


def open_reading(env: Environment, stream: Stream, source: StreamSource, target: Target | None) -> Reading:
    """Return what makes rows of the source's records. Raises DeclarationError for a format where there are rows.

    `target`: one whose columns those of the messages may be; None where they are others.
    """
    if isinstance(source, PairedSource):
        sides = zip(stream.sides, source.sides, strict=True)
        return PairedReading([open_reading(env, side, one, None) for side, one in sides])
    payload = getattr(source, "payload", "")
    if payload:
        form = stream.messages(_columns(stream, target))
        asked = open_registry(env.connection(stream.registry)) if stream.registry else None
        told = CHANGE_COLUMNS if form.envelope else ()
        return Reading(decoder(form, topic=stream.source_query, registry=asked), payload, asked, told)
    if stream.format or stream.registry or stream.format_options or stream.schema:
        raise DeclarationError(
            "the source gives rows, which have no format", where=f"stream {stream.name}",
            hint="Leave format=, schema=, registry= and format_options= out.",
        )  # fmt: skip
    return Reading(None, payload)


def _columns(stream: Stream, target: Target | None) -> tuple[Column, ...]:
    """Return the columns that messages are read with: those of `schema`, else of a target that takes them as they are.

    None of them: they are found in the messages.
    """
    if stream.schema is not None:
        return stream.schema.columns
    if target is None:
        return ()
    as_they_are = not (stream.transform_sql or stream.enrich)
    if stream.format in {"", "json"} and as_they_are and isinstance(target.table, TableDef):
        history = set(getattr(target.mode, "history_columns", tuple)())
        plain = [column for column in target.table.columns if column.name not in ADDED]
        return tuple(column for column in plain if column.name not in history)
    return ()
