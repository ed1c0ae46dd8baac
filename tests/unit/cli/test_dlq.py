"""`flow dlq`: letters of streams whose rows a transform could not read."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ematix_core.streaming.replay import Replayed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.conftest import Flow

pytestmark = pytest.mark.slow

PIPELINES = """
import ematix_core as ematix

files = ematix.ObjectStoreConnection("files", path="in")
store = ematix.{kind}Connection("store", path="{path}")
orders = ematix.stream("orders", source=files, source_query="*.parquet", target=store, target_table="orders",
    transform_sql="SELECT k, CAST(v AS INTEGER) AS v FROM source", on_error="dead_letter")
"""
KINDS = {"SQLite": "t.sqlite", "DuckDB": "t.duckdb", "Delta": "lake", "ObjectStore": "lake"}


@pytest.fixture(params=KINDS)
def letters(request: pytest.FixtureRequest, folder: Path) -> list[str]:
    (folder / "pipelines.py").write_text(PIPELINES.format(kind=request.param, path=KINDS[request.param]))
    (folder / "ematix.toml").write_text('[project]\nmodules = ["pipelines"]\n')
    (folder / "in").mkdir()
    for name in ("a", "b"):
        pq.write_table(pa.table({"k": [1, 2], "v": ["1", f"bad {name}"]}), folder / "in" / f"{name}.parquet")
        os.utime(folder / "in" / f"{name}.parquet", (time.time() - 60,) * 2)
    from ematix_core.model.project import Project

    project = Project.load("pipelines")
    project.streams["orders"].consume(project, until_idle=True)
    return ["orders/a.parquet/1", "orders/b.parquet/1"]


def _listed(flow: Flow, *more: str) -> list[str]:
    result = flow("dlq", "list", "orders", "--json", *more)
    assert result.exit_code == 0, result.output
    return sorted(letter["letter_id"] for letter in json.loads(result.output)["streams"][0]["letters"])


def test_letters_of_two_files_have_ids_of_their_own_and_are_put_aside_and_back(flow: Flow, letters: list[str]) -> None:
    assert _listed(flow) == letters
    assert flow("dlq", "park", letters[0]).output == "1 letter parked\n"
    assert _listed(flow, "--state", "parked") == letters[:1]
    assert flow("dlq").output.splitlines()[-1] == "orders: 1 new, 1 parked, 0 replayed"
    assert flow("dlq", "park", "orders", "--all").output == "1 letter parked\n"
    assert flow("dlq", "unpark", "orders", "--all").output == "2 letters new again\n"


def test_letter_is_shown_with_what_it_was(flow: Flow, letters: list[str]) -> None:
    shown = json.loads(flow("dlq", "show", letters[1], "--json").output)["letters"]
    assert [one["record_value"] for one in shown] == [{"k": 2, "v": "bad b"}]
    unknown = flow("dlq", "show", "orders/a.parquet/2")
    assert unknown.exit_code == 2
    assert f"Did you mean '{letters[0]}'" in unknown.output
    assert "Did you mean 'orders'" in flow("dlq", "list", "order").output


def test_many_letters_are_a_line_for_each_error(flow: Flow, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "pipelines.py").write_text(PIPELINES.format(kind="SQLite", path="t.sqlite"))
    failed = {f"orders/a/{number}": f"no number: '{number}' at {number}.5" for number in range(5_000)}
    failed |= {"orders/b/1": "it isn't there", "orders/b/2": "it isn't here"}
    monkeypatch.setattr("ematix_core.streaming.replay.replay_letters", lambda *_, **__: Replayed(1, failed))
    assert flow("dlq", "replay", "pipelines.py", "orders", "--all").output.splitlines() == [
        "1 letter loaded, 5,002 failed again",
        "5,000 letters, orders/a/0, orders/a/1, orders/a/2 and 4,997 more: no number: '0' at 0.5",
        "orders/b/1: it isn't there",
        "orders/b/2: it isn't here",
    ]
    data = json.loads(flow("dlq", "replay", "pipelines.py", "orders", "--all", "--json").output)
    assert data == {"loaded": 1, "failed": failed, "notes": []}


def test_purge_takes_yes_and_spares_the_other_states_and_the_young(flow: Flow, letters: list[str]) -> None:
    refused = flow("dlq", "purge", "orders")
    assert refused.exit_code == 2
    assert "pass --yes" in refused.output
    flow("dlq", "park", letters[0])
    assert flow("dlq", "purge", "orders", "--older-than", "1 day", "--yes").output == "0 letters deleted\n"
    assert flow("dlq", "purge", "orders", "--state", "parked", "--yes").output == "1 letter deleted\n"
    assert _listed(flow, "--state", "all") == letters[1:]
    time.sleep(0.01)
    assert flow("dlq", "purge", "orders", "--older-than", "1 millisecond", "--yes").output == "1 letter deleted\n"
