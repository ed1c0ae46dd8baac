"""Records of Avro of about 170 bytes with the id of their schema before them, written by fastavro."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import fastavro

import ematix_core as ematix
from benchmarks.streams.topics import url
from ematix_core.codecs.registry import open_registry

if TYPE_CHECKING:
    from collections.abc import Callable

_FIELDS = {
    "id": "long", "seen": {"type": "long", "logicalType": "timestamp-millis"}, "who": "string", "quantity": "int",
    "price": "double", "page": "string", "country": ["null", "string"], "session": "string", "agent": "string",
}  # fmt: skip
_SCHEMA = {
    "type": "record",
    "name": "click",
    "fields": [{"name": name, "type": kind} for name, kind in _FIELDS.items()],
}
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0"


def schemas() -> ematix.SchemaRegistryConnection:
    """Return the registry that `make servers` started."""
    return ematix.SchemaRegistryConnection("schemas", url=url("registry"))


def record() -> Callable[[int], bytes]:
    """Register the schema, and return what makes a record; its fields depend on its number alone."""
    registry = open_registry(schemas())
    before = b"\0" + int(registry.register("bench-clicks", json.dumps(_SCHEMA))).to_bytes(4, "big")
    registry.close()
    parsed = fastavro.parse_schema(_SCHEMA)

    def written(number: int) -> bytes:
        target = io.BytesIO(before)
        target.seek(len(before))
        row = {
            "id": number, "seen": 1_796_000_000_000 + number, "who": f"user-{number % 9973:06}",
            "quantity": number % 10, "price": number % 7919 / 100, "page": f"/products/{number % 997:04}/details",
            "country": "DE" if number % 3 else None, "session": f"{number * 2654435761 % 2**64:020}", "agent": _AGENT,
        }  # fmt: skip
        fastavro.schemaless_writer(target, parsed, row)
        return target.getvalue()

    return written
