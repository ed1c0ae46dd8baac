"""Schemas in AWS Glue, by the UUIDs of their versions.

https://docs.aws.amazon.com/glue/latest/webapi/API_GetSchemaVersion.html
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ematix_core.codecs.registered import Registered, SchemaId, unreachable
from ematix_core.errors import (
    AccessError,
    ConfigError,
    DriftError,
    MissingDriverError,
    MissingSourceError,
    RunError,
)
from ematix_core.model.duration import parse_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.model.connection import Connection

_REFUSED = frozenset({
    "AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException",
})  # fmt: skip
_STEP = 0.2
"""Seconds between two looks at a version that Glue still checks."""


class GlueRegistry:
    """A registry of Glue. See `Registry`."""

    wires = frozenset({"glue"})

    def __init__(self, client: Any, name: str, where: str, timeout: float) -> None:  # noqa: ANN401 - boto3's, made at run time
        self._glue, self._registry, self.where, self._timeout = client, name, where, timeout
        self._versions: dict[SchemaId, Registered] = {}
        self._registered: dict[tuple[str, str], str] = {}

    def check(self) -> str:
        with self._answers("registry"):
            self._glue.get_registry(RegistryId={"RegistryName": self._registry})
        return f"Glue, registry {self._registry}"

    def schema(self, number: SchemaId, wire: str = "glue") -> Registered:  # noqa: ARG002 - there is one kind of ids
        if number not in self._versions:
            with self._answers(f"schema {number}"):
                found = self._glue.get_schema_version(SchemaVersionId=number)
            self._versions[number] = Registered(number, found["SchemaDefinition"], found["DataFormat"])
        return self._versions[number]

    def latest(self, subject: str) -> Registered:
        newest = {"LatestVersion": True}
        with self._answers(f"subject {subject}"):
            found = self._glue.get_schema_version(SchemaId=self._named(subject), SchemaVersionNumber=newest)
        return Registered(found["SchemaVersionId"], found["SchemaDefinition"], found["DataFormat"])

    def register(self, subject: str, text: str, kind: str = "AVRO", wire: str = "glue") -> SchemaId:  # noqa: ARG002 - as schema
        if (subject, text) not in self._registered:
            with self._answers(f"subject {subject}"):
                self._registered[subject, text] = self._added(subject, text, kind)
        return self._registered[subject, text]

    def _added(self, subject: str, text: str, kind: str) -> str:
        """Return the id of a version with the text; a schema that is not there is made, with Glue's default rules."""
        try:
            found = self._glue.register_schema_version(SchemaId=self._named(subject), SchemaDefinition=text)
        except self._glue.exceptions.EntityNotFoundException:
            made = self._glue.create_schema(
                RegistryId={"RegistryName": self._registry}, SchemaName=subject, DataFormat=kind,
                Compatibility="BACKWARD", SchemaDefinition=text,
            )  # fmt: skip
            return str(made["SchemaVersionId"])
        number, until = str(found["SchemaVersionId"]), time.monotonic() + self._timeout
        while found["Status"] == "PENDING" and time.monotonic() < until:
            time.sleep(_STEP)
            found = self._glue.get_schema_version(SchemaVersionId=number)
        if found["Status"] != "AVAILABLE":
            raise DriftError(
                f"the schema registry refuses the schema: {found['Status']}", where=f"subject {subject}, {self.where}",
                hint="Give new columns a place for NULL, or change the schema's compatibility in Glue.",
            )  # fmt: skip
        return number

    def found(self, subject: str, text: str, kind: str = "AVRO", wire: str = "glue") -> SchemaId:  # noqa: ARG002 - as schema
        with self._answers(f"subject {subject}"):
            found = self._glue.get_schema_by_definition(SchemaId=self._named(subject), SchemaDefinition=text)
        return str(found["SchemaVersionId"])

    def compatible(self, _subject: str, _text: str, _kind: str = "AVRO") -> bool:
        """Say so: Glue tells only when a schema is registered."""
        return True

    def close(self) -> None:
        self._glue.close()

    def _named(self, subject: str) -> dict[str, str]:
        return {"RegistryName": self._registry, "SchemaName": subject}

    @contextmanager
    def _answers(self, what: str) -> Iterator[None]:
        """Say errors of boto3 in our words."""
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
        from botocore.exceptions import ConnectionError as UnreachedError

        where = f"{what}, {self.where}"
        try:
            yield
        except (HTTPClientError, UnreachedError) as error:
            raise unreachable(error, where) from error
        except NoCredentialsError as error:
            raise AccessError("there are no credentials for Glue", where=where,
                              hint="Set AWS_PROFILE, or what else boto3 finds.") from error  # fmt: skip
        except ClientError as error:
            raise _said(error.response, where) from error
        except BotoCoreError as error:
            raise RunError(f"Glue cannot be asked: {error}", where=where) from error


def _said(response: Any, where: str) -> RunError:  # noqa: ANN401 - boto3's plain data
    code, text = response["Error"]["Code"], response["Error"].get("Message", "")
    if code == "EntityNotFoundException":
        return MissingSourceError(f"the schema registry does not have it: {text}", where=where)
    if code in _REFUSED:
        return AccessError(f"the schema registry refuses the user: {code} {text}", where=where,
                           hint="Allow it glue:GetSchemaVersion; to write, glue:RegisterSchemaVersion.")  # fmt: skip
    if code == "InvalidInputException":
        return DriftError(f"the schema registry refuses the schema: {text}", where=where)
    if code in {"InternalServiceException", "ThrottlingException"}:
        return unreachable(f"{code} {text}", where)
    return RunError(f"the schema registry answers {code}: {text}", where=where)


def open_glue(connection: Connection, timeout: float) -> GlueRegistry:
    """Return the registry of a connection of kind `glue`. Raises ConfigError and MissingDriverError."""
    where = f"connection {connection.name}"
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise MissingDriverError("glue", "boto3", "aws") from error
    settings = connection.settings()
    seconds = parse_seconds(settings.get("timeout", timeout), "timeout")
    config = Config(connect_timeout=seconds, read_timeout=seconds, retries={"total_max_attempts": 2})
    try:
        client = boto3.Session(region_name=settings["region"] or None).client("glue", config=config)
    except BotoCoreError as error:  # no region, for example
        raise ConfigError(f"Glue cannot be asked: {error}", where=where, hint="Set region.") from error
    return GlueRegistry(client, settings["registry"], f"{where}, registry {settings['registry']}", seconds)
