"""A project's folder and the DAGs of one test, run by a real Airflow."""

from __future__ import annotations

import runpy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ematix_core.orchestration import OpenSite


@dataclass(frozen=True)
class Place:
    """A project's folder, which DAGs find by the connection `ematix_default`, and Airflow's folder of DAGs."""

    folder: Path
    dags: Path

    @property
    def dag_file(self) -> Path:
        """The file of the test's DAG."""
        return self.dags / f"{self.folder.name}.py"

    def write(self, text: str) -> None:
        """Write the project's module."""
        (self.folder / "pipelines.py").write_text(text)

    def run(self, dag: str, **options: Any) -> Any:  # noqa: ANN401 - a DagRun, which Airflow has no public name for
        """Run the text of a DAG's file, which makes `dag`, as `airflow dags test` does. Return its DagRun."""
        self.dag_file.write_text(dag)
        return runpy.run_path(str(self.dag_file))["dag"].test(**options)

    def opened(self) -> AbstractContextManager[OpenSite]:
        """Open the project's store."""
        from ematix_core.orchestration import Site

        return Site(modules=("pipelines.py",), directory=str(self.folder)).opened()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return what a query of the project's DuckDB file gives."""
        import duckdb

        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()


def xcom(run: Any, task_id: str, key: str = "return_value") -> Any:  # noqa: ANN401 - a DagRun, and whatever a task returned
    """Return what a task of the DagRun has pushed."""
    return run.get_task_instance(task_id).xcom_pull(task_ids=task_id, key=key)


def state(run: Any, task_id: str) -> str:  # noqa: ANN401 - a DagRun
    """Return the state of a task of the DagRun."""
    return str(run.get_task_instance(task_id).state)
