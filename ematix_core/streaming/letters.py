"""Dead letters: records that could not be read, shaped or loaded, kept with their bytes, their place and the reason."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

from ematix_core.errors import UnsupportedError
from ematix_core.model.changes import ADDED
from ematix_core.model.stream import DEAD_LETTERS
from ematix_core.model.table import Column, TableName
from ematix_core.sql.ddl import Wanted, plan_ddl
from ematix_core.types import BigInt, Bytes, Text, TimestampTZ

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa

    from ematix_core.backends.protocols import Session
    from ematix_core.backends.protocols import Target as Backend
    from ematix_core.model.job import Target
    from ematix_core.model.stream import Stream
    from ematix_core.sql.dialect import Dialect

COLUMNS = (
    Column("letter_id", Text), Column("stream", Text), Column("target_table", Text), Column("partition_name", Text),
    Column("record_offset", BigInt), Column("event_ts", TimestampTZ), Column("record_key", Bytes),
    Column("record_value", Bytes), Column("error", Text), Column("attempt", BigInt), Column("failed_at", TimestampTZ),
    Column("state", Text), Column("load_id", Text), Column("record_headers", Text),
)  # fmt: skip
"""`letter_id` is `<stream>/<partition>/<offset>`; of files, the partition is the path. Where there is no offset, it is
the load and a number.

`state`: "new", "parked" or "replayed". `record_headers`: a message's headers as JSON, `[[key, value in base64], ...]`.
"""
NEW, PARKED, REPLAYED = "new", "parked", "replayed"


def letters_of(raw: pa.Table, numbers: Sequence[int], errors: Sequence[str], *, payload: str) -> pa.Table:
    """Return letters for those rows of what was polled: partition, offset, time, key, bytes, error.

    An error may quote the record; what is no Unicode in it, half of a surrogate pair, is written out as its escape.
    `payload`: the column with a message's bytes; empty for rows, which are written as JSON.
    """
    import pyarrow as pa

    rows = raw.take(pa.array(numbers, pa.int64()))
    known = rows.schema.names

    def column(name: str, kind: pa.DataType) -> pa.Array[Any]:
        found = rows.column(name).combine_chunks() if name in known else pa.array([None] * rows.num_rows)
        return found.cast(kind)

    partition = "_partition" if "_partition" in known else "_file"
    reasons = [error.encode(errors="backslashreplace").decode() for error in errors]
    values = column(payload, pa.binary()) if payload else pa.array(_as_json(rows), pa.binary())
    return pa.table(
        {
            "partition_name": column(partition, pa.string()), "record_offset": column("_offset", pa.int64()),
            "event_ts": column("_event_ts", pa.timestamp("us", "UTC")), "record_key": column("_key", pa.binary()),
            "record_value": values, "error": pa.array(reasons, pa.string()),
            "record_headers": pa.array(_headers(rows), pa.string()),
        }
    )  # fmt: skip


def letters_of_left_out(bad: pa.Table) -> pa.Table:
    """Return letters for the records that a source has left out: see `Polled`. They have no number among its rows."""
    import pyarrow as pa

    values = bad.rename_columns({"text": "value"}).append_column("_offset", pa.nulls(bad.num_rows, pa.int64()))
    errors = [str(error) for error in bad.column("error").to_pylist()]
    return letters_of(values, range(bad.num_rows), errors, payload="value")


def letters_table(stream: Stream, target: Target) -> TableName:
    """Return the name of the table or topic that has the dead letters of one target."""
    if stream.dead_letter:
        return TableName.parse(stream.dead_letter)
    return TableName(target.name.schema, target.name.name + DEAD_LETTERS)


def check_letters(target: Backend, stream: Stream, declared: Target) -> None:
    """Raise UnsupportedError when dead letters are asked for that the target cannot keep: in CSV files, say."""
    if stream.on_error != "dead_letter":
        return
    try:
        target.check_columns(COLUMNS)
    except UnsupportedError as error:
        raise UnsupportedError(
            f"the dead letters of {declared.name} cannot be kept in {letters_table(stream, declared)}: {error.what}",
            hint='Choose Parquet without partition_by for the target, or on_error="fail" or "drop".',
        ) from None


def keep_letters(
    session: Session, table: TableName, letters: pa.Table, dialect: Dialect, about: Mapping[str, Any]
) -> int:
    """Load the letters into their table, which is made or widened, in this session's transaction; return how many.

    A target of messages keeps them its own way, as messages with the same bytes. `about`: `stream`, `target`,
    `load_id`, `failed_at`, `attempt`, the same for all.
    """
    complete = completed(letters, **about)
    if (keep := getattr(session, "keep_letters", None)) is not None:
        kept: int = keep(table, complete)
        return kept
    ddl = plan_ddl(Wanted(table, COLUMNS, declared=False), session.columns(table), dialect, "evolve")
    for _, statement, _ in ddl.statements:
        session.execute(statement, {})
    return session.load(table, COLUMNS, complete.to_reader())


def completed(
    letters: pa.Table, *, stream: str, target: str, load_id: str, failed_at: datetime, attempt: int = 1
) -> pa.Table:
    """Return the letters with all their columns."""
    import pyarrow as pa

    rows = letters.num_rows
    names = [name or "" for name in letters.column("partition_name").to_pylist()]
    # What SQL or a join has made may have no offset.
    offsets = [f"{load_id}-{row}" if one is None else one
               for row, one in enumerate(letters.column("record_offset").to_pylist())]  # fmt: skip
    places = zip(names, offsets, strict=True)
    columns: dict[str, Any] = {name: letters.column(name) for name in letters.schema.names} | {
        "letter_id": pa.array([f"{stream}/{partition}/{at}" for partition, at in places], pa.string()),
        "stream": pa.array([stream] * rows, pa.string()),
        "target_table": pa.array([target] * rows, pa.string()),
        "attempt": pa.array([attempt] * rows, pa.int64()),
        "failed_at": pa.array([failed_at] * rows, pa.timestamp("us", "UTC")),
        "state": pa.array([NEW] * rows, pa.string()),
        "load_id": pa.array([load_id] * rows, pa.string()),
    }
    schema = pa.schema([(column.name, column.type.to_arrow()) for column in COLUMNS])
    return pa.table({name: columns[name] for name in schema.names}).cast(schema)


def _headers(rows: pa.Table) -> list[str | None]:
    """Return the headers of messages as text; None for each without any."""
    if "_headers" not in rows.schema.names:
        return [None] * rows.num_rows
    return [None if one is None else headers_as_text(one) for one in rows.column("_headers").to_pylist()]


def headers_as_text(headers: Sequence[Mapping[str, Any]]) -> str:
    """Return headers as JSON, exact for any bytes."""
    values = [None if one["value"] is None else b64encode(one["value"]).decode() for one in headers]
    return json.dumps([[one["key"], value] for one, value in zip(headers, values, strict=True)])


def headers_of_text(text: str | None) -> list[dict[str, Any]] | None:
    """Return what `headers_as_text` was given."""
    if text is None:
        return None
    return [{"key": key, "value": None if value is None else b64decode(value)} for key, value in json.loads(text)]


def known_names(names: Sequence[str], existing: Sequence[Column]) -> tuple[str, ...]:
    """Return those of the names that a table of letters has: one that is older than a column lacks it."""
    known = {column.name for column in existing}
    return tuple(name for name in names if name in known)


def _as_json(rows: pa.Table) -> list[bytes]:
    payload = [name for name in rows.schema.names if name not in ADDED]
    return [json.dumps(row, default=str).encode() for row in rows.select(payload).to_pylist()]
