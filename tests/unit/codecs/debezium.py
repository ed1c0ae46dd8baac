"""What the connectors of Debezium wrote, and what its events look like when a test makes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parents[2] / "data" / "debezium"


def recorded(name: str) -> list[bytes]:
    """Return the messages of a file, without tombstones."""
    lines = (_FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [line.encode() for line in lines if line]


def recorded_avro(name: str) -> tuple[list[str], list[tuple[int, bytes]]]:
    """Return the schemas, and the messages with the number of theirs, without tombstones."""
    found = json.loads((_FOLDER / f"{name}.avro.json").read_text(encoding="utf-8"))
    return found["schemas"], [(one[0], bytes.fromhex(one[1])) for one in found["messages"] if one]


def event(op: str, before: dict[str, Any] | None, after: dict[str, Any] | None, **source: Any) -> dict[str, Any]:  # noqa: ANN401 - values of JSON
    """Return an event of the PostgreSQL connector."""
    about = {"version": "3.0.8.Final", "connector": "postgresql", "name": "shop", "db": "shop", "table": "orders"}
    return {
        "before": before,
        "after": after,
        "source": {**about, "ts_ms": 1000, "lsn": 1, **source},
        "op": op,
        "ts_ms": 5,
    }


def written(value: object) -> bytes:
    """Return JSON as Connect writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
