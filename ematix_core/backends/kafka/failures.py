"""Kafka's errors in our words: https://kafka.apache.org/protocol#protocol_error_codes and librdkafka's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ematix_core.errors import (
    AccessError,
    ConfigError,
    ConflictError,
    ConnectError,
    ConversionError,
    EmatixError,
    MissingSourceError,
    RunError,
    SourceError,
)

if TYPE_CHECKING:
    from confluent_kafka import KafkaError

_RETRY = "Run it again; a stream and a job with retries= do so by themselves."
_REACH = "Check the addresses, and the listeners that the brokers advertise."
_RIGHTS = "Give the user the right to it by kafka-acls."
_CREDENTIALS = "Check username, password and mechanism."
_GROUP = "The partitions are another consumer's by now; what was not committed is read again. Poll again to rejoin."
_FENCED = "Another producer with this transactional.id has begun since: let one process at a time use it."
_TRUST = "Give the authority's file as ca=, and the name in the certificate as the host."

_SIZE = "Raise the topic's max.message.bytes, and message.max.bytes of the connection's options."

_BY_NAME: dict[str, tuple[type[EmatixError], str]] = {
    "_ALL_BROKERS_DOWN": (ConnectError, _REACH),
    "_TRANSPORT": (ConnectError, _REACH),
    "_RESOLVE": (ConnectError, "Check the host."),
    "_DESTROY_BROKER": (ConnectError, _RETRY),
    "_TIMED_OUT": (ConnectError, _REACH),
    "_TIMED_OUT_QUEUE": (ConnectError, _REACH),
    "_MSG_TIMED_OUT": (ConnectError, _REACH),
    "_WAIT_COORD": (ConnectError, _RETRY),
    "_AUTHENTICATION": (AccessError, _CREDENTIALS),
    "SASL_AUTHENTICATION_FAILED": (AccessError, _CREDENTIALS),
    "UNSUPPORTED_SASL_MECHANISM": (AccessError, _CREDENTIALS),
    "_SSL": (ConfigError, _TRUST),
    "TOPIC_AUTHORIZATION_FAILED": (AccessError, _RIGHTS),
    "GROUP_AUTHORIZATION_FAILED": (AccessError, _RIGHTS),
    "CLUSTER_AUTHORIZATION_FAILED": (AccessError, _RIGHTS),
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED": (AccessError, _RIGHTS),
    "UNKNOWN_TOPIC_OR_PART": (MissingSourceError, "Make the topic, or correct its name."),
    "_UNKNOWN_TOPIC": (MissingSourceError, "Make the topic, or correct its name."),
    "_UNKNOWN_PARTITION": (MissingSourceError, "The topic has fewer partitions."),
    "_AUTO_OFFSET_RESET": (SourceError, ""),
    "OFFSET_OUT_OF_RANGE": (SourceError, ""),
    "MSG_SIZE_TOO_LARGE": (ConversionError, _SIZE),
    "INVALID_RECORD": (ConversionError, "The topic refuses the message; a compacted topic wants a key."),
    "_FENCED": (ConflictError, _FENCED),
    "PRODUCER_FENCED": (ConflictError, _FENCED),
    "INVALID_PRODUCER_EPOCH": (ConflictError, _FENCED),
    "INVALID_TXN_STATE": (ConflictError, "The transaction's time may have passed: raise transaction_timeout."),
    "CONCURRENT_TRANSACTIONS": (ConflictError, _RETRY),
    "UNKNOWN_PRODUCER_ID": (ConflictError, _RETRY),
    "FENCED_INSTANCE_ID": (ConflictError, "Another consumer has this instance: give each its own."),
    "ILLEGAL_GENERATION": (ConflictError, _GROUP),
    "UNKNOWN_MEMBER_ID": (ConflictError, _GROUP),
    "REBALANCE_IN_PROGRESS": (ConflictError, _GROUP),
    "_MAX_POLL_EXCEEDED": (ConflictError, _GROUP),
    "_ASSIGNMENT_LOST": (ConflictError, _GROUP),
    "INVALID_TRANSACTION_TIMEOUT": (ConfigError, "The brokers' transaction.max.timeout.ms is less."),
    "_INVALID_ARG": (ConfigError, ""),
}  # fmt: skip
ANEW = "_DESTROY_BROKER"
"""A broker that came back is another one to librdkafka, which gives up what it had asked of the one before."""
GONE = frozenset({"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION"})
LOST = frozenset({"_AUTO_OFFSET_RESET", "OFFSET_OUT_OF_RANGE"})
FINAL = frozenset({"_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "UNSUPPORTED_SASL_MECHANISM", "_SSL"})
"""Errors of a connection that do not go away by waiting."""


def kafka_error(error: BaseException) -> KafkaError | None:
    """Return the KafkaError that an exception of the driver holds, None when it has none."""
    first: Any = error.args[0] if error.args else None
    return first if hasattr(first, "txn_requires_abort") else None


def translate(error: BaseException | KafkaError, doing: str, where: str) -> EmatixError:
    """Return the error of our tree that says what the driver's means. `doing`: what was tried."""
    if isinstance(error, EmatixError):
        return error
    found: Any = kafka_error(error) if isinstance(error, BaseException) else error
    if found is None:
        return RunError(f"{doing}: {error}", where=where)
    kind, hint = _BY_NAME.get(found.name()) or ((ConnectError, _RETRY) if found.retriable() else (RunError, ""))
    return kind(f"{doing}: {found.str() or found.name()}", where=where, hint=hint)


def unreachable(seconds: float, last: KafkaError | None, where: str) -> EmatixError:
    """Return the error for brokers that did not answer. `last`: what librdkafka said of a connection, if anything."""
    if last is not None and last.name() in FINAL:
        doing = "the brokers' certificate is not accepted" if last.name() == "_SSL" else "authentication was refused"
        return translate(last, doing, where)
    reason = f": {last.str()}" if last is not None else ""
    return ConnectError(f"no broker answered for {seconds:g} s{reason}", where=where, hint=_REACH)
