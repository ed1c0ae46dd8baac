"""Which message of its schema a message is: what the wire formats write for that between the id and the message.

Confluent a list of places, from the file's messages inward; Apicurio the name, in a message of its own; Glue the place
among all names in order.
https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/serdes-protobuf.html
https://github.com/awslabs/aws-glue-schema-registry, MessageIndexFinder
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from ematix_core.codecs.wire import Head, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Place: TypeAlias = "tuple[int, ...] | str | int"
"""Confluent's places, Apicurio's name, or Glue's number."""
_APICURIO = frozenset({"apicurio", "apicurio-global"})
_MORE, _BITS, _LONGEST, _DEEPEST = 0x80, 7, 5, 100
_NAME = 0x0A
"""The tag of the name in Apicurio's message."""


def reader(wire: str) -> Callable[[bytes], Head[Place]]:
    """Return what reads the place off the bytes that follow the schema's id."""
    if wire == "glue":
        return _glue
    return _apicurio if wire in _APICURIO else _confluent


def _glue(message: bytes) -> Head[Place]:
    number, size = _varint(message, 0)
    return Head(size, number)


def _confluent(message: bytes) -> Head[Place]:
    count, at = _zigzag(message, 0)
    if not 0 <= count <= _DEEPEST:
        raise UnreadableError("it does not say which message of its schema it is")
    places = []
    for _ in range(count):
        place, at = _zigzag(message, at)
        places.append(place)
    return Head(at, tuple(places) or (0,))


def _apicurio(message: bytes) -> Head[Place]:
    """Read a name; without one, what Apicurio writes when it is told to do as Confluent does."""
    size, at = _varint(message, 0)
    if size < 2 or len(message) < at + size or message[at] != _NAME:  # noqa: PLR2004 - tag and length
        return _confluent(message)
    length, start = _varint(message, at + 1)
    if start + length != at + size:
        return _confluent(message)
    try:
        return Head(at + size, message[start : at + size].decode())
    except UnicodeDecodeError as error:
        raise UnreadableError("the name of its message is no UTF-8") from error


def _varint(message: bytes, at: int) -> tuple[int, int]:
    number = 0
    for place, byte in enumerate(message[at : at + _LONGEST]):
        number |= (byte & ~_MORE) << (_BITS * place)
        if byte < _MORE:
            return number, at + place + 1
    raise UnreadableError("it ends before it says which message of its schema it is")


def _zigzag(message: bytes, at: int) -> tuple[int, int]:
    number, end = _varint(message, at)
    return number >> 1 ^ -(number & 1), end


def at(place: Place, messages: Sequence[Any]) -> Any:  # noqa: ANN401 - a Descriptor, whose import the extra decides on
    """Return the message at the place. Raises UnreadableError when there is none."""
    for one in messages:
        if place in {_path(one, messages), one.full_name, _short(one), _sorted(one, messages)}:
            return one
    raise UnreadableError(f"its schema has no message {place if isinstance(place, str) else f'at {place}'}")


def written(message: Any, messages: Sequence[Any], wire: str) -> bytes:  # noqa: ANN401 - as at
    """Return what stands for the message between the schema's id and its bytes."""
    if wire == "glue":
        return varint(_sorted(message, messages))
    if wire in _APICURIO:
        name = _short(message).encode()
        inner = bytes([_NAME]) + varint(len(name)) + name
        return varint(len(inner)) + inner
    path = _path(message, messages)
    return b"\0" if path == (0,) else b"".join(varint(2 * one) for one in (len(path), *path))


def _short(message: Any) -> str:  # noqa: ANN401 - as at
    return str(message.full_name).removeprefix(f"{message.file.package}.")


def _path(message: Any, messages: Sequence[Any]) -> tuple[int, ...]:  # noqa: ANN401 - as at
    outer = message.containing_type
    if outer is None:
        return ([one.full_name for one in messages if one.containing_type is None].index(message.full_name),)
    inner = [one.full_name for one in outer.nested_types].index(message.full_name)
    return (*_path(outer, messages), inner)


def _sorted(message: Any, messages: Sequence[Any]) -> int:  # noqa: ANN401 - as at
    return sorted(one.full_name for one in messages).index(message.full_name)


def varint(number: int) -> bytes:
    """Return a whole number that is not negative as Protobuf writes it."""
    found = bytearray()
    while number >= _MORE:
        found.append(number & ~_MORE & 0xFF | _MORE)
        number >>= _BITS
    return bytes([*found, number])
