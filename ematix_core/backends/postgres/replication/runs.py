"""Changes that came one after the other, as messages yet to be decoded."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.backends.postgres.replication.wire import Begin, Relation


@dataclass
class Run:
    """Changes of one shape of a table. `begins`: their transactions, `starts`: the first change of each.

    `firsts`: the number that this one has in its transaction. `truncate`: the table was emptied, and there are no
    messages.
    """

    relation: Relation | None
    messages: list[memoryview] = field(default_factory=list)
    begins: list[Begin] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    firsts: list[int] = field(default_factory=list)
    size: int = 0
    truncate: bool = False

    def start(self, begin: Begin, first: int) -> None:
        """Note that the next change is of this transaction, and the how manieth."""
        self.begins.append(begin)
        self.starts.append(len(self.messages))
        self.firsts.append(first)

    @property
    def last_has_rows(self) -> bool:
        """Whether the last transaction has changes here."""
        return bool(self.starts) and self.starts[-1] < len(self.messages)

    def trim(self) -> None:
        """Forget the last transaction when it has no changes here."""
        if self.starts and not self.last_has_rows:
            self.begins.pop()
            self.starts.pop()
            self.firsts.pop()

    def goes_with(self, other: Run) -> bool:
        """Say whether the other one's changes are of the same shape."""
        return not self.truncate and not other.truncate and self.relation is other.relation

    def split(self, rows: int, size: int) -> tuple[Run, Run | None]:
        """Return the first changes, at most so many and about so many bytes but at least one, and the rest if any."""
        if len(self.messages) <= rows and self.size <= size:
            return self, None
        at = max(1, min(rows, bisect_right(list(accumulate(map(len, self.messages))), size)))
        return self.cut(at) if at < len(self.messages) else (self, None)

    def cut(self, at: int) -> tuple[Run, Run]:
        """Return the first `at` changes, and those behind."""
        number, last = bisect_left(self.starts, at), bisect_right(self.starts, at) - 1
        head = Run(
            self.relation, self.messages[:at], self.begins[:number], self.starts[:number], self.firsts[:number],
            sum(map(len, self.messages[:at])),
        )  # fmt: skip
        if at >= len(self.messages):
            return head, Run(self.relation)
        rest = Run(
            self.relation, self.messages[at:], self.begins[last:],
            [max(start - at, 0) for start in self.starts[last:]],
            [self.firsts[last] + at - self.starts[last], *self.firsts[last + 1 :]], self.size - head.size,
        )  # fmt: skip
        return head, rest

    def behind(self, order: tuple[int, int]) -> Run:
        """Return the changes that do not lie before a place, given by a commit and a number in it."""
        if (self.begins[0].lsn, self.firsts[0]) >= order:
            return self
        return Run(self.relation) if self.truncate else self.cut(self._count_before(order))[1]

    def until(self, order: tuple[int, int]) -> Run:
        """Return the changes that lie before a place."""
        if self.last() < order:
            return self
        return Run(self.relation) if self.truncate else self.cut(self._count_before(order))[0]

    def last(self) -> tuple[int, int]:
        """Return the commit of the last change, and its number in it."""
        return self.begins[-1].lsn, self.firsts[-1] + max(len(self.messages) - self.starts[-1], 1) - 1

    def _count_before(self, order: tuple[int, int]) -> int:
        lsn, row, _, _ = self.places()
        return int(((lsn < order[0]) | ((lsn == order[0]) & (row < order[1]))).sum())

    def places(self) -> tuple[Any, Any, Any, Any]:
        """Return of each change where its commit is, its number in it, when it was, and its transaction's number."""
        counts = [end - start for start, end in pairwise([*self.starts, len(self.messages)])]
        begins = np.array(self.begins, np.int64).reshape(-1, 3)
        lsn, at, xid = (np.repeat(begins[:, column], counts) for column in range(3))
        first = np.array(self.firsts, np.int64) - np.array(self.starts, np.int64)
        return lsn, np.arange(len(self.messages)) + np.repeat(first, counts), at, xid


def joined(runs: Sequence[Run]) -> Run:
    """Return runs that go with each other as one."""
    if len(runs) == 1:
        return runs[0]
    whole = Run(runs[0].relation)
    for run in runs:
        before = len(whole.messages)
        whole.begins += run.begins
        whole.starts += [start + before for start in run.starts]
        whole.firsts += run.firsts
        whole.messages += run.messages
        whole.size += run.size
    return whole
