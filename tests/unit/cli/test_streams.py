"""`flow streams`, and streams in `flow list`, `validate`, `pause`: what there is, and how its consumers fare."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from ematix_core.cli.options import complete_names
from ematix_core.config.settings import Settings
from ematix_core.store import EventKind, open_store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.conftest import Flow

pytestmark = pytest.mark.usefixtures("clicks")


def test_a_stream_without_consumer_says_so_and_one_that_has_ended_has_its_last(flow: Flow) -> None:
    assert flow("streams").stdout.splitlines()[1].split()[:4] == ["clicks", "clicks", "no", "consumer"]
    assert flow("consume", "clicks", "--until-idle").exit_code == 0
    assert flow("streams", "list").stdout.splitlines()[1].split()[:4] == ["clicks", "clicks", "stopped", "4"]
    (stream,) = json.loads(flow("streams", "--json").stdout)["streams"]
    (consumer,) = stream["consumers"]
    assert (consumer["status"], consumer["stats"]["batches"], consumer["pid"]) == ("stopped", 1, os.getpid())


def test_show_tells_delivery_consumers_and_positions(flow: Flow) -> None:
    flow("consume", "clicks", "--until-idle")
    shown = flow("streams", "show", "clicks").stdout
    assert "writes clicks (append): effectively once" in shown
    assert "consumer of clicks: stopped" in shown
    assert "4 records" in shown
    (document,) = json.loads(flow("streams", "show", "clicks", "--json").stdout)["streams"]
    assert (document["stream"], document["columns"][:2]) == ("clicks", ["id", "price"])
    assert document["consumers"][0]["stats"]["records"] == 4


def test_show_tells_of_consumers_also_when_the_source_is_gone(flow: Flow, folder: Path) -> None:
    flow("consume", "clicks", "--until-idle")
    (folder / "in").rename(folder / "elsewhere")
    result = flow("streams", "show", "clicks")
    assert result.exit_code == 1
    assert "what it does cannot be told: " in result.stdout
    assert "consumer of clicks: stopped" in result.stdout
    result = flow("streams", "show", "clicks", "--json")
    assert result.exit_code == 1
    (document,) = json.loads(result.stdout)["streams"]
    assert "there is no folder" in document["error"]
    assert document["consumers"][0]["stats"]["records"] == 4


def test_unknown_stream_is_met_with_the_near_name(flow: Flow) -> None:
    result = flow("streams", "show", "clics")
    assert result.exit_code == 2
    assert "Did you mean 'clicks'" in result.stderr


def test_list_shows_streams_and_by_name_only_these(flow: Flow) -> None:
    assert "clicks  append  files: *.json  store.clicks  fail" in flow("list").stdout
    assert json.loads(flow("list", "--json").stdout)["streams"][0]["targets"] == [
        {"table": "clicks", "connection": "store", "mode": "append"}
    ]
    assert [line.split()[0] for line in flow("list", "clicks").stdout.splitlines()] == ["stream", "clicks"]


def test_validate_counts_streams_and_knows_their_names(flow: Flow) -> None:
    assert flow("validate", "clicks").stdout == "ok: 0 jobs, 0 workflows, 1 stream, 2 connections, 0 tables\n"


def test_a_tab_completes_names_of_streams(flow: Flow) -> None:
    del flow
    assert complete_names(None, None, "cl") == ["clicks"]  # type: ignore[arg-type]  # neither is looked at


def test_a_stream_is_paused_and_resumed(flow: Flow) -> None:
    assert flow("pause", "clicks").stdout == "clicks: paused; `flow resume clicks` lets it go on\n"
    assert flow("resume", "clicks").stdout == "clicks: resumed\n"
    with open_store(Settings.load().store) as store:
        assert [(one.kind, one.name) for one in store.events()] == [
            (EventKind.PAUSED, "clicks"), (EventKind.RESUMED, "clicks"),
        ]  # fmt: skip


def test_a_name_that_is_no_stream_is_not_paused(flow: Flow) -> None:
    result = flow("pause", "clics")
    assert result.exit_code == 2
    assert "Did you mean 'clicks'" in result.stderr


def test_a_project_without_streams_says_how_to_declare_one(flow: Flow, folder: Path) -> None:
    (folder / "pipelines.py").write_text("import ematix_core\n")
    for command in ("streams", "consume"):
        result = flow(command)
        assert result.exit_code == 2
        assert "docs/how-to/streams.md" in result.stderr


def test_drop_is_for_named_streams_whose_system_keeps_something(flow: Flow) -> None:
    assert flow("streams", "drop").exit_code == 2
    refused = flow("streams", "drop", "clicks")
    assert refused.exit_code != 0
    assert "keeps nothing for stream clicks" in refused.stderr
    assert json.loads(flow("streams", "show", "clicks", "--json").stdout)["streams"][0]["retained"] == {}
