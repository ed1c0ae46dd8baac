"""What a stream says of its messages."""

from __future__ import annotations

from typing import Any

import pytest

from ematix_core import types
from ematix_core.errors import DeclarationError
from ematix_core.model.format import Format
from ematix_core.model.table import Column, table


@table
class Orders:
    id: types.BigInt


def test_a_table_gives_its_columns() -> None:
    assert Format(columns=Orders).declared == (Column("id", types.BigInt, nullable=False),)
    assert hash(Format(columns=[Column("id", types.BigInt)])) == hash(Format(columns=(Column("id", types.BigInt),)))


def test_the_wire_format_follows_the_registry_and_the_subject_the_topic() -> None:
    with_registry = Format("avro", registry="schemas")
    assert (with_registry.wire, with_registry.registry_name, with_registry.subject_of("orders")) == (
        "confluent",
        "schemas",
        "orders-value",
    )
    assert Format("avro", writer='"string"').wire == "none"
    assert Format("avro", registry="schemas", subject="s").subject_of("orders") == "s"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "jsn"}, "unknown format 'jsn'.*\n?Did you mean 'json'"),
        ({"name": "avro", "registry": "r", "wire": "confluence"}, "Did you mean 'confluent'"),
        ({"name": "avro"}, "there is no schema"),
        ({"name": "json", "registry": "r"}, "registry= is for avro and protobuf"),
        ({"name": "json", "wire": "confluent"}, "wire='confluent' is for avro and protobuf"),
        ({"name": "raw", "columns": Orders}, "raw messages have one column"),
        ({"name": "avro", "writer": "{}", "message": "M"}, "message= names a Protobuf message"),
    ],
)
def test_what_contradicts_itself_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        Format(**settings)
