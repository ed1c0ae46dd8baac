"""`flow consume`: streams of files into SQLite, to their end and until a signal."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.unit.cli.conftest import write_old

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.conftest import Flow

pytestmark = pytest.mark.slow

TOML = """
[connections.files]
kind = "objects"
path = "in"

[connections.other]
kind = "sqlite"
path = "other.sqlite"

[streams.cheap]
source = "files"
source_query = "*.json"
target = "other"
target_table = "cheap"
transform_sql = "SELECT id FROM source WHERE price < 3"
"""


def ids(folder: Path) -> list[int]:
    """Return what the table has, none while there is no table."""
    with closing(sqlite3.connect(folder / "store.sqlite")) as connection:
        try:
            return [row[0] for row in connection.execute("SELECT id FROM clicks ORDER BY id")]
        except sqlite3.OperationalError:
            return []


def until(folder: Path, wanted: list[int], process: subprocess.Popen[str]) -> None:
    """Wait for the rows."""
    deadline = time.monotonic() + 60
    while ids(folder) != wanted:
        assert time.monotonic() < deadline, ids(folder)
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def test_until_idle_loads_all_once_and_says_what(flow: Flow, clicks: Path) -> None:
    first = flow("consume", "clicks", "--until-idle")
    assert first.exit_code == 0, first.output
    assert first.stdout.startswith("clicks: 4 records in 1 batches, 4 inserted in ")
    assert flow("consume", "--until-idle").stdout.startswith("clicks: 0 records in 0 batches in ")
    assert ids(clicks) == [1, 2, 3, 4]


def test_once_is_one_micro_batch(flow: Flow, clicks: Path) -> None:
    text = (clicks / "pipelines.py").read_text().replace('target_table="clicks"', 'target_table="clicks", batch_rows=2')
    (clicks / "pipelines.py").write_text(text)
    for loaded in ([1, 2], [1, 2, 3, 4]):
        (stream,) = json.loads(flow("consume", "--once", "--json").stdout)["streams"]
        assert (stream["stream"], stream["targets"][0]["inserted"]) == ("clicks", 2)
        assert ids(clicks) == loaded


def test_from_begins_again_where_it_says(flow: Flow, clicks: Path) -> None:
    flow("consume", "--until-idle")
    assert flow("consume", "--until-idle", "--from", "earliest").exit_code == 0
    assert ids(clicks) == [1, 1, 2, 2, 3, 3, 4, 4]
    assert flow("consume", "--until-idle", "--from", "latest").exit_code == 0
    assert len(ids(clicks)) == 8
    refused = flow("consume", "--from", "{1", "--until-idle")
    assert refused.exit_code == 2
    assert "no positions" in refused.stderr


def test_to_ends_where_it_says(flow: Flow, clicks: Path) -> None:
    assert flow("consume", "--to", "earliest").exit_code == 0
    assert flow("consume", "--to", "latest").exit_code == 0
    assert ids(clicks) == [1, 2, 3, 4]
    refused = flow("consume", "--to", "{1")
    assert refused.exit_code == 2
    assert "--to" in refused.stderr


def test_streams_of_a_toml_file_are_consumed(flow: Flow, clicks: Path) -> None:
    (clicks / "streams.toml").write_text(TOML)
    done = flow("consume", "streams.toml", "--until-idle")
    assert done.stdout.startswith("cheap: 4 records in 1 batches, 2 inserted"), done.output
    assert "Did you mean 'cheap'" in flow("consume", "streams.toml", "cheep").stderr


COMMANDS = (
    "list", "validate", "plan cheap", "dlq list cheap", "dlq show cheap/x", "dlq replay cheap --all",
    "dlq park cheap --all", "dlq purge cheap --yes", "pause cheap", "resume cheap", "streams list",
    "streams show cheap",
)  # fmt: skip
REFUSED = {
    "plan cheap": "Its plan: flow streams show cheap", "dlq show cheap/x": "no dead letter",
    "dlq replay cheap --all": "Mend them at the source",
}  # fmt: skip


@pytest.mark.parametrize("given", ["positional", "option", "settings"])
def test_streams_of_a_toml_file_are_operated_as_those_of_a_module(given: str, flow: Flow, folder: Path) -> None:
    (folder / "in").mkdir()
    (folder / "in" / "1.json").write_text('{"id": 1, "price": 1}\n')
    (folder / "streams.toml").write_text(TOML + 'on_error = "dead_letter"\n')
    if given == "settings":
        (folder / "ematix.toml").write_text('[project]\nmodules = ["streams.toml"]\n')
    assert flow("consume", "-m", "streams.toml", "--until-idle").exit_code == 0
    for command in COMMANDS:
        words = command.split()
        at = 2 if words[0] in {"dlq", "streams"} else 1
        if given == "option" or (given == "positional" and command == "streams list"):  # which takes no name
            words += ["-m", "streams.toml"]
        elif given == "positional":
            words.insert(at, "streams.toml")
        done = flow(*words)
        says = REFUSED.get(command)
        assert done.exit_code == (2 if says else 0), (words, done.output)
        assert (says or "") in done.stderr


@pytest.mark.parametrize(
    ("name", "says"),
    [("clics", "Did you mean 'clicks'"), ("orders", "is run by: flow run orders")],
)
def test_a_name_that_is_no_stream_is_refused(name: str, says: str, flow: Flow, clicks: Path) -> None:
    with (clicks / "pipelines.py").open("a") as file:
        file.write("\n@ematix.job(target='orders', target_connection=store)\ndef orders(): return 'SELECT 1 AS x'\n")
    result = flow("consume", name)
    assert result.exit_code == 2
    assert says in result.stderr


def test_a_stream_that_cannot_go_on_names_its_record(flow: Flow, clicks: Path) -> None:
    text = (clicks / "pipelines.py").read_text().replace("SELECT id, price", "SELECT id, 1 / (id = 3)::INT, nope")
    (clicks / "pipelines.py").write_text(text)
    result = flow("consume", "--until-idle")
    assert result.exit_code == 1
    assert "stream clicks" in result.stderr
    assert "nope" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_it_load_what_it_has_and_end(number: signal.Signals, clicks: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ematix_core", "consume", "clicks", "--json"], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        until(clicks, [1, 2, 3, 4], process)
        write_old(clicks / "in" / "b.json", [(5, 1.0)])
        until(clicks, [1, 2, 3, 4, 5], process)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, err
    assert json.loads(out)["streams"][0]["targets"][0]["inserted"] == 5


def test_a_paused_stream_waits_until_it_is_resumed(flow: Flow, clicks: Path) -> None:
    assert flow("pause", "clicks").exit_code == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "ematix_core", "consume", "clicks"], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**os.environ},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while "paused" not in flow("streams").stdout:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert ids(clicks) == []
        flow("resume", "clicks")
        until(clicks, [1, 2, 3, 4], process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.communicate()


TWO = """
import ematix_core as ematix

files = ematix.ObjectStoreConnection("files", path="in")
store = ematix.SQLiteConnection("store", path="store.sqlite")
good = ematix.stream("good", source=files, source_query="*.csv", target=store, target_table="good")
bad = ematix.stream(
    "bad", source=files, source_query="*.csv", target=store, target_table="bad",
    transform_sql="SELECT no_such_column FROM source",
)
"""


def test_a_stream_that_cannot_go_on_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "two.py").write_text(TWO)
    (tmp_path / "in").mkdir()
    file = tmp_path / "in" / "a.csv"
    file.write_text("id\n1\n2\n")
    os.utime(file, (1_780_000_000, 1_780_000_000))
    command = [sys.executable, "-m", "ematix_core", "consume", "two.py", "--until-idle"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "bad has ended; the other streams go on" in done.stderr
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM good").fetchone() == (2,)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "two.py", "good"], "'good' is a stream\nConsume it: flow consume good."),
        (["plan", "two.py", "good"], "Its plan: flow streams show good."),
        (["explain", "two.py", "good"], "'good' is a stream, which no trigger starts"),
        (["dlq", "replay", "two.py", "good"], "good is a stream: name its letters, or pass --all"),
        (
            ["consume", "two.py", "good", "--parallel", "2"],
            "*.csv has no partitions that several processes could share",
        ),
        (["consume", "two.py", "good", "--from", "soon"], "Or earliest, latest."),
        (["consume", "none.toml"], "there is no file none.toml"),
    ],
)
def test_what_cannot_be_done_is_said_with_what_can(tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "two.py").write_text(TWO)
    command = [sys.executable, "-m", "ematix_core", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in {1, 2}
    assert said in done.stderr
