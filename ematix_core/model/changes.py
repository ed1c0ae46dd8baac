"""Columns that are no part of a row's data: those that sources add, and of them those that say what became of a row."""

from __future__ import annotations

OP, DELETED, EVENT_TIME, SOURCE_ORDER = "_op", "_deleted", "_event_ts", "_source_order"
"""Of a row of changes: "insert", "update", "delete" or "snapshot"; whether it is gone; when; its place in the log."""
CHANGE_COLUMNS = frozenset({OP, DELETED, EVENT_TIME, SOURCE_ORDER})
ADDED = CHANGE_COLUMNS | {"_key", "_headers", "_topic", "_partition", "_offset", "_version", "_file"}
"""Columns that sources add: see `Polled`. A target takes those that it declares."""
