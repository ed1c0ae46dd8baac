"""A move of data that is declared in the DAG's file itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ematix_provider.operators.job import EmatixJobOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ematix_core import Job
    from ematix_core.orchestration import OpenSite


class EmatixMoveOperator(EmatixJobOperator):
    """Reads from one connection and loads into a table of another, by any of ematix's modes.

    `source_conn_id`, `target_conn_id`: connections of Airflow, of the environment, or of `ematix.toml`; the source's
    default is the target's. `query` (SQL of the source, or a file `*.sql`) or `source_table`. `target`: the table.
    `mode`: "append", "truncate", "merge", "scd2", or what `ematix.merge(keys=[...])` gives, or the same as a dict.
    `watermark`: a column; only rows at or above its last value are read. `options`: further ones of `@ematix.job`, such
    as `on_drift`, `checks`, `transforms`. The DagRun's data interval is `:slice_start` and `:slice_end` in the query,
    and `parameters` are further values: they are bound, while `{{ ... }}` is pasted by Airflow. The job is named after
    the task, `<dag>.<task>` unless `name` says otherwise: its runs, and its high-water mark, go by that.
    """

    template_fields: Sequence[str] = (
        "ematix_conn_id", "directory", "source_conn_id", "target_conn_id", "query", "source_table", "target",
        "parameters",
    )  # fmt: skip
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers = {"query": "sql", "parameters": "json"}  # noqa: RUF012 - as Airflow declares it
    ui_color = "#d8f0e4"

    def __init__(
        self,
        *,
        target_conn_id: str,
        target: str,
        source_conn_id: str = "",
        query: str = "",
        source_table: str = "",
        mode: Any = "append",  # noqa: ANN401 - whatever @ematix.job takes
        watermark: str | None = None,
        options: Mapping[str, Any] | None = None,
        name: str = "",
        **kwargs: Any,  # noqa: ANN401 - Airflow's own
    ) -> None:
        super().__init__(job=name, **kwargs)
        self.source_conn_id = source_conn_id
        self.target_conn_id = target_conn_id
        self.query = query
        self.source_table = source_table
        self.target = target
        self.mode = mode
        self.watermark = watermark
        self.options = dict(options or {})

    def declared(self, site: OpenSite) -> OpenSite:
        """Return the site with a project of this one job. Raises DeclarationError for what contradicts itself."""
        self.job = self.job or f"{self.dag_id}.{self.task_id}"
        return site.of(self._job())

    def _job(self) -> Job:
        import ematix_core as ematix

        declare = ematix.job(
            name=self.job, target=self.target, target_connection=self.target_conn_id,
            source_connection=self.source_conn_id or self.target_conn_id, source_table=self.source_table,
            mode=self.mode, watermark=self.watermark, **self.options,
        )  # fmt: skip
        query = self.query or None
        return declare(lambda: query)
