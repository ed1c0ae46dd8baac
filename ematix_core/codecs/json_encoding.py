"""Rows as JSON messages, written column by column: each becomes the JSON text of its values, and these are joined."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ematix_core.codecs.arrays import Values, arrow, compute
from ematix_core.codecs.fitting import fit
from ematix_core.codecs.json_columns import MisfitError, is_whole, refuse_unsupported
from ematix_core.codecs.json_exact import parse
from ematix_core.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.model.table import Column
    from ematix_core.types import ColumnType

_CONTROL = r"[\x00-\x1f\\\x22]"
_YEARS = re.compile(r"^\d{4}-")
_UUID_PARTS = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))


class JsonEncoder:
    """Writes one JSON object a row, with the columns as its fields, in their order; NULL is written as null."""

    def __init__(self, columns: Sequence[Column]) -> None:
        for column in columns:
            refuse_unsupported(column)
        self._columns = tuple(columns)

    def encode(self, rows: pa.RecordBatch) -> pa.BinaryArray:
        pieces: list[Any] = []
        for number, column in enumerate(self._columns):
            values = fit(rows, column)
            try:
                texts = written(values, column.type)
            except (MisfitError, pa.ArrowException, UnicodeDecodeError):
                raise _first_misfit(values, column) from None
            pieces += [("," if number else "{") + json.dumps(column.name, ensure_ascii=False) + ":", texts]
        if not pieces:
            return pa.array([b"{}"] * rows.num_rows, pa.binary())
        messages: pa.BinaryArray = compute.binary_join_element_wise(*pieces, "}", "").cast(pa.binary())
        return messages


def _first_misfit(values: Values, column: Column) -> ConversionError:
    for row in range(len(values)):
        try:
            written(values[row : row + 1], column.type)
        except (MisfitError, pa.ArrowException, UnicodeDecodeError) as error:
            return ConversionError(f"column {column.name!r}, row {row}: JSON cannot hold the value: {error}")
    return ConversionError(f"column {column.name!r}: JSON cannot hold the values")


def written(values: Values, kind: type[ColumnType]) -> Values:
    """Return the JSON text of each value; NULL is `null`. Raises MisfitError for what JSON cannot hold."""
    return compute.fill_null(_written(values, kind), "null")


def _written(values: Values, kind: type[ColumnType]) -> Values:  # noqa: PLR0911 - one line a type
    if is_whole(kind) or kind.kind in {"boolean", "numeric"}:
        return values.cast(pa.string())
    match kind.kind:
        case "unknown":
            return pa.nulls(len(values), pa.string())
        case "float" | "double":
            if compute.all(compute.is_finite(values)).as_py() is False:
                raise MisfitError("NaN and infinity have no form")
            return values.cast(pa.string())
        case "duration":
            return values.cast(pa.int64()).cast(pa.string())
        case "text" | "string":
            return _quoted(values)
        case "json":
            return _checked(values)
        case "array":
            return _lists(values, kind)
        case "struct":
            return _structs(values, kind)
        case "map":
            return _maps(values, kind)
    return compute.binary_join_element_wise('"', plain_text(values, kind), '"', "")


def _quoted(values: Values) -> Values:
    if compute.any(compute.match_substring_regex(values, _CONTROL)).as_py():
        texts = [None if text is None else json.dumps(text, ensure_ascii=False) for text in values.to_pylist()]
        return pa.array(texts, pa.string())
    return compute.binary_join_element_wise('"', values, '"', "")


def plain_text(values: Values, kind: type[ColumnType]) -> Values:
    """Return dates and times as ISO 8601, UUIDs with hyphens, bytes as base64."""
    match kind.kind:
        case "uuid":
            return _uuids(values)
        case "bytes":
            texts = [None if one is None else base64.b64encode(one).decode() for one in values.to_pylist()]
            return pa.array(texts, pa.string())
        case "time":
            return values.cast(pa.string())
        case "timestamp_tz":
            local = values.cast(pa.int64()).cast(pa.timestamp(kind.parameters["unit"]))
            return compute.binary_join_element_wise(_dated(local), "Z", "")
    return _dated(values)


def _dated(values: Values) -> Values:
    texts = values.cast(pa.string())
    if compute.all(compute.match_substring_regex(texts, _YEARS.pattern)).as_py() is False:
        raise MisfitError("the year has not four digits")
    return compute.replace_substring(texts, " ", "T", max_replacements=1)


def _uuids(values: Values) -> Values:
    storage = values.storage if isinstance(values, pa.ExtensionArray) else values
    digits = pa.array([None if one is None else one.hex() for one in storage.to_pylist()], pa.string())
    return compute.binary_join_element_wise(*(compute.utf8_slice_codeunits(digits, *part) for part in _UUID_PARTS), "-")


def _checked(values: Values) -> Values:
    texts = values.storage if isinstance(values, pa.ExtensionArray) else values
    for text in texts.to_pylist():
        if text is not None:
            try:
                parse(b'{"":' + text.encode() + b"}")
            except ValueError as error:
                raise MisfitError("it is no JSON text") from error
    return texts


def _lists(values: Values, kind: type[ColumnType]) -> Values:
    items = written(values.flatten(), kind.parameters["item"])
    return _joined(values, items, "[", "]")


def _joined(values: Values, texts: Values, opening: str, closing: str) -> Values:
    """Join the texts of the lists' items, list by list."""
    lengths = compute.fill_null(compute.list_value_length(values), 0)
    ends = compute.cumulative_sum(lengths)
    offsets = pa.concat_arrays([pa.array([0], ends.type), ends]).cast(pa.int32())
    joined = compute.binary_join(arrow.ListArray.from_arrays(offsets, texts), ",")
    whole = compute.binary_join_element_wise(opening, joined, closing, "")
    return compute.if_else(values.is_valid(), whole, pa.scalar(None, pa.string()))


def _structs(values: Values, kind: type[ColumnType]) -> Values:
    pieces: list[Any] = []
    for number, ((name, inner), array) in enumerate(zip(kind.parameters["fields"], values.flatten(), strict=True)):
        pieces += [("," if number else "{") + json.dumps(name, ensure_ascii=False) + ":", written(array, inner)]
    whole = compute.binary_join_element_wise(*pieces, "}", "")
    return compute.if_else(values.is_valid(), whole, pa.scalar(None, pa.string()))


def _maps(values: Values, kind: type[ColumnType]) -> Values:
    lists = values.cast(pa.list_(pa.struct([("key", values.type.key_type), ("value", values.type.item_type)])))
    keys, items = lists.flatten().flatten()
    key = kind.parameters["key"]
    names = written(keys, key)
    if is_whole(key) or key.kind in {"numeric", "boolean", "duration", "float", "double"}:
        names = compute.binary_join_element_wise('"', names, '"', "")
    entries = compute.binary_join_element_wise(names, written(items, kind.parameters["value"]), ":")
    return _joined(lists, entries, "{", "}")
