"""The Kafka of `make servers`: who gets in, what a transaction shows, and what a killed broker keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaException, Producer

from tests.servers.reach import other_ca
from tools.servers.broker import Broker

if TYPE_CHECKING:
    from tests.servers.kafka import KafkaCluster, OwnKafka

ROLES = ("plain", "scram256", "scram512", "plain_tls", "scram256_tls", "scram512_tls", "tls", "mutual")


@pytest.mark.parametrize("role", ROLES)
def test_each_way_in_leads_to_the_same_topics(kafka: KafkaCluster, role: str) -> None:
    topic = kafka.topic("ways")
    producer = Producer(kafka.user(role).config)
    producer.produce(topic, value=role.encode())
    assert producer.flush(30) == 0
    assert [message.value() for message in kafka.consume(topic, 1)] == [role.encode()]


@pytest.mark.parametrize("role", ["plain", "scram256", "scram512_tls"])
def test_a_wrong_password_gets_nobody_in(kafka: KafkaCluster, role: str) -> None:
    with pytest.raises(KafkaException):
        replace(kafka.user(role), password="wrong").ask()  # noqa: S106 - it is to be refused


def test_the_authority_and_the_certificate_of_the_client_are_checked(kafka: KafkaCluster) -> None:
    with pytest.raises(KafkaException):
        replace(kafka.user("tls"), ca=str(other_ca())).ask()
    with pytest.raises(KafkaException):
        replace(kafka.user("mutual"), certificate="", key="").ask()


def test_a_user_without_rights_sees_no_topic(kafka: KafkaCluster) -> None:
    topic = kafka.topic("secret")
    errors: list[object] = []
    producer = Producer(kafka.user("unprivileged").config)
    producer.produce(topic, value=b"x", on_delivery=lambda error, _: errors.append(error and error.name()))
    producer.flush(30)
    assert errors == ["TOPIC_AUTHORIZATION_FAILED"]


def test_what_was_aborted_is_seen_by_read_uncommitted_only(kafka: KafkaCluster) -> None:
    topic = kafka.topic("transactions")
    kafka.produce(topic, [(b"k", b"kept", [("h", b"1")])], transaction="commit")
    kafka.produce(topic, [(b"k", b"gone")], transaction="abort")
    (kept,) = kafka.consume(topic, 9)
    assert (kept.key(), kept.value(), kept.headers()) == (b"k", b"kept", [("h", b"1")])
    assert [one.value() for one in kafka.consume(topic, 9, isolation="read_uncommitted")] == [b"kept", b"gone"]


def test_a_topic_has_the_partitions_and_settings_that_were_asked_for(kafka: KafkaCluster) -> None:
    topic = kafka.topic("parts", partitions=3, cleanup_policy="compact")
    kafka.produce(topic, [(b"k", b"x")], partition=2)
    assert [message.partition() for message in kafka.consume(topic, 9)] == [2]


def test_a_killed_broker_comes_back_with_its_data_and_port(own_kafka: OwnKafka) -> None:
    topic = own_kafka.topic("kept")
    own_kafka.produce(topic, [(b"k", str(number).encode()) for number in range(1000)], transaction="commit")
    own_kafka.server.kill()
    with pytest.raises(KafkaException):
        Broker.from_url(own_kafka.url).ask()
    own_kafka.server.start()
    assert own_kafka.server.url == own_kafka.url
    assert [message.value() for message in own_kafka.consume(topic, 1000)] == [str(n).encode() for n in range(1000)]
