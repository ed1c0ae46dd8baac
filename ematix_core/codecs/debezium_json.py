"""Debezium's events in JSON: with the schema of Connect before each, or without.

Messages with a schema say it anew each time. Those that begin with the same one are found by their first bytes, so that
it is read once for all of them: https://docs.confluent.io/platform/current/connect/concepts.html#converters
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ematix_core import types
from ematix_core.codecs import json_exact
from ematix_core.codecs.arrays import Values, arrow, compute
from ematix_core.codecs.connect_types import ConnectField, declared_field, field_of
from ematix_core.codecs.debezium import Envelopes, without_bad
from ematix_core.codecs.debezium_order import FIELDS
from ematix_core.codecs.json_columns import JsonColumn
from ematix_core.codecs.json_decoding import InferringJsonDecoder, decode
from ematix_core.codecs.json_inference import widened
from ematix_core.codecs.wire import Head, UnreadableError, groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.codecs.protocols import ReadAs
    from ematix_core.model.format import Format

_ROWS = ("before", "after")
_OF_TEXT = frozenset({"text", "string", "uuid", "date", "time", "timestamp", "timestamp_tz"})
_SCHEMA, _PAYLOAD = b'{"schema":', b',"payload":'
_OTHERWISE = r'^\s*\{\s*"(?:schema|payload)"\s*:'
_DECODER = json.JSONDecoder()


class JsonEnvelopes:
    """Reads envelopes. Without a schema in the messages, they have the declared columns, or those found in them."""

    def __init__(self, format: Format) -> None:  # noqa: A002 - the field's own word
        self._declared = tuple(declared_field(column, format.decimals) for column in format.declared)
        self._inferring = InferringJsonDecoder()
        self._known: dict[str, tuple[ConnectField, ...] | str] = {}

    def go_by(self, read_as: ReadAs) -> None:
        """Read fields of rows whose types are found as `read_as` tells."""

        def told(name: str, found: type[types.ColumnType]) -> type[types.ColumnType]:
            kind = read_as(name, found)
            # A text may be the bytes of a decimal, or stand for a value that was left out.
            return found if found is types.Text and kind.kind not in _OF_TEXT else kind

        def of_row(name: str, found: type[types.ColumnType]) -> type[types.ColumnType]:
            if name not in _ROWS or found.kind != "struct":
                return found
            fields = tuple((inner, told(inner, kind)) for inner, kind in found.parameters["fields"])
            return found if fields == found.parameters["fields"] else types.Struct.__class_getitem__(fields)

        self._inferring.go_by(of_row)

    def read(self, values: Values) -> tuple[list[Envelopes], dict[int, str]]:
        """Return the events, and the messages that are none."""
        numbers: Values = arrow.arange(0, len(values))
        with_schema = compute.starts_with(values, pattern=_SCHEMA)
        if not compute.any(with_schema).as_py() and not self._may_be_written_otherwise(values):
            return self._without_schema(values, numbers)
        values, with_schema = _as_usual(values)
        found, bad = self._with_schema(values.filter(with_schema), numbers.filter(with_schema))
        others = compute.invert(with_schema)
        more, worse = self._without_schema(values.filter(others), numbers.filter(others))
        return found + more, bad | worse

    @staticmethod
    def _may_be_written_otherwise(values: Values) -> bool:
        return bool(compute.any(compute.match_substring_regex(values, _OTHERWISE)).as_py())

    def _with_schema(self, values: Values, numbers: Values) -> tuple[list[Envelopes], dict[int, str]]:
        parts, problems = groups(values, _head)
        bad = {numbers[row].as_py(): problem for row, problem in problems.items()}
        found = []
        for part in parts:
            fields = self._fields(part.key)
            own = numbers.take(part.rows)
            if isinstance(fields, str):
                bad |= dict.fromkeys(own.to_pylist(), fields)
                continue
            payloads = compute.binary_slice(part.payloads, 0, -1)  # without the brace that ends the message
            found.append(without_bad(decode(payloads, _columns(fields)), own, fields, bad))
        return found, bad

    def _fields(self, schema: str) -> tuple[ConnectField, ...] | str:
        """Return the fields of the rows, or what is wrong with the schema."""
        if schema not in self._known:
            try:
                parsed = json.loads(schema)
                json.dumps(parsed, ensure_ascii=False).encode()  # half of a surrogate pair names no field
                self._known[schema] = _fields_of(parsed)
            except (KeyError, TypeError, ValueError) as error:
                self._known[schema] = f"its schema is not that of a change event of Debezium: {error!r}"
        return self._known[schema]

    def _without_schema(self, values: Values, numbers: Values) -> tuple[list[Envelopes], dict[int, str]]:
        bad: dict[int, str] = {}
        if not len(values):
            return [], bad
        if self._declared:
            decoded = decode(values, _columns(self._declared))
            return [without_bad(decoded, numbers, self._declared, bad)], bad
        decoded = self._inferring.decode(values)
        rows = decoded.rows
        fields: dict[str, type[types.ColumnType]] = {}
        for name in _ROWS:
            side = rows.schema.get_field_index(name)
            kind = types.from_arrow(rows.schema.field(side).type) if side >= 0 else types.Unknown
            for inner, of in kind.parameters.get("fields", ()):
                fields[inner] = widened(fields[inner], of) if inner in fields else of
        for name in (*_ROWS, "source", "op"):
            if name not in rows.schema.names:
                rows = rows.append_column(name, arrow.nulls(rows.num_rows, types.Text.to_arrow()))
        rows = rows.set_column(rows.schema.get_field_index("op"), "op", rows.column("op").cast(types.Text.to_arrow()))
        found = tuple(ConnectField(name, kind, "", kind) for name, kind in fields.items())
        return [without_bad(type(decoded)(rows, decoded.bad), numbers, found, bad)], bad


def _columns(fields: Sequence[ConnectField]) -> tuple[JsonColumn, ...]:
    row = types.Struct.__class_getitem__(tuple((field.name, field.wire) for field in fields))
    source = types.Struct.__class_getitem__(tuple(FIELDS.items()))
    kinds: dict[str, type[types.ColumnType]] = {
        "before": row,
        "after": row,
        "source": source,
        "op": types.Text,
        "ts_ms": types.BigInt,
    }
    return tuple(JsonColumn(name, kind) for name, kind in kinds.items())


def _head(message: bytes) -> Head[str]:
    """Return the message up to its payload, and the schema in it."""
    try:
        text = message.decode()
        _, end = _DECODER.raw_decode(text, len(_SCHEMA))
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"malformed JSON: {error}") from error
    schema = text[len(_SCHEMA) : end].encode()
    head = _SCHEMA + schema + _PAYLOAD
    if not message.startswith(head):
        raise UnreadableError("after its schema comes no payload")
    return Head(len(head), schema.decode())


def _as_usual(values: Values) -> tuple[Values, Values]:
    """Return messages with a schema as Connect writes them, in this order and without blanks, and which those are."""
    usual = compute.starts_with(values, pattern=_SCHEMA)
    other = compute.and_not(compute.match_substring_regex(values, _OTHERWISE), usual)
    if not compute.any(other).as_py():
        return values, usual
    made = [
        _rewritten(value) if wanted else value
        for value, wanted in zip(values.to_pylist(), other.to_pylist(), strict=True)
    ]
    values = arrow.array(made, values.type)
    return values, compute.starts_with(values, pattern=_SCHEMA)


def _rewritten(message: bytes) -> bytes:
    try:
        fields = json_exact.parse(message)
    except ValueError:
        return message
    if fields.keys() != {"schema", "payload"}:
        return message
    # Half of a surrogate pair becomes its escape again, as it stood in the message.
    texts = (json_exact.text_of(fields[name]) for name in ("schema", "payload"))
    schema, payload = (text.encode(errors="backslashreplace") for text in texts)
    return _SCHEMA + schema + _PAYLOAD + payload + b"}"


def _fields_of(schema: dict[str, Any]) -> tuple[ConnectField, ...]:
    sides = {one["field"]: one for one in schema["fields"]}
    side = sides.get("after") or sides["before"]
    return tuple(field_of(one) for one in side["fields"])
