"""JSON read exactly, message by message: what the fast way is measured against, and what reads where it does not.

Numbers are kept as their digits until the column's type is known, so that none passes through a float on its way.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation, localcontext
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import pyarrow as pa

from ematix_core.codecs.arrays import Values, arrow
from ematix_core.codecs.json_columns import JsonColumn, MisfitError, batch_of, finished, is_whole
from ematix_core.codecs.protocols import Undecodable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.types import ColumnType

FAULTS = (ValueError, OverflowError, pa.ArrowException)
"""What a message that does not fit is met with."""
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SHOWN = 60
_MOST_DIGITS = 400
"""Exponents beyond this make a number that no exact type holds; computing it would take its memory."""


class Number(str):
    """The digits of a JSON number."""

    __slots__ = ()


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON value")


def parse(message: bytes) -> dict[str, Any]:
    """Return the fields of one message, numbers as `Number`. Raises ValueError saying what is wrong with it."""
    try:
        text = message.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"no UTF-8: byte {error.start} is 0x{message[error.start]:02x}") from error
    if not text.strip(" \t\r\n"):
        raise ValueError("the message is empty")
    try:
        value = json.loads(text, parse_float=Number, parse_int=Number, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("malformed JSON: nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"malformed JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"the message is {_described(value)}, not a JSON object")  # noqa: TRY004 - a fault of the data
    if "\\u" in text:  # only an escape makes half of a surrogate pair
        _require_names(value)
    return value


def _require_names(value: object) -> None:
    """Raise ValueError for the name of a field, at any depth, that no column can have: it is no Unicode."""
    if isinstance(value, list):
        for inner in value:
            _require_names(inner)
    if isinstance(value, dict):
        for name, inner in value.items():
            if not name.isascii() and any("\ud800" <= one <= "\udfff" for one in name):
                raise ValueError(f"field {name!r}: a lone surrogate is no character")
            _require_names(inner)


def _described(value: object) -> str:
    names = {list: "an array", Number: "a number", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "an object")


def text_of(value: Any) -> str:  # noqa: ANN401 - a parsed JSON value
    """Return a parsed value as compact JSON text, its numbers digit for digit."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{text_of(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(text_of, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class ExactRows:
    """Reads messages into the given columns, one by one where they do not fit together."""

    columns: tuple[JsonColumn, ...]

    def read(self, messages: Sequence[bytes]) -> tuple[pa.RecordBatch, list[Undecodable]]:
        """Return the rows of the messages that fit, and the others."""
        try:
            return self._built([parse(message) for message in messages]), []
        except FAULTS:
            pass
        good, bad = [], []
        for row, message in enumerate(messages):
            try:
                good.append(self._built([parse(message)]))
            except FAULTS as error:
                bad.append(Undecodable(row, str(error)))
        return arrow.concat_batches(good) if good else self._built([]), bad

    def _built(self, records: list[dict[str, Any]]) -> pa.RecordBatch:
        arrays = []
        for column in self.columns:
            values = [record.get(column.name) for record in records]
            if not column.nullable and None in values:
                raise MisfitError(f"field {column.name!r} is missing or null, and the column is not nullable")
            try:
                arrays.append(build(values, column.type, loose=column.loose))
            except FAULTS as error:
                shown = text_of(values[0]) if values else ""
                shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
                raise MisfitError(
                    f"field {column.name!r}: {shown} does not fit {column.type.label()}: {error}"
                ) from error
        return batch_of(arrays, self.columns, len(records))


def build(values: list[Any], kind: type[ColumnType], *, loose: bool = False) -> Values:
    """Return parsed values as an array of the column type. Raises MisfitError or ArrowInvalid when one does not fit."""
    nested = _NESTED.get(kind.kind)
    if nested is not None:
        return nested(values, kind, loose=loose)
    if loose and kind.kind in {"text", "string"}:
        return finished(_texts([v if v is None or type(v) is str else text_of(v) for v in values]), kind)
    if loose and kind.kind == "double":
        values = [None if v is None else _held(v) for v in values]
    return finished(_leaves([None if v is None else _leaf(v, kind) for v in values], kind), kind)


class _Build(Protocol):
    def __call__(self, values: list[Any], kind: type[ColumnType], /, *, loose: bool) -> Values: ...


def _build_nulls(values: list[Any], _: type[ColumnType], **_options: bool) -> Values:
    return pa.array([None if v is None else _misfit("nothing but null was expected") for v in values], pa.null())


def _build_json(values: list[Any], kind: type[ColumnType], **_: bool) -> Values:
    texts = [None if v is None else text_of(v) for v in values]
    return arrow.ExtensionArray.from_storage(kind.to_arrow(), _texts(texts))


def _texts(values: list[str | None]) -> Values:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError as error:
        raise MisfitError("a lone surrogate is no character") from error


def _leaves(values: list[Any], kind: type[ColumnType]) -> Values:
    if kind.kind in {"numeric", "boolean", "double"} or is_whole(kind):
        return pa.array(values, kind.to_arrow())
    if kind.kind == "duration":
        return pa.array(values, pa.int64())
    # Arrow rounds the digits to 32 bits once; a Python float would have them rounded twice.
    return _texts(values).cast(pa.float32()) if kind.kind == "float" else _texts(values)


def _misfit(problem: str) -> NoReturn:
    raise MisfitError(problem)


def _leaf(value: Any, kind: type[ColumnType]) -> Any:  # noqa: ANN401 - from a JSON value to a Python one
    number = isinstance(value, Number)
    if kind.kind == "boolean":
        return value if isinstance(value, bool) else _misfit(f"it is {_described(value)}")
    if kind.kind == "numeric":
        return _decimal(value, kind.parameters["scale"])
    if kind.kind == "float":
        return str(value) if number else _misfit(f"it is {_described(value)}")
    if kind.kind == "double":
        return _double(value) if number else _misfit(f"it is {_described(value)}")
    if is_whole(kind) or kind.kind == "duration":
        return _whole(value)
    return value if type(value) is str else _misfit(f"it is {_described(value)}")


def _double(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _misfit("it is beyond the range of the type")


def _held(value: Any) -> Any:  # noqa: ANN401 - a parsed JSON value
    """Return the value, which is no whole number that a double has no place for."""
    if isinstance(value, Number) and value.lstrip("-").isdigit() and int(float(value)) != int(value):
        _misfit("a double does not hold it exactly")
    return value


def _decimal(value: object, scale: int) -> Decimal:
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        _misfit(f"it is {_described(value)}" if not isinstance(value, str) else "it is no number")
    exact = _parsed(value)
    with localcontext() as context:
        context.prec = _MOST_DIGITS * 3
        try:
            fitted = exact.quantize(Decimal(1).scaleb(-scale))
        except InvalidOperation:
            _misfit("it has too many digits")
        return fitted if fitted == exact else _misfit(f"it has more than {scale} digits after the point")


def _whole(value: object) -> int:
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        exact = _parsed(value)
        if exact == exact.to_integral_value():
            return int(exact)
        _misfit("it is no whole number")
    return _misfit("it is no number" if type(value) is str else f"it is {_described(value)}")


def _parsed(digits: str) -> Decimal:
    exact = Decimal(digits)
    if exact and abs(exact.adjusted()) > _MOST_DIGITS:
        _misfit("it is beyond the range of the type")
    return exact


def _offsets(lengths: list[int | None]) -> Values:
    """Return the offsets of lists; a list that is NULL has a NULL offset."""
    ends, end = [], 0
    for length in lengths:
        ends.append(None if length is None else end)
        end += length or 0
    return pa.array([*ends, end], pa.int32())


def _build_lists(values: list[Any], kind: type[ColumnType], *, loose: bool) -> Values:
    lists = [v if v is None or isinstance(v, list) else _misfit(f"it is {_described(v)}") for v in values]
    items = build([item for one in lists if one is not None for item in one], kind.parameters["item"], loose=loose)
    offsets = _offsets([None if one is None else len(one) for one in lists])
    return arrow.ListArray.from_arrays(offsets, items, type=kind.to_arrow())


def _objects(values: list[Any]) -> list[dict[str, Any] | None]:
    return [v if v is None or isinstance(v, dict) else _misfit(f"it is {_described(v)}") for v in values]


def _build_structs(values: list[Any], kind: type[ColumnType], *, loose: bool) -> Values:
    objects = _objects(values)
    fields = kind.parameters["fields"]
    arrays = [
        build([None if one is None else one.get(name) for one in objects], inner, loose=loose) for name, inner in fields
    ]
    struct: Any = kind.to_arrow()  # iterates over its fields, which the stubs do not know
    mask = pa.array([one is None for one in objects], pa.bool_())
    return arrow.StructArray.from_arrays(arrays, fields=list(struct), mask=mask)


def _build_maps(values: list[Any], kind: type[ColumnType], *, loose: bool) -> Values:
    objects = _objects(values)
    entries = [entry for one in objects if one is not None for entry in one.items()]
    numbers = is_whole(kind.parameters["key"]) or kind.parameters["key"].kind == "numeric"
    keys = build([Number(key) if numbers else key for key, _ in entries], kind.parameters["key"])
    items = build([item for _, item in entries], kind.parameters["value"], loose=loose)
    offsets = _offsets([None if one is None else len(one) for one in objects])
    return arrow.MapArray.from_arrays(offsets, keys, items, type=kind.to_arrow())


_NESTED: dict[str, _Build] = {
    "unknown": _build_nulls,
    "json": _build_json,
    "array": _build_lists,
    "struct": _build_structs,
    "map": _build_maps,
}
