"""`flow streams state`: what windows keep, where, and how it is forgotten."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.unit.cli.conftest import CLICKS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.conftest import Flow

pytestmark = pytest.mark.usefixtures("clicks")
WINDOW = """
counts = ematix.stream("counts", source=files, source_query="*.json", target=store, target_table="counts",
    transform_sql="SELECT TIMESTAMPTZ '2026-06-01 10:00:00Z' + to_minutes(CAST(id AS BIGINT)) AS at FROM source",
    window=ematix.tumbling("2 minutes", on="at", aggregate={"n": "count"}))
"""
JOINED = """
SQL = "SELECT id, TIMESTAMPTZ '2026-06-01 10:00:00Z' + to_minutes(CAST(id AS BIGINT)) AS {}_at FROM source"
sides = [ematix.side(name, source=files, source_query="*.json", on_time=f"{name}_at", transform_sql=SQL.format(name))
         for name in ("seen", "again")]
pairs = ematix.stream("pairs", source=ematix.join(*sides, on="id", within="0 minutes"), target=store,
    target_table="pairs", window=ematix.tumbling("2 minutes", on="seen_at", aggregate={"n": "count"}))
"""


@pytest.fixture
def counting(folder: Path, flow: Flow) -> Flow:
    """Give the project a stream with a window, beside `clicks`, which has none."""
    (folder / "pipelines.py").write_text(CLICKS + WINDOW)
    return flow


def test_the_state_is_shown_before_and_after_the_first_checkpoint(counting: Flow, folder: Path) -> None:
    assert counting("streams", "state").stdout == (
        f"counts into counts: state none yet, in {folder}/.ematix/state/counts:store:counts\n"
    )
    assert counting("consume", "counts", "--until-idle").exit_code == 0
    first, second, third, fourth = counting("streams", "state", "counts").stdout.splitlines()
    assert first.startswith("counts into counts: state 000000000001-")
    assert second.startswith("  1 open groups, ")
    assert second.endswith(" bytes in 1 segments")
    assert third == "  watermark: 2026-06-01T10:04:00+00:00"
    assert fourth == "  newest of partition 0: 2026-06-01T10:04:00+00:00"
    (state,) = json.loads(counting("streams", "state", "--json").stdout)["states"]
    assert (state["groups"], state["segments"], state["watermark"]) == (1, 1, "2026-06-01T10:04:00+00:00")


def test_reset_forgets_what_is_open_and_needs_a_name(counting: Flow) -> None:
    counting("consume", "counts", "--until-idle")
    assert "  0 open groups" in counting("streams", "state", "counts", "--reset").stdout
    refused = counting("streams", "state", "--reset")
    assert (refused.exit_code, "--reset needs the name of a stream." in refused.stderr) == (2, True)


def test_a_stream_without_a_window_keeps_none(counting: Flow) -> None:
    result = counting("streams", "state", "clicks")
    assert result.exit_code != 0
    assert "the stream keeps no state: it has no window=, and joins nothing (stream clicks)" in result.stderr


def test_windows_are_for_one_process(counting: Flow) -> None:
    result = counting("consume", "counts", "--until-idle", "--parallel", "2")
    assert result.exit_code != 0
    assert "one consumer keeps the windows" in result.stderr
    assert "Leave --parallel out." in result.stderr


def test_of_a_join_with_a_window_what_waits_and_what_is_open_are_shown(folder: Path, flow: Flow) -> None:
    (folder / "pipelines.py").write_text(CLICKS + JOINED)
    flow("consume", "pairs", "--until-idle")
    _, second, third, *newest = flow("streams", "state", "pairs").stdout.splitlines()
    assert second.startswith("  2 rows that wait, 1 open groups, ")
    assert third == "  watermark: 2026-06-01T10:04:00+00:00"
    assert {line.split("/")[0] for line in newest} == {"  newest of partition seen", "  newest of partition again"}
