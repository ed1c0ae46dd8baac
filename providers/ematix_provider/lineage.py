"""What OpenLineage is told of a job's run: data read and written, columns and where each comes from, rows.

https://openlineage.io/docs/spec/facets. The package apache-airflow-providers-openlineage asks for it, when it is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ematix_core.errors import EmatixError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.openlineage.extractors import OperatorLineage

    from ematix_core import RunResult
    from ematix_core.orchestration import CompiledJob, CompiledTarget, Dataset, OpenSite


@dataclass(frozen=True)
class Movement:
    """What a run has moved: from which data sets into which, by the names that OpenLineage has for them."""

    inputs: Mapping[str, Dataset]
    """By the name of the table in the job's SQL."""
    outputs: Mapping[str, Dataset]
    """By the name of the target."""
    compiled: CompiledJob
    written: Mapping[str, int]
    """Rows inserted and updated, by the name of the target."""
    sql: str

    def facets(self) -> OperatorLineage[Any, Any]:
        """Return it as OpenLineage's objects. Raises ImportError without that package."""
        from airflow.providers.common.compat.openlineage.facet import InputDataset, OutputDataset, SQLJobFacet
        from airflow.providers.openlineage.extractors import OperatorLineage

        inputs = [InputDataset(namespace=one.namespace, name=one.name) for one in self.inputs.values()]
        outputs = [
            OutputDataset(
                namespace=self.outputs[target.name].namespace,
                name=self.outputs[target.name].name,
                facets=self._described(target),
                outputFacets=self._counted(target),
            )
            for target in self.compiled.targets
            if target.name in self.outputs
        ]
        known = {"sql": SQLJobFacet(query=self.sql)} if self.inputs and self.sql else {}
        return OperatorLineage(inputs=inputs, outputs=outputs, job_facets=known)

    def _described(self, target: CompiledTarget) -> dict[str, Any]:
        from airflow.providers.common.compat.openlineage.facet import (
            ColumnLineageDatasetFacet,
            Fields,
            InputField,
            SchemaDatasetFacet,
            SchemaDatasetFacetFields,
        )

        found: dict[str, Any] = {}
        if target.columns:
            columns = [SchemaDatasetFacetFields(name=name, type=kind) for name, kind in target.columns]
            found["schema"] = SchemaDatasetFacet(fields=columns)
        fields = {}
        for column, sources in self.compiled.lineage.items():
            places = [(self.inputs[table], name) for table, name in sources if table in self.inputs]
            made_of = [InputField(namespace=one.namespace, name=one.name, field=name) for one, name in places]
            if made_of:
                fields[column] = Fields(inputFields=made_of)
        if fields:
            found["columnLineage"] = ColumnLineageDatasetFacet(fields=fields)
        return found

    def _counted(self, target: CompiledTarget) -> dict[str, Any]:
        from airflow.providers.common.compat.openlineage.facet import OutputStatisticsOutputDatasetFacet

        if target.name not in self.written:
            return {}
        return {"outputStatistics": OutputStatisticsOutputDatasetFacet(rowCount=self.written[target.name])}


def movement(site: OpenSite, compiled: CompiledJob, result: RunResult) -> Movement:
    """Return what the run has moved. Connects to nothing; leaves out the data of connections that are not found."""
    return Movement(
        inputs={table: one for table in compiled.tables if (one := _dataset(site, compiled.source, table))},
        outputs={t.name: one for t in compiled.targets if (one := _dataset(site, t.connection, t.name))},
        compiled=compiled,
        written={target.target: target.inserted + target.updated for target in result.targets},
        sql=result.plan.query if result.plan else "",
    )


def _dataset(site: OpenSite, connection: str, table: str) -> Dataset | None:
    from ematix_core.orchestration import dataset

    try:
        return dataset(site, connection, table)
    except EmatixError:  # the run itself has said what there is to say of it
        return None
