"""What `flow connections check` asks of systems that no job reads from: brokers, and registries of schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import ematix_core as ematix
from ematix_core.engine import check_connection
from ematix_core.errors import AccessError, ConnectError
from tests.servers.reach import url

if TYPE_CHECKING:
    from ematix_core.model.connection import Connection, SchemaRegistryConnection
    from tests.servers.kafka import KafkaCluster


def test_a_cluster_tells_how_many_topics_it_has(kafka: KafkaCluster) -> None:
    kafka.topic()
    name, answer = check_connection(ematix.KafkaConnection("events", url=url("kafka"))).split(", ")
    assert name == "Kafka"
    assert int(answer.removesuffix(" topics").replace(",", "")) >= 1


def test_a_registry_tells_how_many_subjects_it_has(registry: SchemaRegistryConnection) -> None:
    assert check_connection(registry).startswith("schema registry, ")


@pytest.mark.parametrize(
    ("connection", "message"),
    [
        (
            ematix.KafkaConnection("gone", url="kafka://127.0.0.1:1", options={"timeout": 1}),
            "no broker answered for 1 s",
        ),
        (ematix.SchemaRegistryConnection("gone", url="http://127.0.0.1:1"), "the schema registry does not answer"),
    ],
)
def test_what_does_not_answer_is_named(connection: Connection, message: str) -> None:
    with pytest.raises(ConnectError, match=message) as caught:
        check_connection(connection)
    assert "127.0.0.1:1" in caught.value.where


def test_a_user_that_is_refused_is_told_so_without_the_password(kafka: KafkaCluster) -> None:
    plain = kafka.user("plain")
    wrong = ematix.KafkaConnection(
        "events", bootstrap=plain.bootstrap, security="sasl_plaintext", mechanism="PLAIN", username=plain.user,
        password="hunter3",  # noqa: S106 - it is wrong on purpose
    )  # fmt: skip
    with pytest.raises(AccessError) as caught:
        check_connection(wrong)
    assert "hunter3" not in str(caught.value)
