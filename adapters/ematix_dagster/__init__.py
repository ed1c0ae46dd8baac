"""Dagster runs what ematix declares: `defs = to_definitions("my_pipelines")`.

The names are looked up when first used, so that importing this loads no more than it has to.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ematix_dagster.assets import ematix_assets
    from ematix_dagster.component import EmatixProject
    from ematix_dagster.consuming import StreamConfig
    from ematix_dagster.definitions import to_definitions
    from ematix_dagster.resource import EmatixResource
    from ematix_dagster.translator import EmatixTranslator, JobAsset

_HOME_OF = {
    "EmatixProject": "ematix_dagster.component",
    "EmatixResource": "ematix_dagster.resource",
    "EmatixTranslator": "ematix_dagster.translator",
    "JobAsset": "ematix_dagster.translator",
    "StreamConfig": "ematix_dagster.consuming",
    "ematix_assets": "ematix_dagster.assets",
    "to_definitions": "ematix_dagster.definitions",
}

__all__ = [
    "EmatixProject", "EmatixResource", "EmatixTranslator", "JobAsset", "StreamConfig", "ematix_assets",
    "to_definitions",
]  # fmt: skip


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
