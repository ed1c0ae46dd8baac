"""What `dagster dev` loads: the whole project, with a tag of our own on each asset."""

from dagster import AssetSpec, DailyPartitionsDefinition
from ematix_dagster import EmatixTranslator, JobAsset, to_definitions


class Translator(EmatixTranslator):
    """Says in the catalog how each table is loaded."""

    def get_asset_spec(self, job: JobAsset) -> AssetSpec:
        """Return what the default says, with the mode as a tag."""
        return super().get_asset_spec(job).merge_attributes(tags={"mode": job.target.mode})


defs = to_definitions(
    "pipelines.py",
    translator=Translator(),
    partitions={"revenue_by_day": DailyPartitionsDefinition("2026-01-01")},
    interval=5,
)
