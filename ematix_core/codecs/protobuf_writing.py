"""The .proto file of messages with given columns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ematix_core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ematix_core.model.table import Column
    from ematix_core.types import ColumnType

# Protobuf has no types of its own for decimals, days, times and UUIDs: they are text, as they are in JSON.
_WRITTEN: Mapping[str, str] = {
    "boolean": "bool", "tiny_int": "int32", "small_int": "int32", "integer": "int32", "u_tiny_int": "uint32",
    "u_small_int": "uint32", "u_integer": "uint32", "big_int": "int64", "u_big_int": "uint64", "float": "float",
    "double": "double", "text": "string", "string": "string", "bytes": "bytes",
    "timestamp_tz": "google.protobuf.Timestamp", "duration": "google.protobuf.Duration",
}  # fmt: skip
_AS_TEXT = frozenset({"numeric", "date", "time", "timestamp", "uuid", "json"})
_KEYS = frozenset({"bool", "int32", "uint32", "int64", "uint64", "string"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IMPORTS = ("timestamp", "duration")


def schema_of(columns: Sequence[Column], name: str) -> str:
    """Return the text of the file. Raises UnsupportedError naming a column that has no form."""
    message = re.sub(r"\W", "_", name, flags=re.ASCII)
    body: list[str] = []
    for number, column in enumerate(columns, 1):
        try:
            body += _field(column.name, column.type, number, nullable=column.nullable, text=True)
        except UnsupportedError as error:
            raise error.at(f"column {column.name!r}") from None
    lines = ['syntax = "proto3";']
    lines += [
        f'import "google/protobuf/{one}.proto";'
        for one in _IMPORTS
        if f"google.protobuf.{one.title()}" in "".join(body)
    ]
    lines += [
        f"message {message if _NAME.fullmatch(message) else f'_{message}'} {{",
        *(f"  {line}" for line in body),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _field(name: str, kind: type[ColumnType], number: int, *, nullable: bool, text: bool = False) -> list[str]:
    """Return the lines of a field, after those of the message that it may need. `text`: what is none may be so."""
    if not _NAME.fullmatch(name):
        raise UnsupportedError(
            f"{name!r} is no name in Protobuf", hint="Name it with letters, digits and _ in the query."
        )
    parameters = kind.parameters
    match kind.kind:
        case "array":
            inner, word = _value(parameters["item"], name)
            return [*inner, f"repeated {word} {name} = {number};"]
        case "map":
            (_, key), (inner, word) = _value(parameters["key"], name), _value(parameters["value"], name)
            if key in _KEYS:
                return [*inner, f"map<{key}, {word}> {name} = {number};"]
            raise UnsupportedError(f"{kind.label()} has keys that Protobuf does not allow", hint="Make them text.")
    if text and kind.kind in _AS_TEXT:
        inner, word = [], "string"
    else:
        inner, word = _value(kind, name)
    return [*inner, f"{'optional ' if nullable else ''}{word} {name} = {number};"]


def _value(kind: type[ColumnType], name: str) -> tuple[list[str], str]:
    """Return the lines that a value's type needs, and its name."""
    if kind.kind in _WRITTEN:
        return [], _WRITTEN[kind.kind]
    if kind.kind != "struct":
        raise UnsupportedError(
            f"{kind.label()} has no form in Protobuf here", hint="Cast it in the query, to text for example."
        )
    body: list[str] = []
    for number, (field, of) in enumerate(kind.parameters["fields"], 1):
        body += _field(field, of, number, nullable=True)
    word = f"{name}_values"
    return [f"message {word} {{", *(f"  {line}" for line in body), "}"], word
