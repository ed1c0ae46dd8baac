"""Airflow's connections as ematix's: a job's `source_connection="shop"` finds Airflow's connection `shop`.

What stands in an Airflow connection is literal: a `${` in a password is no reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import ematix_core as ematix
from ematix_core.errors import ConfigError, UnsupportedError
from ematix_provider import services
from ematix_provider.literals import literal, options_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.sdk import Connection as AirflowConnection

# What Airflow's own hooks read of the extra, and what says nothing about where the data is:
# https://airflow.apache.org/docs/apache-airflow-providers-postgres/stable/connections/postgres.html
# https://airflow.apache.org/docs/apache-airflow-providers-mysql/stable/connections/mysql.html
# We read and write UTF-8 whatever `charset` says, and keep connections alive ourselves.
_OF_HOOKS = frozenset({
    "cursor", "sqlalchemy_scheme", "sqlalchemy_query", "log_sql", "enable_log_db_messages", "client", "charset",
    "client_encoding", "use_unicode", "local_infile", "keepalives", "keepalives_idle", "keepalives_interval",
    "keepalives_count", "use_sqlalchemy_creator",
})  # fmt: skip
_BY_TOKEN = ("iam", "redshift", "redshift-serverless", "azure_conn_id")
"""Extras by which a hook fetches a password of short life from a cloud."""


class AirflowConnections(Mapping[str, ematix.Connection]):
    """Connections by Airflow's connection id, each asked for when it is looked up, once.

    Its length is 0: Airflow gives a connection to whoever names it, and no list of them.
    """

    def __init__(self) -> None:
        self._found: dict[str, ematix.Connection | None] = {}

    def __getitem__(self, name: str) -> ematix.Connection:
        """Return the connection. Raises KeyError for none, UnsupportedError for a type that we have no backend for."""
        if name not in self._found:
            found = airflow_connection(name)
            self._found[name] = None if found is None else as_ours(name, found)
        connection = self._found[name]
        if connection is None:
            raise KeyError(name)
        return connection

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    @property
    def missing(self) -> tuple[str, ...]:
        """The names that were asked for and that Airflow does not have."""
        return tuple(name for name, connection in self._found.items() if connection is None)


def airflow_connection(conn_id: str) -> AirflowConnection | None:
    """Return Airflow's connection; None when no such one is defined."""
    from airflow.providers.common.compat.sdk import AirflowNotFoundException
    from airflow.sdk import BaseHook

    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return None


def as_ours(name: str, found: AirflowConnection) -> ematix.Connection:
    """Return the ematix connection `name` for one of Airflow's.

    Raises UnsupportedError for a type that ematix has no backend for, or a way of logging in that it does not have;
    ConfigError for a connection that does not say where the data is.
    """
    kind = (found.conn_type or "").replace("-", "_")
    build = _TYPES.get(kind)
    if build is None:
        raise UnsupportedError(
            f"Airflow's connection {name!r} is of type {kind or 'none'!r}, which ematix has no backend for",
            where=f"connection {name}",
            hint=f"It can use the types {', '.join(_TYPES)}; or declare the connection in the project.",
        )
    return build(name, found)


def _postgres(name: str, found: AirflowConnection) -> ematix.Connection:
    parameters, options = _extra(name, found)
    return ematix.PostgresConnection(name, url=_url("postgresql", found, parameters), options=options)


def _mysql(name: str, found: AirflowConnection) -> ematix.Connection:
    parameters, options = _extra(name, found)
    tls = parameters.pop("ssl", None)
    if isinstance(tls, Mapping):  # as MySQLdb has it: {"ssl": {"ca": ..., "cert": ..., "key": ...}}
        parameters |= {f"ssl_{key}": value for key, value in tls.items()}
    elif tls is not None:
        parameters["ssl_mode"] = "REQUIRED" if tls not in {False, "", "false", "0"} else "PREFERRED"
    return ematix.MySQLConnection(name, url=_url("mysql", found, parameters, host="localhost"), options=options)


def _sqlite(name: str, found: AirflowConnection) -> ematix.Connection:
    return ematix.SQLiteConnection(name, path=_path(name, found), options=_extra(name, found)[1])


def _duckdb(name: str, found: AirflowConnection) -> ematix.Connection:
    return ematix.DuckDBConnection(name, path=_path(name, found), options=_extra(name, found)[1])


def _folder(name: str, found: AirflowConnection) -> ematix.Connection:
    extra, options = _extra(name, found)
    own = {"format": str(extra["format"])} if extra.get("format") else {}
    return ematix.ObjectStoreConnection(name, path=_path(name, found), options=options, **own)


def _of_url(name: str, found: AirflowConnection) -> ematix.Connection:
    from ematix_core.orchestration import connection_from_url

    url = found.extra_dejson.get("url")
    if not url:
        raise ConfigError(
            f"Airflow's connection {name!r} says where a store is, and not where data is", where=f"connection {name}",
            hint="Fill in its field 'Data connection (URL)': duckdb:////data/warehouse.duckdb, file:///landing, ...",
        )  # fmt: skip
    return connection_from_url(name, str(url), where=f"Airflow's connection {name}")


_TYPES: dict[str, Callable[[str, AirflowConnection], ematix.Connection]] = {
    "postgres": _postgres,
    "postgresql": _postgres,
    "mysql": _mysql,
    "sqlite": _sqlite,
    "duckdb": _duckdb,
    "fs": _folder,
    "file": _folder,
    "aws": services.aws,
    "google_cloud_platform": services.google,
    "kafka": services.kafka,
    "ematix": _of_url,
}


def _extra(name: str, found: AirflowConnection) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the extra says of the connection, and the options of ours in it."""
    extra = {key: value for key, value in found.extra_dejson.items() if value is not None and key not in _OF_HOOKS}
    for key in _BY_TOKEN:
        if extra.pop(key, None) not in {None, False, "", "false", "False"}:
            raise UnsupportedError(
                f"Airflow's connection {name!r} logs in by {key}, which ematix cannot do", where=f"connection {name}",
                hint="Give it a user and a password.",
            )  # fmt: skip
    return extra, options_of(name, extra)


def _url(scheme: str, found: AirflowConnection, parameters: Mapping[str, Any], *, host: str = "") -> str:
    """Return the URL; all parts are quoted, so that any letter survives, and `$` is none of a reference."""
    return database_url(
        scheme, login=found.login, password=found.password, host=found.host or host, port=found.port,
        database=found.schema, parameters=parameters,
    )  # fmt: skip


def database_url(
    scheme: str,
    *,
    login: str | None,
    password: str | None,
    host: str | None,
    port: int | None,
    database: str | None,
    parameters: Mapping[str, Any] | None = None,
) -> str:
    """Return the URL of a database; every part is quoted."""
    user = quote(login or "", safe="") + (f":{quote(password, safe='')}" if password else "")
    place = (host or "").strip()
    if place.count(":") > 1 and not place.startswith("["):  # an IPv6 address
        place = f"[{place}]"
    place = quote(place, safe="[]:,") + (f":{port}" if port else "")
    query = urlencode({key: _text(value) for key, value in (parameters or {}).items()})
    return (
        f"{scheme}://{user}{'@' if user else ''}{place}/{quote(database or '', safe='')}{'?' if query else ''}{query}"
    )


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _path(name: str, found: AirflowConnection) -> str:
    """Return the path of a file or folder: the extra's, else host and schema, into which Airflow splits a URI's."""
    given = found.extra_dejson.get("path")
    path = str(given) if given else "/".join(part for part in (found.host, found.schema) if part)
    if found.conn_type == "file" and not given and not found.host and not path.startswith("/"):
        path = f"/{path}"  # file:///data: Airflow takes the slash away
    if not path.strip("/"):
        raise ConfigError(
            f"Airflow's connection {name!r} names no path", where=f"connection {name}",
            hint='Write it into Host, or into the extra: {"path": "/data/warehouse"}.',
        )  # fmt: skip
    return literal(path)
