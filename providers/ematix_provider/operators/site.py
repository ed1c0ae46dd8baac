"""What all operators share: where the project and its store are, and how an error of ours becomes one of Airflow's."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow.sdk import Context

    from ematix_core.orchestration import OpenSite
    from ematix_provider.hooks import EmatixHook

DEFAULT_CONNECTION = "ematix_default"


class EmatixOperator(BaseOperator):
    """An operator that works on a project.

    `ematix_conn_id`: the connection of type `ematix` that says where the store is; when `ematix_default` is absent, the
    environment and `ematix.toml` do. `modules` (names, or paths of `.py` files) and `directory` (the folder in which
    they and `ematix.toml` are): default what the connection says, then `[project]` in `ematix.toml` and the folder of
    the DAG's file.
    """

    template_fields: Sequence[str] = ("ematix_conn_id", "modules", "directory")
    ui_color = "#e8e4f8"

    def __init__(
        self,
        *,
        ematix_conn_id: str = DEFAULT_CONNECTION,
        modules: Sequence[str] | str = (),
        directory: str = "",
        **kwargs: Any,  # noqa: ANN401 - Airflow's own
    ) -> None:
        super().__init__(**kwargs)
        self.ematix_conn_id = ematix_conn_id
        self.modules = modules
        self.directory = directory

    def hook(self, context: Context) -> EmatixHook:
        """Return the hook, with this operator's modules and directory."""
        from pathlib import Path

        from ematix_provider.hooks import EmatixHook

        return EmatixHook(
            self.ematix_conn_id,
            modules=self.modules,
            directory=self.directory,
            default_directory=str(Path(context["dag"].fileloc).parent),
        )

    @contextmanager
    def opened(self, hook: EmatixHook) -> Iterator[OpenSite]:
        """Open the store and the project for one try of the task; an error of ours becomes one of Airflow's."""
        from ematix_core.errors import EmatixError
        from ematix_provider.failures import airflow_error

        try:
            with hook.site().opened() as site:
                yield site
        except EmatixError as error:
            failure = airflow_error(error, again=self.is_stopped, missing=hook.connections.missing)
            raise failure from error.__cause__

    @property
    def is_stopped(self) -> bool:
        """Whether Airflow has asked the task to stop."""
        return False
