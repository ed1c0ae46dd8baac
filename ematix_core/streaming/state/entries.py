"""Entries of a state, and segments of them as bytes: Arrow's stream format, with what is no row as JSON beside it.

A segment is written once, with a checkpoint. Format 1: a line of JSON about the segment; then for each entry a line of
JSON with its facts and the length of its rows, and those rows (Arrow IPC stream, zstd).
"""

from __future__ import annotations

import io
import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ematix_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """What one micro-batch added to a state: rows, if any, and facts as plain data for JSON."""

    rows: pa.Table | None
    facts: Mapping[str, Any]


def pack(about: Mapping[str, Any], entries: Sequence[Entry]) -> bytes:
    """Return a segment. `about`: plain data that tells what it is of."""
    out = io.BytesIO()
    _line(out, {**about, "format": FORMAT, "entries": len(entries)})
    for entry in entries:
        body = b"" if entry.rows is None else _rows(entry.rows)
        _line(out, {**entry.facts, "_rows": len(body)})
        out.write(body)
    return out.getvalue()


def about(segment: bytes) -> dict[str, Any]:
    """Return what a segment is of."""
    found: dict[str, Any] = json.loads(segment[: segment.index(b"\n")])
    return found


def unpack(segment: bytes) -> list[Entry]:
    """Return the entries of a segment of this format."""
    import pyarrow as pa

    source = io.BytesIO(segment)
    entries = []
    for _ in range(json.loads(source.readline())["entries"]):
        facts = json.loads(source.readline())
        body = source.read(facts.pop("_rows"))
        entries.append(Entry(pa.ipc.open_stream(body).read_all() if body else None, facts))
    return entries


@contextmanager
def intact(where: str, hint: str) -> Iterator[None]:
    """Raise ConfigError when what is read in the block is no segment, or not the whole of one."""
    try:
        yield
    except (ValueError, KeyError, EOFError, OSError) as error:  # ArrowInvalid is a ValueError
        raise ConfigError(
            f"the state is damaged: {error}", where=where, hint=f"Bring back a copy of this file; {hint}"
        ) from error


def _line(out: io.BytesIO, data: Mapping[str, Any]) -> None:
    out.write(json.dumps(data, sort_keys=True).encode() + b"\n")


def _rows(rows: pa.Table) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, rows.schema, options=options) as writer:
        writer.write_table(rows)
    return sink.getvalue().to_pybytes()
