"""The hook: an Airflow connection of type `ematix` as the place where a project and its store are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseHook

from ematix_core.errors import ConfigError
from ematix_provider.connections import AirflowConnections, airflow_connection, database_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Connection as AirflowConnection

    from ematix_core.orchestration import Site

_MANY = 1_000


class EmatixHook(BaseHook):
    """Gives the `Site` of a project: its modules, its directory, its store, with Airflow's connections for its jobs.

    `modules` and `directory` hold over what the connection says; `default_directory` when neither says one. Without a
    connection `ematix_default` the environment (`EMATIX_STORE`) and `ematix.toml` say where the store is; any other one
    has to be there.
    """

    conn_name_attr = "ematix_conn_id"
    default_conn_name = "ematix_default"
    conn_type = "ematix"
    hook_name = "ematix"

    def __init__(
        self,
        ematix_conn_id: str = default_conn_name,
        *,
        modules: Sequence[str] | str = (),
        directory: str = "",
        default_directory: str = ".",
    ) -> None:
        super().__init__()
        self.ematix_conn_id = ematix_conn_id
        self._modules = _listed(modules)
        self._directory = directory
        self._default_directory = default_directory
        self._known: dict[str, Any] | None = None
        self.connections = AirflowConnections()

    def get_conn(self) -> Site:
        """Return the site, as `site` does."""
        return self.site()

    def site(self) -> Site:
        """Return the site. Raises ConfigError for an absent connection, or one that is none of ours."""
        from ematix_core.orchestration import Site

        known = self._settings()
        return Site(
            modules=self._modules or _listed(known.get("modules") or ()),
            directory=self._directory or known.get("directory") or self._default_directory,
            store=known.get("store") or "",
            connections=self.connections,
        )

    def run_url(self, run_id: str) -> str:
        """Return the address of a run's page; empty when the connection does not say where the pages are."""
        return self._page(f"runs/{run_id}")

    def stream_url(self, stream: str) -> str:
        """Return the address of a stream's page; empty when the connection does not say where the pages are."""
        return self._page(f"streams/{quote(stream, safe='')}")

    def test_connection(self) -> tuple[bool, str]:
        """Open the store, and tell the version and how many runs it has: the test button of the form."""
        from importlib.metadata import version

        from ematix_core.errors import EmatixError

        try:
            with self.site().opened() as site:
                runs = len(site.store.runs(limit=_MANY + 1))
        except EmatixError as error:
            return False, str(error)
        count = f"more than {_MANY:,}" if runs > _MANY else f"{runs:,}"
        return (
            True,
            f"ematix {version('ematix')}: the store opens, and has {count} run{'' if runs == 1 else 's'} of jobs",
        )

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the fields of the form, for Airflow before 3.2; later ones read them in `ematix_provider.info`."""
        from flask_appbuilder.fieldwidgets import (  # type: ignore[import-not-found]  # Airflow before 3.2 stands in for it
            BS3TextFieldWidget,
        )
        from wtforms import StringField  # type: ignore[import-untyped]  # and for this

        from ematix_provider.info import CONNECTION_FIELDS

        return {
            name: StringField(field["label"], widget=BS3TextFieldWidget(), description=field["description"])
            for name, field in CONNECTION_FIELDS.items()
        }

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return which fields the form hides and renames, for Airflow before 3.2."""
        from ematix_provider.info import FIELD_BEHAVIOUR

        return {key.replace("-", "_"): value for key, value in FIELD_BEHAVIOUR.items()}

    def _page(self, path: str) -> str:
        base = str(self._settings().get("web_url") or "").rstrip("/")
        return f"{base}/{path}" if base else ""

    def _settings(self) -> dict[str, Any]:
        """Return what the connection says; nothing for the default one when it is absent."""
        if self._known is None:
            found = airflow_connection(self.ematix_conn_id)
            if found is None and self.ematix_conn_id != self.default_conn_name:
                raise ConfigError(
                    f"Airflow has no connection {self.ematix_conn_id!r}", where=f"ematix_conn_id={self.ematix_conn_id}",
                    hint=f"Add it: airflow connections add {self.ematix_conn_id} --conn-type ematix --conn-extra "
                    '\'{"store": "postgresql://user:${STORE_PASSWORD}@host/ematix"}\'; or leave ematix_conn_id= away: '
                    "then EMATIX_STORE or ematix.toml says where the store is.",
                )  # fmt: skip
            self._known = {} if found is None else _said(found)
        return self._known


def _said(found: AirflowConnection) -> dict[str, Any]:
    if found.conn_type != EmatixHook.conn_type:
        raise ConfigError(
            f"Airflow's connection {found.conn_id!r} is of type {found.conn_type!r}, not ematix",
            where=f"ematix_conn_id={found.conn_id}",
            hint="Name a connection of type ematix, which says where the store is.",
        )  # fmt: skip
    known = dict(found.extra_dejson)
    if not known.get("store") and found.host:
        known["store"] = database_url(
            str(known.get("database") or "postgresql"), login=found.login, password=found.password, host=found.host,
            port=found.port, database=found.schema,
        )  # fmt: skip
    return known


def _listed(modules: Sequence[str] | str) -> tuple[str, ...]:
    """Return the modules of a list, or of a text with commas."""
    names = modules.split(",") if isinstance(modules, str) else modules
    return tuple(name.strip() for name in names if name.strip())
