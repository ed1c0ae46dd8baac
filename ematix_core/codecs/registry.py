"""Schema registries, where the schemas of messages are kept; here those with Confluent's interface.

https://docs.confluent.io/platform/current/schema-registry/develop/api.html
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ematix_core.codecs.apicurio import GlobalIds
from ematix_core.codecs.glue import open_glue
from ematix_core.codecs.registered import Registered, Registry, SchemaId, refused, unreachable
from ematix_core.errors import ConfigError, MissingDriverError, MissingSourceError
from ematix_core.model.connection import mask
from ematix_core.model.duration import parse_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.model.connection import Connection

__all__ = ["KINDS", "TIMEOUT", "Registered", "Registry", "open_registry"]

KINDS = frozenset({"registry", "glue"})
"""Kinds of connections that are registries."""

TIMEOUT = 10.0
"""Seconds after which a registry that does not answer is an error, unless `timeout` says otherwise."""
_RETRIES, _WAIT = 1, 200
GLOBAL = "apicurio-global"
"""The wire format whose ids Confluent's interface does not know."""


class ConfluentRegistry:
    """A registry with Confluent's interface, Apicurio among them. See `Registry`."""

    wires = frozenset({"confluent", "apicurio", GLOBAL})

    def __init__(self, client: Any, where: str, global_ids: GlobalIds) -> None:  # noqa: ANN401 - SchemaRegistryClient, whose import the extra decides on
        self._client, self._global = client, global_ids
        self.where = where
        self._by_id: dict[tuple[SchemaId, bool], Registered] = {}
        self._ids: dict[tuple[str, str, bool], SchemaId] = {}

    def check(self) -> str:
        with self._told("subjects"):
            return f"schema registry, {len(self._client.get_subjects()):,} subjects"

    def schema(self, number: SchemaId, wire: str = "confluent") -> Registered:
        key = (number, wire == GLOBAL)
        if key not in self._by_id:
            self._by_id[key] = self._global.schema(int(number)) if wire == GLOBAL else self._asked(int(number))
        return self._by_id[key]

    def _asked(self, number: int) -> Registered:
        with self._told(f"schema {number}"):
            found = self._client.get_schema(number)
            imports: dict[str, str] = {}
            self._add_imports(found.references or [], imports)
        return Registered(number, found.schema_str, found.schema_type or "AVRO", tuple(imports.items()))

    def _add_imports(self, references: list[Any], imports: dict[str, str]) -> None:
        for one in references:
            if one.name not in imports:
                found = self._client.get_version(one.subject, one.version).schema
                imports[one.name] = found.schema_str
                self._add_imports(found.references or [], imports)

    def latest(self, subject: str) -> Registered:
        with self._told(f"subject {subject}"):
            self._client.clear_latest_caches()
            found = self._client.get_latest_version(subject)
        return Registered(found.schema_id, found.schema.schema_str, found.schema.schema_type or "AVRO")

    def register(self, subject: str, text: str, kind: str = "AVRO", wire: str = "confluent") -> SchemaId:
        key = (subject, text, wire == GLOBAL)
        if key not in self._ids:
            with self._told(f"subject {subject}"):
                number = int(self._client.register_schema(subject, _schema(text, kind)))
            self._ids[key] = self.found(subject, text, kind, wire) if wire == GLOBAL else number
        return self._ids[key]

    def found(self, subject: str, text: str, kind: str = "AVRO", wire: str = "confluent") -> SchemaId:
        with self._told(f"subject {subject}"):
            known = self._client.lookup_schema(subject, _schema(text, kind))
        return self._global.of_version(subject, known.version) if wire == GLOBAL else int(known.schema_id)

    def compatible(self, subject: str, text: str, kind: str = "AVRO") -> bool:
        try:
            with self._told(f"subject {subject}"):
                return bool(self._client.test_compatibility(subject, _schema(text, kind)))
        except MissingSourceError:
            return True

    def close(self) -> None:
        self._client.close()
        self._global.close()

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Say errors of the client in our words."""
        from confluent_kafka.schema_registry._sync import schema_registry_client
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        web: Any = vars(schema_registry_client)["httpx"]  # httpx or httpx2: whichever this version of the client uses
        try:
            yield
        except web.TransportError as error:
            raise unreachable(error, self.where) from error
        except SchemaRegistryError as error:
            said = mask(str(error.error_message))
            raise refused(error.http_status_code, said, f"{what}, {self.where}") from error


def _schema(text: str, kind: str) -> Any:  # noqa: ANN401 - Schema, whose import the extra decides on
    from confluent_kafka.schema_registry import Schema

    return Schema(text, kind)


def open_registry(connection: Connection) -> Registry:
    """Return the registry of a connection of kind `registry` or `glue`; it is asked nothing yet.

    References in the connection must be resolved. Raises ConfigError for settings, and MissingDriverError without the
    extra `kafka`, or `aws`.
    """
    where = f"connection {connection.name}"
    if connection.kind == "glue":
        return open_glue(connection, TIMEOUT)
    if connection.kind not in KINDS:
        raise ConfigError(f"a connection of kind {connection.kind} is no schema registry", where=where,
                          hint="Use SchemaRegistryConnection or GlueSchemaRegistryConnection.")  # fmt: skip
    try:
        from confluent_kafka.schema_registry import SchemaRegistryClient
    except ImportError as error:
        raise MissingDriverError("registry", "confluent-kafka[schemaregistry]", "kafka") from error
    settings = connection.settings()
    url = str(settings["url"])
    if not url.startswith(("http://", "https://")):
        raise ConfigError("the registry's url is not that of a web server", where=where,
                          hint='Set url="http://host:8081".')  # fmt: skip
    timeout = parse_seconds(settings.get("timeout", TIMEOUT), "timeout")
    own: dict[str, Any] = {"url": url, "timeout": timeout, "max.retries": _RETRIES, "retries.wait.ms": _WAIT}
    if settings["username"]:
        own["basic.auth.user.info"] = f"{settings['username']}:{settings['password']}"
    if settings["ca"]:
        if not Path(settings["ca"]).is_file():
            raise ConfigError(f"ca: there is no file {settings['ca']}", where=where)
        own["ssl.ca.location"] = str(settings["ca"])
    place = f"{where}, {mask(url)}"
    core = GlobalIds(url, place, timeout=timeout, user=settings["username"], password=settings["password"],
                     ca=settings["ca"])  # fmt: skip
    return ConfluentRegistry(SchemaRegistryClient(own), place, core)
