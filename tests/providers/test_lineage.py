"""What OpenLineage is told of a job's run, as its own objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.openlineage.extractors import OperatorLineage

if TYPE_CHECKING:
    import pytest

    from tests.providers.place import Place

PROJECT = """
from typing import Annotated

import pyarrow as pa
import ematix_core as ematix
from ematix_core import pk
from ematix_core.types import BigInt, Text

@ematix.connection
class warehouse:
    kind = "duckdb"
    path = "warehouse.duckdb"

@ematix.table(schema="main")
class Names:
    id: Annotated[BigInt, pk()]
    name: Text

@ematix.job(target="main.people", target_connection=warehouse)
def people():
    return pa.table({"id": [1, 2], "first": ["a", "b"], "last": ["x", "y"]})

@ematix.job(target=Names, target_connection=warehouse, mode="merge")
def names():
    return "SELECT id, first || ' ' || last AS name FROM main.people"
"""
DAG = """
from airflow.sdk import DAG
from ematix_core.orchestration import compile_project
from ematix_provider.operators import EmatixJobOperator

compiled = compile_project("pipelines.py", directory={folder!r})
with DAG("lineage", schedule=None) as dag:
    first = EmatixJobOperator(task_id="people", job="people", compiled=compiled.job("people"))
    first >> EmatixJobOperator(task_id="names", job="names", compiled=compiled.job("names"))
"""


def lineage(place: Place, monkeypatch: pytest.MonkeyPatch, job: str) -> Any:  # noqa: ANN401 - OpenLineage's own objects
    """Run the DAG, and return what the job's operator tells OpenLineage."""
    from ematix_provider.operators import EmatixJobOperator

    told: dict[str, Any] = {}
    execute = EmatixJobOperator.execute

    def asked(self: EmatixJobOperator, context: Any) -> Any:  # noqa: ANN401 - Airflow's context
        result = execute(self, context)
        told[self.job] = self.get_openlineage_facets_on_complete(context["ti"])
        return result

    monkeypatch.setattr(EmatixJobOperator, "execute", asked)
    place.write(PROJECT)
    assert place.run(DAG.format(folder=str(place.folder))).state == "success"
    return told[job]


def test_data_sets_columns_and_counts_are_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    found = lineage(place, monkeypatch, "names")
    assert isinstance(found, OperatorLineage)
    namespace = f"duckdb://{place.folder}/warehouse.duckdb"
    assert [(one.namespace, one.name) for one in found.inputs] == [(namespace, "main.people")]
    (output,) = found.outputs
    assert (output.namespace, output.name) == (namespace, "main.names")
    fields = {field.name: field.type for field in output.facets["schema"].fields}
    assert list(fields) == ["id", "name"]
    made_of = {
        name: sorted(source.field for source in one.inputFields)
        for name, one in output.facets["columnLineage"].fields.items()
    }
    assert made_of == {"id": ["id"], "name": ["first", "last"]}
    assert output.outputFacets["outputStatistics"].rowCount == 2
    assert "FROM main.people" in found.job_facets["sql"].query


def test_rows_that_a_function_makes_have_an_output_and_no_input(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    found = lineage(place, monkeypatch, "people")
    assert found.inputs == []
    assert [one.name for one in found.outputs] == ["main.people"]
    assert found.job_facets == {}
