"""How many jobs a second: the scheduler and its store alone, and with the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.scheduler.site import Site, new_store

if TYPE_CHECKING:
    from ematix_core.store import Run


def jobs_a_second(store: str, executor: str, rounds: int) -> list[float]:
    """Return for each round how many independent jobs of one workflow ran a second, from its start to the last end.

    400 jobs, or 100 where each is a process.
    """
    workflow = "some" if executor == "process" else "wide"
    with new_store(store) as url, Site(url, executor) as site:
        site.run("pulse")  # the first run imports, and opens connections
        return [_rate(site, site.run(workflow)) for _ in range(rounds)]


def _rate(site: Site, runs: list[Run]) -> float:
    begun = site.store.workflow_run(runs[0].workflow_run_id or "").started_at
    ended = max(run.finished_at for run in runs if run.finished_at)
    return len(runs) / (ended - begun).total_seconds()
