"""Debezium's events as rows of changes: as the connectors wrote them, and as they should not be."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pyarrow as pa
import pytest

from ematix_core import types
from ematix_core.codecs import Format, decoder
from ematix_core.codecs.registered import Registered
from ematix_core.errors import DeclarationError
from ematix_core.model.table import Column
from tests.unit.codecs.debezium import event, recorded, recorded_avro, written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.codecs.protocols import Decoded

ANNA = {
    "id": 1, "customer": "Anna", "total": Decimal("12.50"), "placed": date(2026, 2, 3), "ratio": 2.5, "small": -7,
    "at": datetime(2026, 2, 3, 4, 5, 6, 123456),  # noqa: DTZ001 - the source's column has no time zone
    "at_ms": datetime(2026, 2, 3, 4, 5, 6, 123000),  # noqa: DTZ001 - as above
    "noon": time(12, 34, 56, 789012), "doc": '{"a": [1, 2]}', "raw": b"\x00\xff\x10", "note": None,
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "postgres": {
        "any_digits": "1234.5678", "zoned": datetime(2026, 2, 3, 3, 5, 6, 123456, UTC), "ok": True, "tags": ["x", "y"],
        "ref": UUID("c9a646d3-9c61-4073-8946-f94d93d3b762"),
    },
    "mysql": {
        "any_digits": Decimal("1234.5678"), "zoned": datetime(2026, 2, 3, 4, 5, 6, 123456, UTC), "ok": 1, "kind": "b",
        "big": -1,  # of 64 bits without sign, as Debezium writes it by default
    },
}  # fmt: skip
LOG = [
    ("snapshot", 1, "Anna"), ("snapshot", 2, "Böll"), ("insert", 3, "Carl"), ("update", 1, "Anne"),
    ("delete", 2, "Böll"), ("insert", 20, "Böll"), ("delete", 3, "Carl"), ("update", 1, "Anne"), ("insert", 4, "Null"),
]  # fmt: skip
COLUMNS = (Column("id", types.BigInt, nullable=False), Column("total", types.Numeric[10, 2]))


def read(messages: Sequence[bytes], **options: Any) -> Decoded:  # noqa: ANN401 - those of Format
    """Decode messages of JSON."""
    made = decoder(Format("json", envelope="debezium", **options), topic="t")
    return made.decode(pa.array(messages, pa.binary()))


def log_of(decoded: Decoded) -> list[tuple[Any, ...]]:
    return [(row["_op"], row["id"], row["customer"]) for row in decoded.rows.to_pylist()]


class Schemas:
    """A registry that has some schemas by their number; the real one is in tests/servers."""

    wires = frozenset({"confluent"})
    where = "here"

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts

    def schema(self, number: int, wire: str) -> Registered:
        del wire
        return Registered(number, self._texts[number])


def read_avro(kind: str) -> Decoded:
    schemas, messages = recorded_avro(kind)
    registry: Any = Schemas(schemas)
    made = decoder(Format("avro", envelope="debezium", registry="schemas"), topic="t", registry=registry)
    return made.decode(pa.array([b"\0" + number.to_bytes(4, "big") + body for number, body in messages], pa.binary()))


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_events_with_their_schema_have_the_source_s_types(kind: str) -> None:
    found = read(recorded(f"{kind}.schema"))
    assert log_of(found) == LOG
    rows = found.rows.to_pylist()
    assert {name: rows[0][name] for name in (*ANNA, *OWN[kind])} == {**ANNA, **OWN[kind]}
    assert [row["_deleted"] for row in rows] == [op == "delete" for op, _, _ in LOG]
    assert rows[7]["note"] == "new"
    assert {name for name, value in rows[8].items() if value is not None} == {
        "id", "customer", "_op", "_deleted", "_event_ts", "_source_order",
    }  # fmt: skip
    assert [(one.row, one.error[:32]) for one in found.bad] == [(9, "the source's table was truncated")]


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_avro_gives_the_very_rows_that_json_with_a_schema_gives(kind: str) -> None:
    avro, with_schema = read_avro(kind), read(recorded(f"{kind}.schema"))
    assert avro.rows.schema == with_schema.rows.schema
    assert avro.rows.to_pylist() == with_schema.rows.to_pylist()
    assert avro.bad == with_schema.bad


def test_events_without_a_schema_have_the_declared_types() -> None:
    with_schema = read(recorded("postgres.schema"))
    kinds = {field.name: types.from_field(field) for field in with_schema.rows.schema if field.name[0] != "_"}
    del kinds["any_digits"], kinds["tags"]
    found = read(recorded("postgres.plain"), columns=[Column(name, kind) for name, kind in kinds.items()])
    assert found.rows.to_pylist() == with_schema.rows.drop_columns(["any_digits", "tags"]).to_pylist()


def test_events_without_a_schema_and_declared_columns_are_as_they_stand() -> None:
    found = read(recorded("postgres.plain"))
    assert log_of(found) == LOG
    first = found.rows.to_pylist()[0]
    assert (first["placed"], first["total"], first["any_digits"]) == (20487, "BOI=", {"scale": 4, "value": "ALxhTg=="})


def test_events_without_a_schema_go_by_the_types_of_the_target() -> None:
    reading = decoder(Format("json", envelope="debezium"), topic="t")
    wanted = {"id": types.Integer, "price": types.Numeric[8, 2], "tags": types.JSON, "total": types.Numeric[8, 2]}
    reading.go_by(lambda name, found: wanted.get(name) or found)  # type: ignore[attr-defined] # not of every decoder
    rows = [{"id": 1, "price": 1.5, "tags": "a"}, {"id": 2, "price": 2, "tags": "b", "total": "1234"}]
    events = [event("c", None, rows[0]), event("u", rows[0], rows[1]), event("d", {"id": 3_000_000_000}, None)]
    reading.decode(pa.array([written(events[0])], pa.binary()))
    done = reading.decode(pa.array([written(value) for value in events[1:]], pa.binary()))
    assert [one.row for one in done.bad] == [1]
    assert done.rows.select(["id", "price", "tags", "total"]).to_pylist() == [rows[1] | {"price": Decimal(2)}]
    assert done.rows.schema.field("id").type == pa.int32()


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_the_source_s_order_is_that_of_the_log(kind: str) -> None:
    rows = read(recorded(f"{kind}.schema")).rows.to_pylist()
    orders = [row["_source_order"] for row in rows]
    assert orders == sorted(orders)
    assert len({(row["id"], row["_source_order"]) for row in rows}) == len(rows)
    times = [row["_event_ts"] for row in rows]
    assert times == sorted(times)


def test_binlog_files_are_ordered_by_number() -> None:
    places = [("bin.999999", 4, 0), ("bin.1000000", 4, 0), ("bin.1000000", 40, 0), ("bin.1000000", 40, 11)]
    made = [event("c", None, {"id": 1}, lsn=None, file=file, pos=pos, row=row) for file, pos, row in places]
    orders: list[Any] = read([written(one) for one in made]).rows.column("_source_order").to_pylist()
    assert orders == sorted(orders)
    assert len(set(orders)) == len(places)


def test_sql_server_and_oracle_have_an_order_too() -> None:
    lsn = {"lsn": None, "commit_lsn": "00000027:00000ac0:0007", "change_lsn": "00000027:00000ac0:0003"}
    made = [event("c", None, {"id": 1}, **lsn, event_serial_no=2), event("c", None, {"id": 1}, lsn=None, scn="1513734")]
    assert read([written(one) for one in made], columns=COLUMNS).rows.column("_source_order").to_pylist() == [
        "00000027:00000ac0:0007/00000027:00000ac0:0003/00000000000000000002", "00000000000001513734",
    ]  # fmt: skip


def test_the_time_is_as_exact_as_the_source_says() -> None:
    made = [
        event("c", None, {"id": 1}, ts_ms=1, ts_us=1234), event("c", None, {"id": 1}, ts_ms=2),
        event("c", None, {"id": 1}, ts_ms=None),
    ]  # fmt: skip
    times = read([written(one) for one in made], columns=COLUMNS).rows.column("_event_ts")
    assert times.cast(pa.int64()).to_pylist() == [1234, 2000, 5000]


def test_messages_may_have_their_schema_or_not_and_blanks_and_another_order() -> None:
    first = json.loads(recorded("postgres.schema")[0])
    messages = [
        written(first), written(first["payload"]), json.dumps(first, indent=1).encode(),
        written({"payload": first["payload"], "schema": first["schema"]}),
    ]  # fmt: skip
    found = read(messages, columns=COLUMNS)
    assert found.bad == ()
    assert [(row["id"], row["total"]) for row in found.rows.to_pylist()] == [(1, Decimal("12.50"))] * 4


def test_decimals_stand_as_the_connector_was_told() -> None:
    for mode, total in (("precise", "BOI="), ("string", "12.50"), ("double", 12.5)):
        found = read([written(event("c", None, {"id": 1, "total": total}))], columns=COLUMNS, decimals=mode)
        assert found.rows.column("total").to_pylist() == [Decimal("12.50")], mode
    wrong = read([written(event("c", None, {"id": 1, "total": "12.50"}))], columns=COLUMNS)
    assert 'decimals="string"' in wrong.bad[0].error


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (event("d", None, None), "the event does not say which"),
        (event("u", {"id": 1}, None), "the event has op 'u', and no row"),
        (event("m", None, None), "no change of a row: op 'm'"),
        ({"id": 1}, "no change event of Debezium"),
        (event("c", None, {"id": None}), "field 'id' is missing or null"),
        (event("c", None, {"id": "one"}), "does not fit"),
        (event("u", None, {"id": 1, "note": "__debezium_unavailable_value"}), "REPLICA IDENTITY FULL"),
        ({"schema": {"type": "string"}, "payload": {}}, "its schema is not that of a change event"),
        ({"schema": {"type": "struct", "fields": []}, "payload": {}}, "its schema is not that of a change event"),
    ],
)  # fmt: skip
def test_what_is_no_change_of_a_row_is_told_and_the_rest_is_read(value: object, error: str) -> None:
    good = written(event("c", None, {"id": 1, "note": "x"}))
    columns = (*COLUMNS, Column("note", types.Text))
    found = read([good, written(value), good, b"{broken"], columns=columns)
    assert [one.row for one in found.bad] == [1, 3]
    assert error in found.bad[0].error
    assert found.rows.num_rows == 2


def test_half_of_a_surrogate_pair_makes_its_event_alone_bad() -> None:
    good = json.loads(recorded("postgres.schema")[0])
    name = json.loads(json.dumps(good))
    name["schema"]["fields"][0]["fields"][1]["field"] = "\ud800"
    name["schema"]["fields"][1]["fields"][1]["field"] = "\ud800"
    value = json.loads(json.dumps(good))
    text = next(field for field, inner in good["payload"]["after"].items() if isinstance(inner, str))
    value["payload"]["after"][text] = "\ud800"
    turned = {"payload": value["payload"], "schema": value["schema"]}
    found = read([json.dumps(one, separators=(",", ":")).encode() for one in (good, name, value, turned)])
    assert found.rows.num_rows == 1
    assert [one.row for one in found.bad] == [1, 2, 3]


def test_a_deleted_row_needs_no_more_than_its_key() -> None:
    columns = (Column("id", types.BigInt, nullable=False), Column("name", types.Text, nullable=False))
    found = read([written(event("d", {"id": 1}, None)), written(event("c", None, {"id": 1}))], columns=columns)
    assert [(row["id"], row["name"], row["_op"]) for row in found.rows.to_pylist()] == [(1, None, "delete")]
    assert "field 'name' is missing or null" in found.bad[0].error


def test_no_messages_are_no_rows() -> None:
    assert read([]).rows.schema.names == ["_op", "_deleted", "_event_ts", "_source_order"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "raw", "envelope": "debezium"}, "are for change events in JSON or Avro"),
        ({"envelope": "maxwell"}, "unknown envelope 'maxwell'"),
        ({"envelope": "debezium", "decimals": "float"}, "unknown decimals 'float'"),
        ({"decimals": "string"}, "are for change events in JSON or Avro"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        Format(**options)  # type: ignore[arg-type]  # options of several types
