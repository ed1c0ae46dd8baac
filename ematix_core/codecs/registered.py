"""A schema as a registry has it, and what is said when a registry answers with an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from ematix_core.errors import AccessError, ConnectError, DriftError, MissingSourceError, RunError

SchemaId: TypeAlias = "int | str"
"""A registry's number of a schema; for Glue the UUID of a schema's version."""
_UNAUTHENTICATED, _FORBIDDEN, _NOT_FOUND, _INCOMPATIBLE, _UNPROCESSABLE, _BROKEN = 401, 403, 404, 409, 422, 500

_COMPATIBLE = "Give new columns a place for NULL, or change the subject's rules of compatibility."


@dataclass(frozen=True)
class Registered:
    """A schema as the registry has it: its id, its text, and its kind: AVRO, PROTOBUF or JSON.

    `imports` are the texts that it refers to, directly or through others, by the names that it has for them.
    """

    id: SchemaId
    text: str
    kind: str = "AVRO"
    imports: tuple[tuple[str, str], ...] = ()


class Registry(Protocol):
    """An open registry. For one thread at a time: it remembers schemas by id, which never change.

    Its calls block for up to two times the timeout. They raise ConnectError when it does not answer or is broken, and
    AccessError when it refuses the user. Each takes the wire format that the ids are for, one of `wires`.
    """

    @property
    def where(self) -> str:
        """What errors call the registry."""
        ...

    @property
    def wires(self) -> frozenset[str]:
        """The wire formats whose ids it knows."""
        ...

    def check(self) -> str:
        """Say what answers, in one line. Raises MissingSourceError for a registry that is not there."""
        ...

    def schema(self, number: SchemaId, wire: str = "confluent") -> Registered:
        """Return the schema with the id. Raises MissingSourceError when there is none; that is asked each time."""
        ...

    def latest(self, subject: str) -> Registered:
        """Return the subject's newest schema, as it is now. Raises MissingSourceError when there is no such subject."""
        ...

    def register(self, subject: str, text: str, kind: str = "AVRO", wire: str = "confluent") -> SchemaId:
        """Return the id of the schema under the subject, which it is put under if it is not there.

        Raises DriftError when the subject's rules of compatibility forbid it, or it is no schema.
        """
        ...

    def found(self, subject: str, text: str, kind: str = "AVRO", wire: str = "confluent") -> SchemaId:
        """Return the id that the schema has under the subject. Raises MissingSourceError when it is not there."""
        ...

    def compatible(self, subject: str, text: str, kind: str = "AVRO", /) -> bool:
        """Say whether the subject's rules allow the schema; true too where that is not known."""
        ...

    def close(self) -> None:
        """Close the connections. May be called again."""
        ...


def require_accepted(registry: Registry, subject: str, text: str, kind: str, wire: str, *, register: bool) -> None:
    """Raise what the registry would refuse the schema with when it is written by; changes nothing.

    `register`: whether it would be put under the subject, which must allow it; else it must be there.
    """
    try:
        registry.found(subject, text, kind, wire)
    except MissingSourceError:
        if not register:
            raise
        if not registry.compatible(subject, text, kind):
            raise DriftError(
                "the schema registry refuses the schema: the subject's rules of compatibility forbid it",
                where=f"subject {subject}, {registry.where}", hint=_COMPATIBLE,
            ) from None  # fmt: skip


def unreachable(error: object, where: str) -> ConnectError:
    """Return the error of a registry that does not answer."""
    return ConnectError(
        f"the schema registry does not answer: {error}", where=where,
        hint="Check the url of the connection, and whether the registry runs.",
    )  # fmt: skip


def refused(status: int, said: str, where: str) -> RunError:
    """Return the error of an answer with this HTTP status."""
    if status in {_UNAUTHENTICATED, _FORBIDDEN}:
        return AccessError(f"the schema registry refuses the user: {status} {said}", where=where,
                           hint="Check username and password of the connection.")  # fmt: skip
    if status == _NOT_FOUND:
        return MissingSourceError(f"the schema registry does not have it: {said}", where=where)
    if status in {_INCOMPATIBLE, _UNPROCESSABLE}:
        return DriftError(
            f"the schema registry refuses the schema: {said}", where=where,
            hint=_COMPATIBLE,
        )  # fmt: skip
    if status >= _BROKEN:
        return ConnectError(f"the schema registry has trouble of its own: {status} {said}", where=where)
    return RunError(f"the schema registry answers {status}: {said}", where=where)
