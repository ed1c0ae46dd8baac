"""Units as JSON data and back, exactly; what must not be written into a file is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from ematix_core.config.references import parse
from ematix_core.errors import ProjectError, SecretError
from ematix_core.model.message import MessageSource
from ematix_core.model.schedule import Schedule
from ematix_core.model.trigger import AllOf, AnyOf, Event, Trigger
from ematix_core.model.unit import Unit, UnitJob

if TYPE_CHECKING:
    from ematix_core.model.connection import Connection

Data = dict[str, Any]

_PLAIN = ("name", "single", "catchup", "pool", "priority", "freshness", "long_run", "owner")
_LISTS = ("alerts", "tags")


def to_data(unit: Unit) -> Data:
    """Return the unit as data that JSON can hold: `from_data` makes an equal one of it, in any process.

    Raises ProjectError when the messages come from a connection that a file cannot hold: one in memory, or one with a
    password in clear.
    """
    data: Data = {name: getattr(unit, name) for name in _PLAIN} | {name: list(getattr(unit, name)) for name in _LISTS}
    return data | {
        "jobs": [vars(job) | {"depends_on": list(job.depends_on)} for job in unit.jobs],
        "trigger": None if unit.trigger is None else _trigger_data(unit.trigger),
        "schedule": None if unit.schedule is None else vars(unit.schedule).copy(),
        "messages": None if unit.messages is None else _messages_data(unit.messages, unit.name),
    }


def from_data(data: Mapping[str, Any]) -> Unit:
    """Return the unit that `to_data` made the data of."""
    trigger, schedule, messages = data["trigger"], data["schedule"], data["messages"]
    plain: Data = {name: data[name] for name in _PLAIN} | {name: tuple(data[name]) for name in _LISTS}
    return Unit(
        **plain,
        jobs=tuple(UnitJob(**job | {"depends_on": tuple(job["depends_on"])}) for job in data["jobs"]),
        trigger=None if trigger is None else _trigger(trigger),
        schedule=None if schedule is None else Schedule(**schedule),
        messages=None if messages is None else _messages(messages),
    )


def _trigger_data(trigger: Trigger) -> str | Data:
    """Return a name as text, `all_of` and `any_of` as an object with the list of their parts."""
    match trigger:
        case Event(name):
            return name
        case AllOf(parts):
            return {"all_of": [_trigger_data(part) for part in parts]}
        case AnyOf(parts):
            return {"any_of": [_trigger_data(part) for part in parts]}


def _trigger(data: str | Mapping[str, Any]) -> Trigger:
    if isinstance(data, str):
        return Event(data)
    ((kind, parts),) = data.items()
    made = tuple(_trigger(part) for part in parts)
    return AllOf(made) if kind == "all_of" else AnyOf(made)


def _messages_data(messages: MessageSource, workflow: str) -> Data:
    connection = messages.connection
    return vars(messages) | {
        "connection": connection if isinstance(connection, str) else _connection_data(connection, workflow)
    }


def _messages(data: Mapping[str, Any]) -> MessageSource:
    connection = data["connection"]
    made = connection if isinstance(connection, str) else _connection(connection)
    return MessageSource(**{**data, "connection": made})


def _connection_data(connection: Connection, workflow: str) -> Data:
    """Return kind, name and settings, `${...}` references as they are written.

    Raises ProjectError naming what a file cannot hold.
    """
    where = f"workflow {workflow}, connection {connection.name}"
    if any(one.metadata.get("state") for one in fields(connection)):
        raise ProjectError(
            f"messages from a connection of kind {connection.kind!r} live in one process, and no other sees them",
            where=where, hint="Give on_message= a folder of files or a table of a database.",
        )  # fmt: skip
    own = {one.name: getattr(connection, one.name) for one in fields(connection)}
    data = {"kind": connection.kind, **own, "options": dict(connection.options)}
    try:
        again = _connection(json.loads(json.dumps(data)))
    except TypeError:
        again = None
    if again != connection:
        raise ProjectError(
            "the connection has settings that JSON has no form for", where=where,
            hint="Use text, numbers, lists and dictionaries, or name a connection of ematix.toml.",
        )  # fmt: skip
    try:
        clear = _holds_secret(connection)
    except SecretError as error:
        raise error.at(where) from None
    if clear:
        raise ProjectError(
            "the connection has a secret in clear, which is not written into a file", where=where,
            hint="Write a reference in its place: ${NAME}, ${file:...}, ${vault:...}.",
        )  # fmt: skip
    return data


def _connection(data: Mapping[str, Any]) -> Connection:
    from ematix_core.model.connection import make_connection

    settings = {key: value for key, value in data.items() if key not in {"kind", "name"}}
    return make_connection(data["name"], data["kind"], settings)


def _holds_secret(connection: Connection) -> bool:
    """Say whether a secret would be shown: something is masked that is more than a reference."""
    names = [one.name for one in fields(connection) if one.name != "name"]
    bare = replace(connection, **{name: _without_references(getattr(connection, name)) for name in names})
    shown = {name: value for name, value in bare.settings().items() if value is not None and value != ""}
    return bare.masked() != shown


def _without_references(value: Any) -> Any:  # noqa: ANN401 - any setting that JSON can hold
    """Return a setting with `***` for each reference; a default is text as any other, and may be a password."""
    if isinstance(value, str):
        pieces = (
            piece if isinstance(piece, str) else _without_references(piece.default) if piece.default else "***"
            for piece in parse(value)
        )
        return "".join(pieces)
    if isinstance(value, Mapping):
        return {key: _without_references(inner) for key, inner in value.items()}
    return [_without_references(inner) for inner in value] if isinstance(value, list) else value
