"""A project in YAML: `type: ematix_dagster.EmatixProject`, for `dg`.

No `from __future__ import annotations`: Dagster makes the schema of the YAML from the fields' types as they stand.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, TypeAlias

from dagster import (
    AssetAttributesModel,
    AssetSpec,
    Component,
    ComponentLoadContext,
    ComponentTypeSpec,
    Definitions,
    Injected,
    PartitionsDefinition,
    Resolvable,
    Resolver,
    scaffold_with,
)

from ematix_core.errors import ProjectError, near
from ematix_dagster.consuming import StreamConfig
from ematix_dagster.definitions import to_definitions
from ematix_dagster.resource import EmatixResource
from ematix_dagster.scaffolding import ProjectScaffolder
from ematix_dagster.translation import resolve_translation
from ematix_dagster.translator import EmatixTranslator, JobAsset

Translation: TypeAlias = Callable[[AssetSpec, JobAsset], AssetSpec]


@dataclass(frozen=True, kw_only=True)
class Override(Resolvable):
    """What is said of one workflow, or of one job that no workflow has."""

    partitions: Injected[PartitionsDefinition[str]] | None = None
    """A template, such as `"{{ dg.DailyPartitionsDefinition('2026-01-01') }}"`."""
    group: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StreamRuns(Resolvable):
    """How the runs of streams go: see StreamConfig."""

    seconds: float | None = StreamConfig().seconds
    until_idle: bool = StreamConfig().until_idle
    report_seconds: float = StreamConfig().report_seconds


@scaffold_with(ProjectScaffolder)
@dataclass(kw_only=True)
class EmatixProject(Component, Resolvable):
    """The jobs and streams of an ematix project as assets, its workflows as jobs, and the sensors that start them.

    `module`: a name, or the path of a `.py` file, or several, in `directory`; a relative path counts from the folder of
    the YAML file, which is the default. `translation`: attributes of the assets; its templates see `job`, `target`,
    `workflow` and `spec`. `workflows`: what holds for one workflow or job only. `store`, `connections`: as
    `EmatixResource` has them. `interval`: seconds between two looks of a sensor. `streams`: how their runs go.
    """

    module: str | list[str]
    directory: str | None = None
    translation: Annotated[Translation | None, Resolver(resolve_translation, model_field_type=AssetAttributesModel)] = (
        None
    )
    workflows: dict[str, Override] = field(default_factory=dict)
    store: str = ""
    connections: dict[str, str] = field(default_factory=dict)
    interval: int = 30
    streams: StreamRuns = field(default_factory=StreamRuns)

    @classmethod
    def get_spec(cls) -> ComponentTypeSpec:
        return ComponentTypeSpec(tags=["ematix", "elt"], produces=["asset", "asset_check", "job", "sensor", "resource"])

    def build_defs(self, context: ComponentLoadContext) -> Definitions:
        folder = context.component_path.file_path
        folder = folder if folder.is_dir() else folder.parent
        translator = _Translator(self)
        definitions = to_definitions(
            self.module,
            directory=folder / (self.directory or ""),
            translator=translator,
            partitions={name: one.partitions for name, one in self.workflows.items() if one.partitions is not None},
            resource=EmatixResource(store=self.store, connections=self.connections),
            interval=self.interval,
            streams=StreamConfig(**vars(self.streams)),
        )
        translator.check()
        return definitions

    def get_asset_spec(self, spec: AssetSpec, job: JobAsset) -> AssetSpec:
        """Return the asset of a table, given what the translator and the overrides say. For subclasses to override."""
        return self.translation(spec, job) if self.translation else spec


class _Translator(EmatixTranslator):
    """The overrides and the translation of a component, over the default."""

    def __init__(self, component: EmatixProject) -> None:
        self._component = component
        self._met: set[str] = set()

    def get_asset_spec(self, job: JobAsset) -> AssetSpec:
        spec = super().get_asset_spec(job)
        name = job.group or job.job.name
        self._met.add(name)
        if (override := self._component.workflows.get(name)) is not None:
            spec = spec.replace_attributes(group_name=override.group or spec.group_name)
            spec = spec.merge_attributes(tags=override.tags)
        return self._component.get_asset_spec(spec, job)

    def check(self) -> None:
        """Raise ProjectError for an override of a workflow that there is not."""
        for name in self._component.workflows:
            if name not in self._met:
                raise ProjectError(
                    f"workflows: unknown workflow {name!r}",
                    where=f"component {type(self._component).__name__}",
                    hint=near(name, self._met),
                )
