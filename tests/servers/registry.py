"""The schema registry in tests: that of `make servers`, and one of a test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ematix_core.model.connection import SchemaRegistryConnection
from tests.servers.own import own_server
from tests.servers.reach import url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.codecs.registry import Registry
    from tools.servers.server import Server


@pytest.fixture
def registry() -> SchemaRegistryConnection:
    """Return a connection to the registry; schemas stay in it, so a test takes subjects of its own."""
    return SchemaRegistryConnection("schemas", url=url("registry"))


@pytest.fixture
def own_registry() -> Iterator[Server]:
    """Yield an empty registry on a port of its own; it keeps nothing when it is stopped."""
    with own_server("registry") as server:
        yield server


def backward(registry: Registry, subject: str) -> None:
    """Have the registry refuse schemas by which older messages of the subject could not be read."""
    from confluent_kafka.schema_registry import ConfigCompatibilityLevel, SchemaRegistryClient, ServerConfig

    with SchemaRegistryClient({"url": registry.where.rpartition(" ")[2]}) as client:
        client.set_config(subject, ServerConfig(compatibility=ConfigCompatibilityLevel.BACKWARD))
