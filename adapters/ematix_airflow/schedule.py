"""When Airflow wakes a DAG: at each tick, and each success that its unit waits for. Whether it runs, the gate says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow import sdk
from airflow.sdk import Asset, AssetAny, AssetWatcher

from ematix_airflow.names import again_uri, job_uri, message_uri, workflow_uri
from ematix_airflow.timetable import EmatixTimetable

if TYPE_CHECKING:
    from ematix_airflow.source import Source
    from ematix_core.orchestration import Unit


def schedule_of(unit: Unit, source: Source) -> Any:  # noqa: ANN401 - Airflow has no public name for what `schedule` takes
    """Return what `DAG(schedule=...)` takes for the unit."""
    if unit.messages is not None:
        return _messages(unit, source.site)
    assets = [_asset(name, source) for name in unit.waits_for()]
    if unit.schedule is None:
        return AssetAny(*assets)
    if again := again_uri(unit):
        assets.append(Asset(again))
    timetable = EmatixTimetable(unit.schedule.cron, unit.schedule.timezone, unit.catchup)
    return _either(timetable, AssetAny(*assets)) if assets else timetable


def _asset(name: str, source: Source) -> Asset:
    """Return the asset of a name that a trigger has: of a workflow, a URI, else of a job.

    Not a reference to one: a DagRun that a reference wakes is not told of the event.
    """
    if "://" in name:
        return source.assets.get(name) or Asset(name)
    return Asset(workflow_uri(name) if name in source.workflows else job_uri(name))


def _either(timetable: EmatixTimetable, assets: AssetAny) -> Any:  # noqa: ANN401 - see above
    if not hasattr(sdk, "AssetOrTimeSchedule"):  # Airflow 3.1
        from airflow.timetables.assets import AssetOrTimeSchedule

        return AssetOrTimeSchedule(timetable=timetable, assets=assets)  # type: ignore[arg-type]  # 3.1 takes these
    return sdk.AssetOrTimeSchedule(timetable=timetable, assets=assets)  # type: ignore[arg-type]  # any timetable does


def _messages(unit: Unit, site: dict[str, Any]) -> Asset:
    from ematix_provider.messages import EmatixMessageTrigger

    watcher = AssetWatcher(name=f"ematix {unit.name}", trigger=EmatixMessageTrigger(workflow=unit.name, **site))
    return Asset(message_uri(unit.name), watchers=[watcher])
