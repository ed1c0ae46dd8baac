"""The watermark: the time before which no more rows are waited for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class Watermark:
    """Follows the newest time of each partition; microseconds. It never goes back.

    It is where the partition is that is furthest behind, less the lateness. One without rows for `idle` seconds is not
    waited for; as long as all are idle, the watermark stays.
    """

    def __init__(self, lateness: int, idle: float, now: Callable[[], float] = time.monotonic) -> None:
        self._lateness, self._idle, self._now = lateness, idle, now
        self._newest: dict[str, int] = {}
        self._last: dict[str, float] = {}
        self.value: int | None = None

    def advance(self, newest: Mapping[str, int], partitions: Iterable[str], *, drained: bool = False) -> int | None:
        """Take in the newest times of those partitions that had rows; return where the watermark is now.

        `partitions`: all that there are, also those without rows yet. `drained`: nothing more is waited for, so that
        partitions without any rows do not count.
        """
        now = self._now()
        for name in (*partitions, *newest):
            self._last.setdefault(name, now)
        for name, at in newest.items():
            self._newest[name] = max(at, self._newest.get(name, at))
            self._last[name] = now
        if drained:
            counted = list(self._newest.values())
        else:
            waited = [name for name, last in self._last.items() if now - last < self._idle]
            if any(name not in self._newest for name in waited):
                return self.value
            counted = [self._newest[name] for name in waited]
        if counted:
            at = min(counted) - self._lateness
            self.value = at if self.value is None else max(self.value, at)
        return self.value

    def facts(self) -> dict[str, Any]:
        """Return what is to be kept, as plain data."""
        return {"watermark": self.value, "newest": dict(self._newest)}

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Go back to where it was; every partition is waited for anew."""
        self.value, self._newest = facts["watermark"], dict(facts["newest"])
        self._last = dict.fromkeys(self._newest, self._now())
