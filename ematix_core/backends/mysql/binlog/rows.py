"""Row images of a binary log cut into the bytes of their values. Whole events at a time."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Row: TypeAlias = tuple[bytes | None, ...]
_PREFIXES = {1: "B", 2: "H", 3: "3s", 4: "I"}


@dataclass(frozen=True)
class Width:
    """How long a value is: so many bytes, or (`prefix`) as many as a number of 1 to 4 bytes before it says."""

    fixed: int = 0
    prefix: int = 0


@dataclass(frozen=True)
class _Piece:
    """Values of fixed width, then the length of one that is not, if there is one."""

    unpack: Callable[[bytes, int], tuple[Any, ...]]
    size: int
    prefix: int


class RowImages:
    """Cuts the images of one table. Values that are NULL take no bytes; a row begins with a bit for each of them."""

    def __init__(self, widths: Sequence[Width]) -> None:
        self.widths = tuple(widths)
        self._bytes = (len(widths) + 7) // 8
        self._plans: dict[bytes, tuple[list[_Piece], list[int]]] = {}

    def all(self, data: bytes) -> list[Row]:
        """Return the images that stand there one after the other."""
        images: list[Row] = []
        at, end, width, plans = 0, len(data), self._bytes, self._plans
        while at < end:
            nulls = data[at : at + width]
            at += width
            pieces, missing = plans.get(nulls) or self._planned(nulls)
            values: list[Any] = []
            for piece in pieces:
                got = piece.unpack(data, at)
                at += piece.size
                if not piece.prefix:
                    values += got
                    continue
                length = got[-1] if piece.prefix != 3 else int.from_bytes(got[-1], "little")  # noqa: PLR2004 - no number of struct
                values += got[:-1]
                values.append(data[at : at + length])
                at += length
            for column in missing:
                values.insert(column, None)
            images.append(tuple(values))
        return images

    def _planned(self, nulls: bytes) -> tuple[list[_Piece], list[int]]:
        bits = int.from_bytes(nulls, "little")
        pieces: list[_Piece] = []
        form = "<"
        missing = []
        for column, width in enumerate(self.widths):
            if bits >> column & 1:
                missing.append(column)
            elif width.prefix:
                pieces.append(_piece(form + _PREFIXES[width.prefix], width.prefix))
                form = "<"
            else:
                form += f"{width.fixed}s"
        if form != "<":
            pieces.append(_piece(form, 0))
        self._plans[nulls] = pieces, missing
        return pieces, missing


def _piece(form: str, prefix: int) -> _Piece:
    compiled = struct.Struct(form)
    return _Piece(compiled.unpack_from, compiled.size, prefix)
