"""What is known of objects, and their ends, kept for a while.

Whoever opens a Parquet file reads its footer first, and a job opens it often: planning asks for columns, row groups
and decimals, each side binds its query. DuckDB reads the same 64 KiB ten times before the first row, each time by a
request that takes as long as one for megabytes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_LONGEST, _IN_ALL = 1 << 20, 16 << 20  # bytes


@dataclass(frozen=True)
class Entry:
    """An object as it was listed: its key, size in bytes, time of change and version (None: it never changes)."""

    key: str
    size: int
    changed: datetime
    etag: str | None


class Tails:
    """What was read up to the end of objects, by key and version; those that were asked for last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str | None], bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()  # DuckDB reads from several threads

    def find(self, entry: Entry, start: int, length: int) -> bytes | None:
        """Return bytes of an object if they are known."""
        with self._lock:
            tail = self._kept.get((entry.key, entry.etag))
            if tail is None or (begin := start - (entry.size - len(tail))) < 0:
                return None
            self._kept.move_to_end((entry.key, entry.etag))
            return tail[begin : begin + length]

    def keep(self, entry: Entry, tail: bytes) -> None:
        """Keep the last bytes of an object, unless they are many or fewer than are known."""
        if len(tail) > _LONGEST:
            return
        key = (entry.key, entry.etag)
        with self._lock:
            known = self._kept.get(key, b"")
            if len(known) < len(tail):
                self._kept[key] = tail
                self._bytes += len(tail) - len(known)
            while self._bytes > _IN_ALL:
                self._bytes -= len(self._kept.popitem(last=False)[1])
