"""Rows as messages: which columns are of the message, and which of its payload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ematix_core.codecs import Format, encoder
from ematix_core.errors import UnsupportedError, near

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from ematix_core.codecs import Encoder
    from ematix_core.codecs.registry import Registry
    from ematix_core.model.table import Column

_OF_SOURCE = ("_topic", "_offset")
"""Where a row was read: no part of what is written."""
_OF_MESSAGE: dict[str, frozenset[str]] = {
    "_key": frozenset({"bytes", "text", "string"}),
    "_headers": frozenset({"array"}),
    "_event_ts": frozenset({"timestamp", "timestamp_tz"}),
    "_partition": frozenset({"text", "string", "tiny_int", "small_int", "integer", "big_int"}),
}


@dataclass(frozen=True)
class Layout:
    """How rows become messages of one topic."""

    payload: tuple[str, ...]
    key: str
    """Column whose values are the messages' keys; empty without keys."""
    encoder: Encoder

    def messages(self, rows: pa.RecordBatch) -> list[dict[str, Any]]:
        """Return the rows as the driver takes them."""
        values = self.encoder.encode(rows.select(list(self.payload))).to_pylist()
        found: dict[str, list[Any]] = {"value": values}
        names = rows.schema.names
        if self.key:
            found["key"] = _keys(rows.column(self.key))
        if "_headers" in names and rows.column("_headers").null_count < rows.num_rows:
            found["headers"] = [_headers(row) for row in rows.column("_headers").to_pylist()]
        if "_event_ts" in names:
            found["timestamp"] = _milliseconds(rows.column("_event_ts"))
        if "_partition" in names:
            found["partition"] = [_number(value) for value in rows.column("_partition").to_pylist()]
        keys = tuple(found)
        return [dict(zip(keys, row, strict=True)) for row in zip(*found.values(), strict=True)]


class Layouts:
    """The layouts of one target. Each is made once: its encoder asks the registry when it is first used."""

    def __init__(self, form: Format, key_column: str, registry: Registry | None = None) -> None:
        self._form = form
        self._key_column = key_column
        self._registry = registry
        self._made: dict[tuple[str, tuple[Column, ...]], Layout] = {}

    def of(self, columns: Sequence[Column], topic: str) -> Layout:
        """Return the layout. Raises UnsupportedError for a column that a message or the format has no form for."""
        wanted = (topic, tuple(columns))
        if wanted not in self._made:
            self._made[wanted] = self._layout(columns, topic)
        return self._made[wanted]

    def close(self) -> None:
        """Let the registry go."""
        if self._registry is not None:
            self._registry.close()

    def _layout(self, columns: Sequence[Column], topic: str) -> Layout:
        names = [column.name for column in columns]
        for column in columns:
            if column.name in _OF_MESSAGE and column.type.kind not in _OF_MESSAGE[column.name]:
                raise UnsupportedError(
                    f"column {column.name!r} of type {column.type.label()} cannot be that of a message",
                    where=f"topic {topic}", hint=f"It may be: {', '.join(sorted(_OF_MESSAGE[column.name]))}.",
                )  # fmt: skip
        if self._key_column and self._key_column not in names:
            raise UnsupportedError(
                f"key_column {self._key_column!r} is no column of the rows", where=f"topic {topic}",
                hint=near(self._key_column, names),
            )  # fmt: skip
        payload = tuple(column for column in columns if column.name not in {*_OF_MESSAGE, *_OF_SOURCE})
        key = "_key" if "_key" in names else self._key_column
        made = encoder(self._form, payload, topic=topic, registry=self._registry)
        return Layout(tuple(column.name for column in payload), key, made)


def _keys(column: pa.Array[Any]) -> list[Any]:
    import pyarrow as pa

    plain = pa.types.is_binary(column.type) or pa.types.is_string(column.type)
    return (column if plain else column.cast(pa.string())).to_pylist()


def _headers(row: Any) -> list[tuple[str, bytes | None]]:  # noqa: ANN401 - a list of structs
    return [(one["key"], one["value"]) for one in row or ()]


def _milliseconds(column: pa.Array[Any]) -> list[Any]:
    import pyarrow as pa

    unit = pa.timestamp("ms", getattr(column.type, "tz", None))
    whole: pa.Array[Any] = column.cast(unit, safe=False).cast(pa.int64())
    return [value or 0 for value in whole.to_pylist()]  # 0 is now


def _number(value: Any) -> int:  # noqa: ANN401 - a number, or a partition's name as it is read
    return -1 if value is None else int(str(value).rpartition(":")[2])
