"""How many jobs run at one time, in all and in each pool, and which of the waiting ones is next."""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

_T = TypeVar("_T")


class Slots(Generic[_T]):
    """Jobs that could start, by priority (the higher first), then in the order in which they came.

    A pool that no limit is set for has none of its own. Not for several threads.
    """

    def __init__(self, total: int, pools: Mapping[str, int]) -> None:
        """Take the number of jobs that may run at one time, in all and by pool."""
        self.total = total
        self._pools = dict(pools)
        self._taken: Counter[str] = Counter()
        self._waiting: dict[str, list[tuple[int, int, _T]]] = {}
        self._number = 0

    @property
    def taken(self) -> int:
        """How many jobs run."""
        return self._taken.total()

    def offer(self, item: _T, *, pool: str = "", priority: int = 0) -> None:
        """Let an item wait for a place."""
        self._number += 1
        heapq.heappush(self._waiting.setdefault(pool, []), (-priority, self._number, item))

    def take(self) -> tuple[_T, str] | None:
        """Return the next item that has a place, with its pool, and take that place; None when there is none."""
        if self.taken >= self.total:
            return None
        heads = [(queue[0][:2], pool) for pool, queue in self._waiting.items() if queue and self._has_room(pool)]
        if not heads:
            return None
        pool = min(heads)[1]
        item = heapq.heappop(self._waiting[pool])[2]
        self._taken[pool] += 1
        return item, pool

    def release(self, pool: str) -> None:
        """Give a place back."""
        self._taken[pool] -= 1

    def _has_room(self, pool: str) -> bool:
        return pool not in self._pools or self._taken[pool] < self._pools[pool]
