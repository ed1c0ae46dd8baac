"""The kinds of servers there are, and where this checkout keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.servers.azure import Azure
from tools.servers.kafka import Kafka
from tools.servers.mariadb import MariaDB
from tools.servers.mysql import MySQL
from tools.servers.postgres import Postgres
from tools.servers.registry import Registry
from tools.servers.s3 import S3
from tools.servers.system import home
from tools.servers.tls import certificates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.servers.server import Server

KINDS: dict[str, type[Server]] = {
    "postgres": Postgres,
    "mariadb": MariaDB,
    "mysql": MySQL,
    "s3": S3,
    "kafka": Kafka,
    "registry": Registry,
    "azure": Azure,
}


def make(kind: str, *, instance: str = "main", options: Sequence[str] = ()) -> Server:
    """Return a server of this kind, in this checkout's folder; it may run already. `options` go to its command line."""
    folder = home()
    return KINDS[kind](folder, certificates(folder / "tls"), instance=instance, options=options)
