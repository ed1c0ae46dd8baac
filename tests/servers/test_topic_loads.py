"""Loads of jobs into topics are known to the cluster: repeated ones are found, replaced ones are shut out."""

from __future__ import annotations

import secrets
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.kafka.writing import KafkaTarget
from ematix_core.backends.protocols import LoadRecord
from ematix_core.errors import ConflictError, UnsupportedError
from ematix_core.model.table import TableName, columns_from

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.backends.kafka.session import KafkaSession
    from ematix_core.model.connection import Connection
    from tests.servers.kafka import KafkaCluster

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def topic(kafka: KafkaCluster) -> str:
    return kafka.topic("loads")


@pytest.fixture
def events(kafka: KafkaCluster) -> Connection:
    return ematix.KafkaConnection("events", url=kafka.url)


def writer(events: Connection, scope: str) -> KafkaTarget:
    made = registry.target(events)
    assert isinstance(made, KafkaTarget)
    made.take_scope(scope)
    return made


def test_a_job_that_makes_its_rows_needs_no_source_beside_the_topic(
    kafka: KafkaCluster, topic: str, events: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    @ematix.job(target=topic, target_connection=events)
    def made() -> pa.Table:
        return pa.table({"id": [1, 2]})

    assert made.run().inserted == 2
    assert [message.value() for message in kafka.consume(topic, 2)] == [b'{"id":1}', b'{"id":2}']

    @ematix.job(target=topic, target_connection=events)
    def asked() -> str:
        return "SELECT 1 AS id"

    with pytest.raises(UnsupportedError, match="cannot be read by a job"):
        asked.plan()


def load(session: KafkaSession, topic: str, scope: str, load_id: str) -> None:
    rows = pa.table({"id": [1]})
    session.columns(TableName.parse(topic))
    assert session.find_load(scope, load_id) is None
    session.load(TableName.parse(topic), columns_from(rows.schema), rows.to_reader())
    session.record_load(LoadRecord(scope, load_id, AT, None, {"rows_read": 1, "inserted": 1, "updated": 0}), ())


def abandon(target: KafkaTarget, topic: str, scope: str, load_id: str) -> None:
    """Load, and fail before the commit."""
    with target.session() as session:
        load(session, topic, scope, load_id)
        raise ZeroDivisionError


def test_a_load_is_known_once_it_is_committed_and_not_before(
    kafka: KafkaCluster, topic: str, events: Connection
) -> None:
    scope = f"job:{topic}"
    with closing(writer(events, scope)) as target:
        with pytest.raises(ZeroDivisionError):
            abandon(target, topic, scope, "one")
        with target.session() as session:
            load(session, topic, scope, "one")
        with target.inspect() as session:
            session.columns(TableName.parse(topic))
            assert session.find_load(scope, "one") == LoadRecord(
                scope, "one", AT, None, {"rows_read": 1, "inserted": 1}
            )
            assert session.find_load(f"{scope}2", "one") is None
    assert len(kafka.consume(topic, 10)) == 1


def test_a_load_that_was_replaced_while_it_was_paused_is_shut_out(
    kafka: KafkaCluster, topic: str, events: Connection
) -> None:
    scope = f"job:{topic}"
    with closing(writer(events, scope)) as zombie, closing(writer(events, scope)) as target:
        paused = zombie.session()
        load(paused.__enter__(), topic, scope, "one")
        with target.session() as session:
            load(session, topic, scope, "one")
        with pytest.raises(ConflictError):
            paused.__exit__(None, None, None)
        with zombie.session() as again:
            again.columns(TableName.parse(topic))
            assert again.find_load(scope, "one") is not None
    assert len(kafka.consume(topic, 10)) == 1


def test_the_latest_loads_are_kept_as_many_as_a_note_holds(topic: str, events: Connection) -> None:
    scope, names = f"job:{topic}", [secrets.token_hex(250) for _ in range(10)]
    with closing(writer(events, scope)) as target:
        for name in names:
            with target.session() as session:
                load(session, topic, scope, name)
        with target.inspect() as session:
            session.columns(TableName.parse(topic))
            known = [name for name in names if session.find_load(scope, name) is not None]
    assert known == names[-7:]


def test_a_transactional_id_that_was_given_is_kept(kafka: KafkaCluster) -> None:
    named = ematix.KafkaConnection("events", url=kafka.url, options={"transactional_id": "mine"})
    assert writer(named, "job:topic").transactional_id == "mine"
