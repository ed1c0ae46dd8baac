"""Airflow's connections to object stores and brokers as ours, see `connections`.

https://airflow.apache.org/docs/apache-airflow-providers-amazon/stable/connections/aws.html
https://airflow.apache.org/docs/apache-airflow-providers-google/stable/connections/gcp.html
https://airflow.apache.org/docs/apache-airflow-providers-apache-kafka/stable/connections/kafka.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import ematix_core as ematix
from ematix_core.errors import ConfigError, UnsupportedError
from ematix_provider.literals import literal, options_of

if TYPE_CHECKING:
    from airflow.sdk import Connection as AirflowConnection

_AWS = {"region_name": "region", "endpoint_url": "endpoint", "aws_session_token": "session_token"}
# By which the hook fetches keys of short life; and what says nothing about where the data is.
_ROLES = ("role_arn", "federation", "assume_role_with_web_identity")
_GOOGLE_LOGINS = ("key_secret_name", "credential_config_file", "impersonation_chain", "is_anonymous")
_GOOGLE_PREFIX = "extra__google_cloud_platform__"
_KAFKA = {
    "bootstrap.servers": "bootstrap", "security.protocol": "security", "sasl.mechanism": "mechanism",
    "sasl.mechanisms": "mechanism", "sasl.username": "username", "sasl.password": "password", "ssl.ca.location": "ca",
    "ssl.certificate.location": "certificate", "ssl.key.location": "key", "ssl.key.password": "key_password",
}  # fmt: skip
_OF_CONSUMERS = frozenset({"group.id", "auto.offset.reset", "enable.auto.commit", "error_cb"})
"""What Airflow's own hooks read for consumers of theirs: a stream or a message source says it for ours."""


def aws(name: str, found: AirflowConnection) -> ematix.Connection:
    """Return the bucket of a connection of type `aws`."""
    extra = dict(found.extra_dejson)
    _refuse(name, extra, _ROLES, 'Give it keys, or a profile that assumes the role: {"profile_name": "etl"}.')
    options = {ours: literal(str(extra[theirs])) for theirs, ours in _AWS.items() if extra.get(theirs)}
    session = extra.get("session_kwargs") or {}
    if profile := extra.get("profile_name") or session.get("profile_name"):
        options["profile"] = literal(str(profile))
    keys = (
        found.login or extra.get("aws_access_key_id"), found.password or extra.get("aws_secret_access_key")
    )  # fmt: skip
    for ours, key in zip(("access_key_id", "secret_access_key"), keys, strict=True):
        if key:
            options[ours] = literal(str(key))
    service = (extra.get("service_config") or {}).get("s3") or {}
    if service.get("endpoint_url"):
        options["endpoint"] = literal(str(service["endpoint_url"]))
    bucket = service.get("bucket_name")
    return _store(name, extra, "s3", f"s3://{bucket}" if bucket else "", options)


def google(name: str, found: AirflowConnection) -> ematix.Connection:
    """Return the bucket of a connection of type `google_cloud_platform`."""
    extra = {key.removeprefix(_GOOGLE_PREFIX): value for key, value in found.extra_dejson.items()}
    _refuse(name, extra, _GOOGLE_LOGINS, "Give it a key file (key_path) or its content (keyfile_dict).")
    options = {}
    if extra.get("key_path"):
        options["service_account"] = literal(str(extra["key_path"]))
    if key := extra.get("keyfile_dict"):
        options["service_account_key"] = literal(key if isinstance(key, str) else json.dumps(key))
    return _store(name, extra, "gs", "", options)


def kafka(name: str, found: AirflowConnection) -> ematix.Connection:
    """Return the cluster of a connection of type `kafka`, whose extra is the settings of librdkafka."""
    extra = {key: value for key, value in found.extra_dejson.items() if key not in _OF_CONSUMERS and value is not None}
    options = options_of(name, extra)
    settings: dict[str, str] = {}
    for key, value in extra.items():
        if key in _KAFKA:
            settings[_KAFKA[key]] = literal(str(value))
        else:
            options[key] = literal(value) if isinstance(value, str) else value
    if not settings.get("bootstrap"):
        raise ConfigError(
            f"Airflow's connection {name!r} names no broker", where=f"connection {name}",
            hint='Write it into the extra: {"bootstrap.servers": "host:9092"}.',
        )  # fmt: skip
    if settings.get("security"):
        settings["security"] = settings["security"].lower()
    return ematix.KafkaConnection(name, options=options, **settings)


def _store(name: str, extra: dict[str, Any], scheme: str, bucket: str, options: dict[str, str]) -> ematix.Connection:
    """Return the files, or with the format `delta` the tables, below `path` in the extra, else in the bucket."""
    path = literal(str(extra.get("path") or bucket))
    if not path.startswith(f"{scheme}://"):
        raise ConfigError(
            f"Airflow's connection {name!r} says who may read, and not where the data is", where=f"connection {name}",
            hint=f'Write the place into the extra: {{"path": "{scheme}://bucket/prefix", "format": "parquet"}}.',
        )  # fmt: skip
    given = {**options, **options_of(name, extra)}
    if extra.get("format") == "delta":
        return ematix.DeltaConnection(name, path=path, options=given)
    own = {"format": str(extra["format"])} if extra.get("format") else {}
    return ematix.ObjectStoreConnection(name, path=path, options=given, **own)


def _refuse(name: str, extra: dict[str, Any], logins: tuple[str, ...], hint: str) -> None:
    for key in logins:
        if extra.get(key) not in {None, False, "", "false", "False"}:
            raise UnsupportedError(
                f"Airflow's connection {name!r} logs in by {key}, which ematix cannot do", where=f"connection {name}",
                hint=hint,
            )  # fmt: skip
