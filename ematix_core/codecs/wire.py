"""What stands before a message and names its schema, read off whole batches at a time.

Confluent: https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
Apicurio: https://www.apicur.io/registry/docs/apicurio-registry/3.3.x/getting-started/assembly-configuring-kafka-client-serdes.html
Glue: https://github.com/awslabs/aws-glue-schema-registry
"""

from __future__ import annotations

import uuid
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import pyarrow as pa

from ematix_core.codecs.arrays import Values, arrow, compute
from ematix_core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core.codecs.registered import SchemaId
    from ematix_core.codecs.registry import Registry
    from ematix_core.model.format import Format

_SIZES = {"confluent": 4, "apicurio": 4, "apicurio-global": 8}
_GLUE_VERSION, _PLAIN, _ZLIB, _GLUE_SIZE = 3, 0, 5, 18
_LARGEST = 1 << 27
"""Bytes that a compressed message may grow to: more than any broker takes, less than memory."""
_MOST_HEADS = 16
"""Heads that are looked for in the whole batch. Where there are more, the rest is read message by message."""

Key = TypeVar("Key")


class UnreadableError(ValueError):
    """A message is not of the format. Never leaves the package."""


@dataclass(frozen=True)
class Group(Generic[Key]):
    """The messages of a batch whose heads say the same: their numbers, ascending, and what follows the heads."""

    key: Key
    rows: pa.Int64Array
    payloads: pa.BinaryArray | pa.LargeBinaryArray


@dataclass(frozen=True)
class Head(Generic[Key]):
    """The first bytes of a message, and what they say."""

    size: int
    key: Key


def groups(values: Values, read: Callable[[bytes], Head[Key]]) -> tuple[list[Group[Key]], dict[int, str]]:
    """Return the messages by their heads, and those that have none with the reason.

    `read` looks at nothing behind the head, so that whatever begins with the same bytes has the same head. It raises
    UnreadableError. Two groups may have an equal key.
    """
    found: list[Group[Key]] = []
    bad: dict[int, str] = {}
    rows: Values = arrow.arange(0, len(values))
    while len(values) and len(found) < _MOST_HEADS:
        first = values[0].as_py()
        try:
            head = read(first)
        except UnreadableError as error:
            bad[rows[0].as_py()] = str(error)
            values, rows = values[1:], rows[1:]
            continue
        same = compute.starts_with(values, pattern=first[: head.size])
        if compute.all(same).as_py():
            return [*found, Group(head.key, rows, _without(values, head.size))], bad
        found.append(Group(head.key, rows.filter(same), _without(values.filter(same), head.size)))
        others = compute.invert(same)
        values, rows = values.filter(others), rows.filter(others)
    return found + _one_by_one(values, rows, read, bad), bad


def _without(values: Values, size: int) -> Values:
    if not size:
        return values
    longest = compute.max(compute.binary_length(values)).as_py()
    return compute.binary_slice(values, size, longest)  # without a stop, pyarrow 26 cannot slice binary


def _one_by_one(
    values: Values, rows: Values, read: Callable[[bytes], Head[Key]], bad: dict[int, str]
) -> list[Group[Key]]:
    found: dict[Key, tuple[list[int], list[bytes]]] = {}
    for row, message in zip(rows.to_pylist(), values.to_pylist(), strict=True):
        try:
            head = read(message)
        except UnreadableError as error:
            bad[row] = str(error)
        else:
            numbers, payloads = found.setdefault(head.key, ([], []))
            numbers.append(row)
            payloads.append(message[head.size :])
    return [
        Group(key, arrow.array(numbers, pa.int64()), arrow.array(payloads, values.type))
        for key, (numbers, payloads) in found.items()
    ]


def split(values: Values, wire: str) -> tuple[list[Group[SchemaId | None]], dict[int, str]]:
    """Return the messages by the ids of their schemas, and those without one with the reason."""
    if wire == "none":
        return groups(values, lambda _message: Head(0, None))
    if wire != "glue":
        return groups(values, lambda message: _numbered(message, _SIZES[wire]))
    heads, bad = groups(values, _glue)
    return [_expanded(one, bad) if one.key[1] else _plain(one) for one in heads], bad


def _numbered(message: bytes, size: int) -> Head[SchemaId | None]:
    if len(message) <= size or message[0] != 0:
        raise UnreadableError("it does not begin with a zero byte and the id of a schema")
    return Head(size + 1, int.from_bytes(message[1 : size + 1], "big"))


def _glue(message: bytes) -> Head[tuple[str, bool]]:
    if len(message) < _GLUE_SIZE or message[0] != _GLUE_VERSION or message[1] not in {_PLAIN, _ZLIB}:
        raise UnreadableError("it does not begin with Glue's version 3, a known compression and the id of a schema")
    return Head(_GLUE_SIZE, (str(uuid.UUID(bytes=message[2:_GLUE_SIZE])), message[1] == _ZLIB))


def _plain(group: Group[tuple[str, bool]]) -> Group[SchemaId | None]:
    return Group(group.key[0], group.rows, group.payloads)


def _expanded(group: Group[tuple[str, bool]], bad: dict[int, str]) -> Group[SchemaId | None]:
    rows, payloads = [], []
    for row, message in zip(group.rows.to_pylist(), group.payloads.to_pylist(), strict=True):
        try:
            payloads.append(_inflated(message or b""))
        except (UnreadableError, zlib.error) as error:
            bad[row or 0] = f"its compression cannot be undone: {error}"
        else:
            rows.append(row)
    return Group(group.key[0], arrow.array(rows, pa.int64()), arrow.array(payloads, group.payloads.type))


def _inflated(message: bytes) -> bytes:
    stream = zlib.decompressobj()
    found = stream.decompress(message, _LARGEST)
    if not stream.eof or stream.unused_data:
        raise UnreadableError(f"it ends elsewhere than its compressed data, or is larger than {_LARGEST} bytes")
    return found


def prefix(schema: SchemaId | None, wire: str) -> bytes:
    """Return what stands before a message of the schema."""
    if wire == "none":
        return b""
    if wire == "glue":
        return bytes([_GLUE_VERSION, _PLAIN]) + uuid.UUID(str(schema)).bytes
    return b"\0" + int(schema or 0).to_bytes(_SIZES[wire], "big")


def in_order(parts: list[tuple[pa.Int64Array, pa.RecordBatch]], empty: pa.RecordBatch) -> pa.RecordBatch:
    """Return the rows of several groups in the order of their messages; of none, `empty`."""
    if len(parts) <= 1:
        return parts[0][1] if parts else empty
    numbers: Values = arrow.concat_arrays([rows for rows, _ in parts])
    whole: pa.RecordBatch = arrow.concat_batches([rows for _, rows in parts])
    if compute.all(compute.less(numbers[:-1], numbers[1:])).as_py():
        return whole
    return whole.take(compute.sort_indices(numbers))


def checked(format: Format, registry: Registry | None, topic: str) -> None:  # noqa: A002 - the field's own word
    """Raise UnsupportedError for a wire format that lacks its registry, or the text of the schema."""
    where = f"topic {topic}"
    if format.wire != "none" and registry is None:
        raise UnsupportedError(f"the wire format {format.wire} needs a registry", where=where, hint="Give registry=.")
    if registry is not None and format.wire != "none" and format.wire not in registry.wires:
        raise UnsupportedError(
            f"the wire format {format.wire} is not one of this registry", where=where,
            hint=f"Use {' or '.join(sorted(registry.wires))}.",
        )  # fmt: skip
    if format.wire == "none" and not format.writer:
        raise UnsupportedError("messages without the id of a schema need its text", where=where, hint="Give writer=.")
