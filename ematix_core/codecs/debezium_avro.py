"""Debezium's events in Avro, each read by the schema that it was written with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ematix_core.codecs import avro_schema
from ematix_core.codecs.avro_decoding import AvroDecoder, schema_text
from ematix_core.codecs.avro_exact import said
from ematix_core.codecs.connect_types import ConnectField, avro_field
from ematix_core.codecs.debezium import without_bad
from ematix_core.codecs.wire import UnreadableError, checked, split
from ematix_core.errors import DeclarationError, UnsupportedError
from ematix_core.model.format import Format

if TYPE_CHECKING:
    from ematix_core.codecs.arrays import Values
    from ematix_core.codecs.debezium import Envelopes
    from ematix_core.codecs.registered import SchemaId
    from ematix_core.codecs.registry import Registry

_ROW = ("before", "after")


class AvroEnvelopes:
    """Reads envelopes, whose fields are those of their schemas."""

    def __init__(self, format: Format, *, topic: str, registry: Registry | None = None) -> None:  # noqa: A002 - the field's own word
        checked(format, registry, topic)
        self._topic, self._registry, self._wire = topic, registry, format.wire
        self._known: dict[SchemaId | None, tuple[AvroDecoder, tuple[ConnectField, ...]]] = {}
        if format.wire == "none":
            self._known[None] = self._reading(format.writer)

    def read(self, values: Values) -> tuple[list[Envelopes], dict[int, str]]:
        """Return the events, and the messages that are none."""
        parts, bad = split(values, self._wire)
        found = []
        for part in parts:
            try:
                decoder, fields = self._of(part.key)
            except (UnreadableError, UnsupportedError, DeclarationError) as error:
                bad |= {int(number): said(error) for number in part.rows.to_numpy()}
                continue
            found.append(without_bad(decoder.decode(part.payloads), part.rows, fields, bad))
        return found, bad

    def _of(self, number: SchemaId | None) -> tuple[AvroDecoder, tuple[ConnectField, ...]]:
        if number not in self._known:
            self._known[number] = self._reading(schema_text(self._registry, number, self._wire))
        return self._known[number]

    def _reading(self, text: str) -> tuple[AvroDecoder, tuple[ConnectField, ...]]:
        schema = avro_schema.inlined(avro_schema.parsed(text, f"topic {self._topic}"))
        sides = {one["name"]: one["type"] for one in schema["fields"]}
        if not {*_ROW, "source", "op"} <= sides.keys():
            raise UnreadableError("its schema is not that of a change event of Debezium")
        row = _record(sides["after"])
        inner = {one["name"]: one["type"] for one in row["fields"]}
        columns = avro_schema.fields_of(row)
        for one in columns:
            if one.column is None:
                raise UnsupportedError(f"field {one.name!r} of the row: {one.reason}", where=f"topic {self._topic}")
        fields = tuple(avro_field(one.column, inner[one.name]) for one in columns if one.column is not None)
        return AvroDecoder(Format("avro", writer=text), topic=self._topic), fields


def _record(schema: Any) -> dict[str, Any]:  # noqa: ANN401 - a schema: text, list or object of JSON
    """Return the record in a union with null."""
    for one in schema if isinstance(schema, list) else [schema]:
        if isinstance(one, dict) and one.get("type") == "record":
            return one
    raise UnreadableError("its rows are no records")
