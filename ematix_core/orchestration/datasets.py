"""Tables and files by the names that OpenLineage has for them: https://openlineage.io/docs/spec/naming."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ematix_core.engine.environment import Environment

if TYPE_CHECKING:
    from ematix_core.model.connection import Connection
    from ematix_core.orchestration.site import OpenSite


@dataclass(frozen=True)
class Dataset:
    """Where the data is, such as `postgres://db.example.com:5432`, and what it is called there."""

    namespace: str
    name: str


def dataset(site: OpenSite, connection: Connection | str, table: str) -> Dataset:
    """Return what a table, or a path of files, of a connection is called. Connects to nothing.

    A table of PostgreSQL without a schema is taken for one of `public`. Files of SQLite and DuckDB, for which there is
    no rule, are a namespace of their own: `sqlite:///data/shop.db`. Raises what looking up the connection raises.
    """
    environment = Environment(project=site.project, settings=site.settings, redactor=site.redactor)
    found = environment.connection(connection)
    match found.kind:
        case "postgres":
            from ematix_core.backends.postgres.address import address

            place = address(found)
            schema = "" if "." in table else "public."
            return Dataset(f"postgres://{place.host}:{place.port}", f"{place.database}.{schema}{table}")
        case "mysql":
            from ematix_core.backends.mysql.address import address as mysql_address

            server = mysql_address(found)
            database = "" if "." in table else f"{server.database}."
            return Dataset(f"mysql://{server.host}:{server.port}", f"{database}{table}")
        case "objects":
            return Dataset("file", str(Path(_path(found, site), table)))
        case kind:
            path = _path(found, site)
            return Dataset(f"{kind}://{path}" if path else kind, table)


def _path(connection: Connection, site: OpenSite) -> str:
    path = str(connection.settings().get("path") or "")
    return str(Path(site.site.directory, Path(path).expanduser()).absolute()) if path else ""
