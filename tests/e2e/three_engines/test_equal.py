"""One declaration, the same events, three engines: equal rows, equal records of runs, for equal reasons.

Each engine really runs: `flow scheduler`, `airflow standalone`, `dagster dev`, one after the other. What they made is
compared afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.three_engines.engines import ENGINES, settle
from tests.e2e.three_engines.world import IN_WAREHOUSE, TABLES, WORKFLOWS

if TYPE_CHECKING:
    from tests.e2e.three_engines.engines import Engine

pytestmark = pytest.mark.timeout(1200)

OTHERS = ("Airflow", "Dagster")
DONE = "succeeded"


def tell_the_story(engine: Engine) -> None:
    """Let happen what happens to the project, in this order, each thing once the last one's consequences are over."""
    world = engine.world
    engine.start("load")
    settle(world, {name: [DONE] for name in ("load", "totals", "fan_out", "either", "nested")})
    engine.start("stock")
    settle(world, {"stock": [DONE], "both": [DONE], "either": [DONE] * 2})
    world.second_day()
    engine.start("load")
    twice = {name: [DONE] * 2 for name in ("load", "totals", "fan_out", "nested")}
    settle(world, twice | {"either": [DONE] * 3, "both": [DONE]})
    engine.start("trying")
    settle(world, {"trying": [DONE]})
    engine.start("failing")
    settle(world, {"failing": ["failed"], "never": []})
    engine.fill("daily")
    settle(world, {"daily": [DONE] * 3})


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return the rows and the histories that each engine has left."""
    found = {}
    for name, start in ENGINES.items():
        with start(tmp_path_factory.mktemp(name) / "place") as engine:
            tell_the_story(engine)
        world = engine.world
        found[name] = {"rows": world.rows(), "histories": {one: world.history(one) for one in WORKFLOWS}}
    return found


@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize("table", [*TABLES, *(f"warehouse.{table}" for table in IN_WAREHOUSE)])
def test_rows_are_equal(told: dict[str, dict[str, Any]], engine: str, table: str) -> None:
    assert told[engine]["rows"][table] == told["native"]["rows"][table]


@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_runs_their_attempts_counts_and_reasons_are_equal(
    told: dict[str, dict[str, Any]], engine: str, workflow: str
) -> None:
    assert told[engine]["histories"][workflow] == told["native"]["histories"][workflow]


def test_the_story_has_something_of_everything(told: dict[str, dict[str, Any]]) -> None:
    rows, histories = told["native"]["rows"], told["native"]["histories"]
    assert len(rows["customers_history"]) == 5
    assert histories["trying"][0]["jobs"]["flaky"]["attempts"] == 2
    assert histories["failing"][0]["jobs"]["after_broken"]["status"] == "skipped"
    assert [line.split()[0] for line in histories["both"][0]["cause"]] == ["load", "stock"]
    assert rows["days"][1] == ("2026-03-28T23:00:00+00:00", "2026-03-29T22:00:00+00:00")  # 23 hours
