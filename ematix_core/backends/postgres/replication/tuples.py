"""The messages of a run taken apart, a column at a time: where in their bytes each value of each row is.

A tuple is a number of columns, then for each a sign: `n` NULL, `u` a long value that was not changed and is not told,
`t` text of a length. So the next column of all rows begins where the last one of each ended, which arrays compute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ematix_core.backends.postgres.replication.wire import HEADER

if TYPE_CHECKING:
    from collections.abc import Sequence

INSERT, UPDATE, DELETE = 0, 1, 2
_OLD_AT = HEADER + 6  # the kind of message, the table's oid, and K, O or N
_LONGEST_SIGN = 8


@dataclass(frozen=True)
class Values:
    """One column: where each value begins and ends; whether it is there, or was left out as unchanged."""

    begins: Any
    ends: Any
    signs: Any

    def take(self, rows: Any) -> Values:  # noqa: ANN401 - a numpy array
        """Return the values of these rows."""
        return Values(self.begins[rows], self.ends[rows], self.signs[rows])

    @property
    def untold(self) -> Any:  # noqa: ANN401 - a numpy array
        """Whether the value was left out."""
        return self.signs == ord("u")


@dataclass(frozen=True)
class Rows:
    """The rows of a run: `message` is the number of the change that each is of."""

    data: Any
    message: Any
    op: Any
    columns: tuple[Values, ...]

    def take(self, rows: Any) -> Rows:  # noqa: ANN401 - a numpy array
        """Return some of the rows."""
        return Rows(self.data, self.message[rows], self.op[rows], tuple(column.take(rows) for column in self.columns))

    def texts(self, column: int) -> pa.Array[Any]:
        """Return a column's values as text; NULL where they were left out."""
        return _gathered(self.data, self.columns[column])


def rows_of(messages: Sequence[memoryview], width: int, keys: Sequence[int]) -> Rows:
    """Return the rows of changes of a table with so many columns.

    A change is one row, an update that changes a key column two: the old row's deletion and the new row's insertion.
    Without keys every update is two.
    """
    lengths = np.fromiter(map(len, messages), np.int64, len(messages))
    starts = np.cumsum(lengths) - lengths
    data = np.frombuffer(b"".join([*messages, bytes(_LONGEST_SIGN)]), np.uint8)
    kinds, marks = data[starts + HEADER], data[starts + _OLD_AT - 1]
    with_old = (kinds != ord("I")) & (marks != ord("N"))
    old_at = np.flatnonzero(with_old)
    old, after_old = _walk(data, starts[old_at] + _OLD_AT, width)
    new_begin = starts + _OLD_AT
    new_begin[old_at] = after_old + 1
    new_at = np.flatnonzero(kinds != ord("D"))
    new, _ = _walk(data, new_begin[new_at], width)

    place = np.zeros(len(messages), np.int64)  # of a message in `old`
    place[old_at] = np.arange(len(old_at))
    pairs = np.flatnonzero(with_old[new_at])  # of updates in `new` that have an old row
    new = tuple(_told(now, then, pairs, place[new_at[pairs]]) for now, then in zip(new, old, strict=True))
    moves = np.zeros(len(messages), bool)  # whether the key is changed
    whole = marks[new_at[pairs]] == ord("O")
    differ = _differ(data, new, old, (pairs, place[new_at[pairs]]), keys)
    moves[new_at[pairs]] = ~whole | differ
    moves[kinds == ord("I")] = False
    return _laid_out(data, kinds, moves, (old_at, old), (new_at, new))


def _laid_out(data: Any, kinds: Any, moves: Any, old: tuple[Any, Any], new: tuple[Any, Any]) -> Rows:  # noqa: ANN401 - numpy arrays
    """Put old and new rows in the order of their messages."""
    counts = 1 + moves
    first = np.cumsum(counts) - counts
    total = int(counts.sum())
    (old_at, olds), (new_at, news) = old, new
    wanted = moves[old_at] | (kinds[old_at] == ord("D"))
    from_old, to_old = np.flatnonzero(wanted), first[old_at[wanted]]
    to_new = first[new_at] + moves[new_at]
    op = np.zeros(total, np.int8)
    op[to_old] = DELETE
    op[to_new] = np.where((kinds[new_at] == ord("I")) | moves[new_at], INSERT, UPDATE)
    columns = []
    for then, now in zip(olds, news, strict=True):
        made = Values(np.empty(total, np.int64), np.empty(total, np.int64), np.empty(total, np.uint8))
        for whole, old_part, new_part in zip(
            (made.begins, made.ends, made.signs), (then.begins, then.ends, then.signs),
            (now.begins, now.ends, now.signs), strict=True,
        ):  # fmt: skip
            whole[to_old] = old_part[from_old]
            whole[to_new] = new_part
        columns.append(made)
    return Rows(data, np.repeat(np.arange(len(kinds)), counts), op, tuple(columns))


def _walk(data: Any, at: Any, width: int) -> tuple[tuple[Values, ...], Any]:  # noqa: ANN401 - numpy arrays
    """Return the columns of tuples that begin there, and where each tuple ends."""
    words: Any = np.ndarray((len(data) - 3,), ">u4", data, strides=(1,))
    at = at + 2
    found = []
    for _ in range(width):
        signs = data[at]
        told = signs == ord("t")
        begins = at + 1 + 4 * told
        ends = begins + np.where(told, words[at + 1], 0)
        found.append(Values(begins, ends, signs))
        at = ends
    return tuple(found), at


def _told(now: Values, then: Values, pairs: Any, olds: Any) -> Values:  # noqa: ANN401 - numpy arrays
    """Return the new values, those that were left out from the old row where that has them."""
    out = now.untold[pairs] & (then.signs[olds] == ord("t"))
    if not out.any():
        return now
    to, of = pairs[out], olds[out]
    now.begins[to], now.ends[to], now.signs[to] = then.begins[of], then.ends[of], then.signs[of]
    return now


def _differ(data: Any, new: Sequence[Values], old: Sequence[Values], rows: tuple[Any, Any], keys: Sequence[int]) -> Any:  # noqa: ANN401 - numpy arrays
    """Say of rows, given by their numbers in `new` and in `old`, whether a key column has another value than before.

    All have where there is no key.
    """
    pairs, olds = rows
    changed = np.full(len(pairs), not keys)
    if not len(pairs):
        return changed
    for key in keys:
        now, then = _gathered(data, new[key].take(pairs)), _gathered(data, old[key].take(olds))
        same: Any = pc.equal(now, then)
        changed |= ~(same.to_numpy(zero_copy_only=False) == True)  # noqa: E712 - NULL is another value, too
    return changed


def _gathered(data: Any, values: Values) -> pa.Array[Any]:  # noqa: ANN401 - numpy arrays
    """Return the values as one column of text.

    The bytes stay where they are: as an array of which every second item is a value, and the others what lies between.
    """
    count = len(values.begins)
    if not count:
        return pa.array([], pa.string())
    told = values.signs == ord("t")
    if (values.begins[1:] < values.ends[:-1]).any():  # a value that is in two rows, as an unchanged one may be
        texts = [bytes(data[b:e]) if t else None for b, e, t in zip(values.begins, values.ends, told, strict=True)]
        return pa.array(texts, pa.binary()).cast(pa.string())
    offsets: Any = np.empty(2 * count, np.int32)
    offsets[0::2], offsets[1::2] = values.begins, values.ends
    spread = pa.Array.from_buffers(pa.binary(), 2 * count - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    taken: Any = spread.take(pa.array(np.arange(0, 2 * count, 2), pa.int64()))
    return pa.Array.from_buffers(pa.string(), count, [None if told.all() else bits(told), *taken.buffers()[1:]])


def bits(flags: Any) -> pa.Buffer:  # noqa: ANN401 - a numpy array
    """Return what Arrow says by which values are there."""
    packed: Any = np.packbits(flags, bitorder="little")
    return pa.py_buffer(packed)
