"""Connections: where a system is and how to reach it.

A connection is a frozen record. Its text may hold `${...}` references; they are resolved when the connection is used
(`ematix_core.config.secrets`), never when it is declared, and never shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, Field, dataclass, field, fields
from difflib import get_close_matches
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, overload

from ematix_core.errors import DeclarationError, near
from ematix_core.model.options import explained, misuse

if TYPE_CHECKING:
    import pyarrow as pa

_C = TypeVar("_C", bound="Connection")

_SENSITIVE = r"password|passwd|pwd|passphrase|secret|token|(?:api|access|account)_?key|credential|private"
_SENSITIVE_NAME = re.compile(_SENSITIVE, re.IGNORECASE)
# Up to the last @: a password may hold / and @ that somebody forgot to escape, and showing too little does no harm.
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^/@:\s]*):\S*@")
_NEARLY = 0.7
"""How alike (by difflib's ratio) an option and a field must be to take the one for a misspelling of the other."""
# Looked for at the beginning of names only: at each letter, a long text would take a time that grows with its square.
_SECRET_PARAMETER = re.compile(
    rf"(?<![\w.-])([\w.-]*(?:{_SENSITIVE})[\w.-]*)(\s*=\s*)('(?:\\.|[^'\\])*'|\"[^\"]*\"|[^&\s;]+)", re.IGNORECASE
)


def mask(text: str) -> str:
    """Return `text` with passwords in URLs and `password=`-like parameters replaced by `***`."""
    return _SECRET_PARAMETER.sub(r"\1\2***", _PASSWORD_IN_URL.sub(r"\1:***@", text))


def _shown(name: str, value: Any) -> Any:  # noqa: ANN401 - any setting that a driver may take
    if _SENSITIVE_NAME.search(name):
        return "***"
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {key: _shown(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_shown("", inner) for inner in value]
    return value


def _explained(cls: type[_C]) -> type[_C]:
    """Make the class refuse settings that it does not have with the near one, instead of by a TypeError."""
    made: Callable[..., None] = cls.__init__

    @wraps(made)
    def init(self: _C, *args: Any, **settings: Any) -> None:  # noqa: ANN401 - what the user wrote
        hint = "" if "name" in settings or args else "Write the connection's name first."
        if error := misuse(made, cls.__name__, (self, *args), settings, hint=hint):
            name = args[0] if args else settings.get("name")
            raise error.at(f"connection {name}") if name else error
        made(self, *args, **settings)

    cls.__init__ = init  # type: ignore[assignment]  # the same signature, with better errors
    return cls


@dataclass(frozen=True)
class Connection:
    """Base of all connections: a name and the settings of its kind.

    `options` holds settings for which the kind has no field of its own; they go to the driver as they are.
    """

    kind: ClassVar[str] = ""
    name: str
    _: KW_ONLY
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def settings(self) -> dict[str, Any]:
        """Return the settings by name, options included, as declared (references unresolved)."""
        own = {f.name: getattr(self, f.name) for f in _settings(self)}
        return own | dict(self.options)

    def masked(self) -> dict[str, Any]:
        """Return the settings that are set, fit to be shown: secrets and passwords in URLs are `***`."""
        return {
            name: _shown(name, value) for name, value in self.settings().items() if value is not None and value != ""
        }

    def __repr__(self) -> str:
        """Show kind, name and settings, with secrets masked."""
        inner = "".join(f", {name}={value!r}" for name, value in self.masked().items())
        return f"{type(self).__name__}({self.name!r}{inner})"


def _settings(connection: Connection) -> list[Field[Any]]:
    return [f for f in fields(connection) if f.name not in {"name", "options"} and not f.metadata.get("state")]


class ConnectionLookup(Protocol):
    """Whatever knows connections by name, as a Project does."""

    @property
    def connections(self) -> Mapping[str, Connection]:
        """The connections by name."""
        ...


@_explained
@dataclass(frozen=True, repr=False)
class SQLiteConnection(Connection):
    """A SQLite database file. `path` is relative to the working directory."""

    kind: ClassVar[str] = "sqlite"
    path: str = ""


@_explained
@dataclass(frozen=True, repr=False)
class DuckDBConnection(Connection):
    """A DuckDB database file. `path` is relative to the working directory."""

    kind: ClassVar[str] = "duckdb"
    path: str = ""


@_explained
@dataclass(frozen=True, repr=False)
class PostgresConnection(Connection):
    """A PostgreSQL database, `url="postgresql://user:${PASSWORD}@host:5432/database?sslmode=verify-full"`.

    The URL's parameters are libpq's (https://www.postgresql.org/docs/current/libpq-connect.html). `options` are
    settings of the session, such as `statement_timeout`.
    """

    kind: ClassVar[str] = "postgres"
    url: str = ""


@_explained
@dataclass(frozen=True, repr=False)
class MySQLConnection(Connection):
    """A MySQL or MariaDB database, `url="mysql://user:${PASSWORD}@host:3306/database?ssl_ca=ca.pem"`.

    `options` are variables of the session, such as `innodb_lock_wait_timeout`.
    """

    kind: ClassVar[str] = "mysql"
    url: str = ""


@_explained
@dataclass(frozen=True, repr=False)
class ObjectStoreConnection(Connection):
    """A folder of files.

    `path` is a local folder or a prefix of an object store (`s3://bucket/prefix`, `gs://`, `az://`), whose `endpoint`,
    `region`, keys or `profile` go into `options`; `format` (parquet, csv, orc, jsonl) is what targets are written
    in and what sources are read as when a file's name does not tell. Format settings go into `options`.
    """

    kind: ClassVar[str] = "objects"
    path: str = ""
    format: str = "parquet"


@_explained
@dataclass(frozen=True, repr=False)
class DeltaConnection(Connection):
    """A folder of Delta Lake tables.

    `path` is a local folder or a prefix of an object store, as for ObjectStoreConnection; a table is a folder below it
    (`silver/orders`). `partition_by`, `target_file_size` and the like, for the tables that are made, go into
    `options`.
    """

    kind: ClassVar[str] = "delta"
    path: str = ""


@_explained
@dataclass(frozen=True, repr=False)
class KafkaConnection(Connection):
    """A Kafka cluster, `url="kafka://host:9092,host:9092"` or `bootstrap="host:9092,host:9092"`.

    `security`: plaintext, ssl, sasl_plaintext or sasl_ssl; without it sasl_ssl with a `mechanism`, ssl with a
    certificate, else plaintext. `mechanism`: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 with `username` and `password`,
    AWS_MSK_IAM with `region`, OAUTHBEARER. `ca`, `certificate` and `key` are paths of PEM files. `options` are those of
    targets and settings of librdkafka, such as `fetch.min.bytes`: see docs/reference/kafka.md.
    """

    kind: ClassVar[str] = "kafka"
    url: str = ""
    bootstrap: str = ""
    security: str = ""
    mechanism: str = ""
    username: str = ""
    password: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""
    key_password: str = ""
    region: str = ""


@_explained
@dataclass(frozen=True, repr=False)
class FederatedConnection(Connection):
    """Several connections whose tables one query joins: `FROM lake."orders/*.parquet" JOIN shop.crm.customers ...`.

    `sources`: the connections, or names of such. In the job's SQL, which is DuckDB's, the name of one of them stands
    before each table. Can be read, and not written.
    """

    kind: ClassVar[str] = "federated"
    sources: Sequence[Connection | str] = ()

    def __post_init__(self) -> None:
        """Raise DeclarationError for sources that are none, or that have one name."""
        where = f"connection {self.name}"
        if isinstance(self.sources, str) or not self.sources:
            raise DeclarationError(
                f"sources={self.sources!r} names no connections", where=where, hint="Give several: [lake, shop]."
            )
        for source in self.sources:
            if isinstance(source, FederatedConnection) or not isinstance(source, Connection | str):
                raise DeclarationError(
                    f"{source!r} is no source of it", where=where,
                    hint="Give connections or their names, and none that is federated itself.",
                )  # fmt: skip
        names = [name.lower() for name in self.source_names]
        if twice := [name for name in self.source_names if names.count(name.lower()) > 1]:
            raise DeclarationError(f"two of its sources are named {twice[0]!r}", where=where)
        object.__setattr__(self, "sources", tuple(self.sources))

    def masked(self) -> dict[str, Any]:
        """Return the settings, with the sources by their names."""
        return super().masked() | {"sources": list(self.source_names)}

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the sources, as SQL knows them."""
        return tuple(source if isinstance(source, str) else source.name for source in self.sources)


@_explained
@dataclass(frozen=True, repr=False)
class SchemaRegistryConnection(Connection):
    """A registry of schemas with Confluent's interface, `url="http://host:8081"`.

    `username` and `password` are for basic authentication. `ca` is the path of the PEM file of an authority for
    `https://`. `options`: `timeout`, seconds after which a registry that does not answer is an error (default: 10).
    """

    kind: ClassVar[str] = "registry"
    url: str = ""
    username: str = ""
    password: str = ""
    ca: str = ""


@_explained
@dataclass(frozen=True, repr=False)
class GlueSchemaRegistryConnection(Connection):
    """A registry of schemas in AWS Glue, by the name that it has there. For `wire="glue"`.

    Credentials, endpoint, and the region unless it is given, are boto3's: AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL and
    so on. `options`: `timeout`, seconds after which a registry that does not answer is an error (default: 10).
    """

    kind: ClassVar[str] = "glue"
    registry: str = "default-registry"
    region: str = ""


@_explained
@dataclass(frozen=True, repr=False, eq=False)
class MemoryConnection(Connection):
    """Tables held by the connection object itself, for tests and for data already in Python.

    `tables` are Arrow tables by name, loaded on first use. They live as long as the connection object, and so two
    such connections are equal only when they are the same object.
    """

    kind: ClassVar[str] = "memory"
    tables: Mapping[str, Any] = field(default_factory=dict, metadata={"state": True})
    state: dict[str, Any] = field(default_factory=dict, metadata={"state": True})

    def table(self, name: str) -> pa.Table:
        """Return the rows of a table, such as `analytics.orders`, as they are now: for tests of what a job wrote.

        Raises MissingSourceError with the near name when there is no such table.
        """
        from ematix_core.engine.connections import read_table

        return read_table(self, name)

    __eq__ = object.__eq__
    __hash__ = object.__hash__


CONNECTION_CLASSES: dict[str, type[Connection]] = {
    cls.kind: cls
    for cls in (
        SQLiteConnection,
        DuckDBConnection,
        PostgresConnection,
        MySQLConnection,
        ObjectStoreConnection,
        DeltaConnection,
        KafkaConnection,
        FederatedConnection,
        SchemaRegistryConnection,
        GlueSchemaRegistryConnection,
        MemoryConnection,
    )
}


def make_connection(name: str, kind: str, settings: Mapping[str, Any]) -> Connection:
    """Build the typed connection for `kind`; settings that are no field of it become `options`.

    A kind outside the built-in ones gives a plain Connection subclass; whether a backend serves it is found out when
    it is used. Raises DeclarationError for a name that is empty, and for a setting whose name is nearly a field's.
    """
    if not name:
        raise DeclarationError("a connection needs a name", hint="Pass name='...'.")
    cls = CONNECTION_CLASSES.get(kind) or _foreign(kind)
    own = {f.name for f in fields(cls) if f.name not in {"name", "options"}}
    options = {key: value for key, value in settings.items() if key not in own and key != "options"}
    _refuse_misspelled(name, options, own - set(settings))
    options |= dict(settings.get("options") or {})
    return cls(name, options=options, **{key: value for key, value in settings.items() if key in own})


def _refuse_misspelled(name: str, options: Mapping[str, Any], unset: set[str]) -> None:
    """Refuse an option that looks like a field that nothing sets; `options=` is the way to give it all the same."""
    for option in options:
        if matches := get_close_matches(option, sorted(unset), n=1, cutoff=_NEARLY):
            raise DeclarationError(
                f"unknown setting {option!r}", where=f"connection {name}", hint=f"Did you mean {matches[0]!r}?"
            )


@cache
def _foreign(kind: str) -> type[Connection]:
    return type("Connection", (Connection,), {"kind": kind, "__module__": __name__})


ConnectionLike = Connection | str | type[Any]
"""A connection or its name. The class is there for type checkers only: mypy takes what `@connection` returns for the
class that it decorates (https://github.com/python/mypy/issues/3135)."""


def named_connection(value: ConnectionLike | None, option: str) -> Connection | str | None:
    """Return what an option such as `source_connection=` was given; raises DeclarationError for anything else."""
    if value is None or isinstance(value, Connection | str):
        return value
    raise DeclarationError(
        f"{option}={value!r} is no connection", hint="Give a connection, its name, or a class under @ematix.connection."
    )


@overload
def connection(cls: type, /) -> Connection: ...
@overload
def connection() -> Callable[[type], Connection]: ...
@explained("@ematix.connection", hint="The settings stand in the class: kind = '...', path = '...'.")
def connection(cls: type | None = None, /) -> Connection | Callable[[type], Connection]:
    """Make a Connection of the decorated class: named after it, with `kind` and its other attributes as settings."""
    if cls is None:
        return _declared
    return _declared(cls)


def _declared(cls: type) -> Connection:
    if not isinstance(cls, type):
        raise DeclarationError(
            f"@ematix.connection is given {cls!r}, which is no class", hint="Write it over a class with kind = '...'."
        )
    settings = {key: value for key, value in vars(cls).items() if not key.startswith("_")}
    kind = settings.pop("kind", None)
    name = settings.pop("name", cls.__name__)
    if not isinstance(kind, str):
        raise DeclarationError(
            f"connection {name!r} has no kind", hint=f"Set kind = '...'. {near('', CONNECTION_CLASSES)}"
        )
    return make_connection(name, kind, settings)
