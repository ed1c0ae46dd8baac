"""What a component's YAML says of assets, put over what the translator says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dagster import Model, Resolvable, ResolvedAssetSpec
from pydantic import ConfigDict

if TYPE_CHECKING:
    from collections.abc import Callable

    from dagster import AssetSpec, ResolutionContext
    from pydantic import BaseModel

    from ematix_dagster.translator import JobAsset

_MERGED = ("metadata", "tags")
"""What is added to, and not put in place of, what is there."""


class _Resolved(Resolvable, Model):
    """An asset of which YAML says everything: the way in which Dagster resolves its own attributes of assets."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    asset: ResolvedAssetSpec


def resolve_translation(context: ResolutionContext, model: BaseModel) -> Callable[[AssetSpec, JobAsset], AssetSpec]:
    """Return what puts the attributes over an asset. Templates see `job`, `target`, `workflow` and `spec`."""

    def translate(spec: AssetSpec, job: JobAsset) -> AssetSpec:
        scope = context.with_scope(spec=spec, job=job.job, target=job.target, workflow=job.group)
        return _over(spec, scope, model.model_dump(exclude_unset=True))

    return translate


def _over(spec: AssetSpec, context: ResolutionContext, said: dict[str, Any]) -> AssetSpec:
    """Return the asset with what is said of it in YAML."""
    prefix = context.at_path("key_prefix").resolve_value(said.pop("key_prefix", None))
    asset = {"key": spec.key.to_escaped_user_string(), **said}
    resolved = _Resolved.resolve_from_model(context, _Resolved.model()(asset=asset)).asset
    key = resolved.key.with_prefix(prefix) if prefix else resolved.key
    replaced = {name: getattr(resolved, name) for name in said if name not in (*_MERGED, "key")}
    merged = {name: getattr(resolved, name) for name in said if name in _MERGED}
    return spec.replace_attributes(key=key, **replaced).merge_attributes(**merged)
