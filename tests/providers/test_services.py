"""Airflow's connections to stores and brokers as ours, against the real servers where there are any."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from airflow.sdk import Connection
from ematix_provider.connections import as_ours

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.backends.stream_protocols import PollLimits, StreamQuery
from ematix_core.config.secrets import resolve_connection
from ematix_core.errors import ConfigError, UnsupportedError

if TYPE_CHECKING:
    from tests.servers.kafka import KafkaCluster
    from tools.servers.bucket import Bucket


def ours(**fields: Any) -> ematix.Connection:  # noqa: ANN401 - a connection's fields
    extra = fields.pop("extra", {})
    return as_ours("it", Connection(conn_id="it", **fields, extra=json.dumps(extra)))


@pytest.mark.parametrize("form", ["parquet", "delta"])
def test_a_bucket_is_read_and_written_with_the_keys_of_aws(s3: Bucket, form: str) -> None:
    extra = {"region_name": s3.region, "endpoint_url": s3.endpoint, "path": s3.s3_url, "format": form}
    made = ours(conn_type="aws", login=s3.key, password=s3.secret, extra=extra)

    @ematix.job(target="orders", target_connection=made)
    def orders() -> pa.Table:
        return pa.table({"id": [1, 2]})

    assert orders.run().targets[0].inserted == 2
    source = registry.source(resolve_connection(made))
    assert source.read(Query(table="orders")).read_all().column("id").to_pylist() == [1, 2]
    source.close()


def test_a_bucket_may_stand_where_airflow_has_it_for_its_own_hook() -> None:
    extra = {
        "service_config": {"s3": {"bucket_name": "lake", "endpoint_url": "http://minio:9000"}},
        "session_kwargs": {"profile_name": "etl"}, "ematix": {"retry_seconds": 5},
    }  # fmt: skip
    made = ours(conn_type="aws", extra=extra)
    assert made.settings()["path"] == "s3://lake"
    assert made.options == {"endpoint": "http://minio:9000", "profile": "etl", "retry_seconds": 5}


@pytest.mark.parametrize(
    ("extra", "options"),
    [
        ({"key_path": "/keys/etl.json"}, {"service_account": "/keys/etl.json"}),
        ({"keyfile_dict": {"type": "service_account"}}, {"service_account_key": '{"type": "service_account"}'}),
        ({"extra__google_cloud_platform__key_path": "/k"}, {"service_account": "/k"}),
        ({}, {}),
    ],
)
def test_a_bucket_of_google_has_the_key_of_the_extra(extra: dict[str, Any], options: dict[str, str]) -> None:
    made = ours(conn_type="google_cloud_platform", extra={**extra, "path": "gs://lake/x", "format": "csv"})
    assert (made.kind, made.settings()["path"], made.settings()["format"]) == ("objects", "gs://lake/x", "csv")
    assert made.options == options


@pytest.mark.parametrize("kind", ["aws", "google_cloud_platform"])
def test_a_connection_that_names_no_place_is_told_how(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"not where the data is(.|\n)*bucket/prefix"):
        ours(conn_type=kind, login="key")


@pytest.mark.parametrize(
    ("kind", "login"),
    [("aws", {"role_arn": "arn:aws:iam::1:role/x"}), ("google_cloud_platform", {"key_secret_name": "k"})],
)
def test_a_login_that_ematix_does_not_have_is_refused_by_name(kind: str, login: dict[str, str]) -> None:
    with pytest.raises(UnsupportedError, match=next(iter(login))):
        ours(conn_type=kind, extra=login)


@pytest.mark.parametrize("role", ["plain", "scram512_tls", "mutual"])
def test_a_cluster_is_reached_by_the_settings_of_the_extra(kafka: KafkaCluster, role: str) -> None:
    topic = kafka.topic("airflow")
    kafka.produce(topic, [("k", "v")])
    extra = {**kafka.user(role).config, "group.id": "theirs", "auto.offset.reset": "latest", "ematix": {"timeout": 5}}
    made = resolve_connection(ours(conn_type="kafka", extra=extra))
    source = registry.stream_source(made, StreamQuery(topic))
    polled = source.poll(PollLimits(seconds=10))
    source.close()
    assert polled is not None
    assert polled.rows.column("value").to_pylist() == [b"v"]


def test_a_cluster_needs_a_broker() -> None:
    with pytest.raises(ConfigError, match=r"names no broker(.|\n)*bootstrap\.servers"):
        ours(conn_type="kafka", extra={"security.protocol": "PLAINTEXT"})


def test_no_secret_is_shown_and_none_is_a_reference() -> None:
    literal = "${swordfish}"
    brokers = {"bootstrap.servers": "b:9092", "sasl.username": "u", "sasl.password": literal}
    cluster = ours(conn_type="kafka", extra=brokers)
    store = ours(conn_type="aws", login="k", password=literal, extra={"path": "s3://lake"})
    assert "swordfish" not in f"{cluster!r}{store!r}"
    assert resolve_connection(cluster).settings()["password"] == literal
    assert resolve_connection(store).options["secret_access_key"] == literal
