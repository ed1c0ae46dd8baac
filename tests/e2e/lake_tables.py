"""Delta tables with every type and mode, as ematix writes them, and the rows that any reader has to find in them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

import ematix_core as ematix

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.backends.delta.conftest import Lake

Rows = list[dict[str, Any]]

_PLACE = pa.struct([pa.field("city", pa.string()), pa.field("zip code", pa.int32())])
_STOP = pa.struct([pa.field("at", pa.timestamp("us", "UTC")), pa.field("fee", pa.decimal128(9, 3))])
_COLUMNS: dict[str, pa.DataType] = {
    "id": pa.int64(), "tiny": pa.int8(), "small": pa.int16(), "whole": pa.int32(), "single": pa.float32(),
    "double": pa.float64(), "flag": pa.bool_(), "label": pa.string(), "raw": pa.binary(), "day": pa.date32(),
    "moment": pa.timestamp("us"), "instant": pa.timestamp("us", "UTC"), "price": pa.decimal128(12, 2),
    "huge": pa.decimal128(38, 10), "tags": pa.list_(pa.string()), "place": _PLACE, "stops": pa.list_(_STOP),
    "scores": pa.map_(pa.string(), pa.int64()),
}  # fmt: skip
TYPES = pa.schema(_COLUMNS)
FULL: dict[str, Any] = {
    "id": 1, "tiny": -128, "small": 32767, "whole": -2147483648, "single": 0.5, "double": 1e300, "flag": True,
    "label": "Zoë, 'quoted' \"twice\" \\ \n 漢字", "raw": b"\x00\xff", "day": date(1969, 12, 31),
    "moment": datetime(2026, 3, 29, 2, 30, 0, 123456),  # noqa: DTZ001 - a time without zone
    "instant": datetime(1900, 1, 1, 0, 0, 0, 1, tzinfo=UTC), "price": Decimal("-9999999999.99"),
    "huge": Decimal("1234567890123456789012345678.0123456789"), "tags": ["a", None, ""],
    "place": {"city": None, "zip code": 1}, "stops": [{"at": datetime(2026, 1, 1, tzinfo=UTC), "fee": None}, None],
    "scores": [("x", 1), ("y", None)],
}  # fmt: skip
NOTHING: dict[str, Any] = {**dict.fromkeys(TYPES.names), "id": 2}
EMPTY: dict[str, Any] = {**FULL, "id": 3, "label": "", "raw": b"", "tags": [], "place": None, "stops": [], "scores": []}
VARIED = [FULL, NOTHING, EMPTY]


def varied(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), TYPES)


def appended(lake: Lake) -> Rows:
    lake.load(varied(FULL))
    lake.load(varied(NOTHING, EMPTY))
    return VARIED


def truncated(lake: Lake) -> Rows:
    lake.load(varied(*VARIED))
    lake.load(varied(NOTHING, {**FULL, "id": 7}), mode="truncate")
    return [NOTHING, {**FULL, "id": 7}]


def merged(lake: Lake) -> Rows:
    mode = ematix.merge(keys=["id"], deletes="delete")
    lake.load(varied(*VARIED), mode=mode)
    result = lake.load(varied(NOTHING, {**EMPTY, "price": Decimal("1.00")}, {**FULL, "id": 9}), mode=mode)
    assert (result.inserted, result.updated, result.unchanged, result.deleted) == (1, 1, 1, 1)
    return [NOTHING, {**EMPTY, "price": Decimal("1.00")}, {**FULL, "id": 9}]


def with_history(lake: Lake) -> Rows:
    mode = ematix.scd2(keys=["id"], compare=["label"], event_time="at")
    first, second = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    lake.load(pa.table({"id": [1, 2], "label": ["a", None], "at": [first] * 2}), mode=mode)
    lake.load(pa.table({"id": [1], "label": ["b"], "at": [second]}), mode=mode)
    found = lake.read("SELECT * FROM orders")
    shown = [(row["id"], row["label"], row["valid_from"], row["valid_to"], row["is_current"]) for row in found]
    assert sorted(shown, key=repr) == [
        (1, "a", first, second, False), (1, "b", second, None, True), (2, None, first, None, True),
    ]  # fmt: skip
    return found


def partitioned(lake: Lake) -> Rows:
    rows: Rows = [
        {"id": number, "region": region, "day": day}
        for number, (region, day) in enumerate(
            [("north east", date(2026, 1, 1)), ("ü/=&?#+", None), (None, date(1969, 12, 31)), (None, None)]
        )
    ]
    columns: dict[str, pa.DataType] = {"id": pa.int64(), "region": pa.string(), "day": pa.date32()}
    for number in range(2):
        loaded = [{**row, "id": row["id"] + 10 * number} for row in rows]
        options = {"partition_by": ["region", "day"]}
        lake.load(pa.Table.from_pylist(loaded, pa.schema(columns)), options=options)
    return [{**row, "id": row["id"] + 10 * number} for number in range(2) for row in rows]


def evolved(lake: Lake) -> Rows:
    lake.load(pa.table({"id": pa.array([1], pa.int32()), "price": pa.array([Decimal("1.10")], pa.decimal128(5, 2))}))
    price: pa.Array[Any] = pa.array([Decimal("12345.1234")], pa.decimal128(12, 4))
    wider: dict[str, Any] = {"id": pa.array([2**40], pa.int64()), "price": price}
    lake.load(pa.table(wider), on_drift="evolve")
    lake.load(pa.table({**wider, "at": pa.array([None], pa.timestamp("us")), "note": ["x"]}), on_drift="evolve")
    last = {"id": 2**40, "price": Decimal("12345.1234")}
    return [
        {"id": 1, "price": Decimal("1.1000"), "at": None, "note": None},
        {**last, "at": None, "note": None},
        {**last, "at": None, "note": "x"},
    ]


def loaded_on(lake: Lake, rows: Rows) -> None:
    """Merge a row more into the table `orders`, which others wrote, and see that they find it there."""
    schema: Any = lake.table().schema().to_arrow()
    before, more = lake.table().version(), {**rows[0], "id": 77}
    result = lake.load(pa.Table.from_pylist([more], pa.schema(schema)), mode=ematix.merge(keys=["id"]))
    assert (result.inserted, lake.table().version()) == (1, before + 1)
    assert ordered(lake.rows()) == ordered([*rows, more])


def ordered(rows: Rows) -> Rows:
    return sorted(rows, key=repr)


WRITTEN: dict[str, Callable[[Lake], Rows]] = {
    "append": appended,
    "truncate": truncated,
    "merge": merged,
    "scd2": with_history,
    "partitions": partitioned,
    "evolved": evolved,
}
