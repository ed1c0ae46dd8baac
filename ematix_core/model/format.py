"""What a stream says of its messages: their format, their schema, and how the schema's id stands before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ematix_core.errors import DeclarationError, near
from ematix_core.model.connection import Connection, ConnectionLike, named_connection
from ematix_core.model.table import Column, TableDef

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMATS = ("json", "avro", "protobuf", "raw")
WIRES = ("confluent", "apicurio", "apicurio-global", "glue", "none")
ENVELOPES = ("debezium",)
DECIMALS = ("precise", "string", "double")
_WITH_SCHEMA = ("avro", "protobuf")


@dataclass(frozen=True)
class Format:
    """How messages are read and written.

    `name`: json, avro, protobuf or raw. `columns` are those that the rows shall have: a table or its columns; left out,
    they come from the schema, or for JSON from the messages. `writer` is the text of the schema that the messages are
    written with (Avro's JSON, or a .proto file) where no registry knows it. `registry` is the connection of a registry
    or its name, `subject` what it calls the schema (default: `<topic>-value`). `wire`: what stands before each message:
    `confluent`, `apicurio` (4-byte content id), `apicurio-global` (8-byte global id), `glue` or `none`; by default
    `confluent` with a registry, else `none`. `message` is the full name of a Protobuf message, by default the first of
    its file. With `register=False` a writer's schema must already be in the registry. `envelope="debezium"`: messages
    in JSON or Avro are change events, which become rows of changes. `decimals`: how decimals stand in such JSON without
    a schema, as Debezium's `decimal.handling.mode` says: "precise" (default), "string", "double".

    Raises DeclarationError for unknown names and for settings that contradict each other.
    """

    name: str = "json"
    columns: TableDef | type[Any] | Sequence[Column] = ()
    writer: str = ""
    registry: ConnectionLike | None = None
    subject: str = ""
    wire: str = ""
    message: str = ""
    register: bool = True
    envelope: str = ""
    decimals: str = ""

    def __post_init__(self) -> None:
        """Check the names, and settle the columns and the wire format."""
        where = f"format {self.name}"
        if self.name not in FORMATS:
            raise DeclarationError(f"unknown format {self.name!r}", hint=near(self.name, FORMATS))
        object.__setattr__(self, "columns", _columns(self.columns, where))
        named_connection(self.registry, "registry")
        if self.wire and self.wire not in WIRES:
            raise DeclarationError(f"unknown wire format {self.wire!r}", where=where, hint=near(self.wire, WIRES))
        if self.name not in _WITH_SCHEMA:
            self._refuse_schema(where)
        elif not self.registry and not self.writer:
            raise DeclarationError(
                "there is no schema", where=where, hint="Give registry= or the schema's text, writer=."
            )
        if self.message and self.name != "protobuf":
            raise DeclarationError("message= names a Protobuf message", where=where, hint="Leave it out.")
        self._check_envelope(where)
        object.__setattr__(self, "wire", self.wire or ("confluent" if self.registry else "none"))

    def _check_envelope(self, where: str) -> None:
        if not self.envelope and not self.decimals:
            return
        if self.name not in {"json", "avro"} or not self.envelope:
            raise DeclarationError(
                "envelope= and decimals= are for change events in JSON or Avro", where=where, hint="Leave them out."
            )
        for option, known in (("envelope", ENVELOPES), ("decimals", DECIMALS)):
            if (given := getattr(self, option)) and given not in known:
                raise DeclarationError(f"unknown {option} {given!r}", where=where, hint=near(given, known))
        object.__setattr__(self, "decimals", self.decimals or "precise")

    def _refuse_schema(self, where: str) -> None:
        for option in ("writer", "registry", "subject"):
            if getattr(self, option):
                raise DeclarationError(
                    f"{option}= is for avro and protobuf", where=where, hint="JSON and raw messages carry no schema."
                )
        if self.wire not in {"", "none"}:
            raise DeclarationError(f"wire={self.wire!r} is for avro and protobuf", where=where, hint="Leave it out.")
        if self.name == "raw" and self.columns:
            raise DeclarationError("raw messages have one column, value", where=where, hint="Leave columns= out.")

    @property
    def declared(self) -> tuple[Column, ...]:
        """The columns that were declared; none when they come from the schema or the messages."""
        return self.columns if isinstance(self.columns, tuple) else ()

    @property
    def registry_name(self) -> str:
        """The registry's name; empty without one."""
        if isinstance(self.registry, Connection):
            return self.registry.name
        return self.registry if isinstance(self.registry, str) else ""

    def subject_of(self, topic: str) -> str:
        """Return the subject of the schema: as given, else `<topic>-value`."""
        return self.subject or f"{topic}-value"


def _columns(value: TableDef | type[Any] | Sequence[Column], where: str) -> tuple[Column, ...]:
    """Return the columns given; the class is there for type checkers only, as in `TableLike`."""
    if isinstance(value, TableDef):
        return value.columns
    if isinstance(value, type) or not all(isinstance(column, Column) for column in value):
        raise DeclarationError(
            f"columns={value!r} are no columns", where=where, hint="Give a class under @ematix.table, or its columns."
        )
    return tuple(value)
