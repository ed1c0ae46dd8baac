"""Killed at any instant and run again, a load leaves what an undisturbed one leaves.

A fixed sample runs with the other tests. `EMATIX_CRASH=full` (`make crash`) kills at every failpoint and prints how
many that were.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.errors import MissingSourceError
from ematix_core.store import Status, open_store
from ematix_core.testing.crash import Crashes, Kill, Scenario
from tests.crash import scenario as loads
from tests.crash import tally
from tests.servers import reach
from tests.servers.kafka import KafkaCluster
from tests.servers.reach import database
from tests.servers.s3 import own_prefix

FULL = os.environ.get("EMATIX_CRASH") == "full"
SCENARIOS = (
    *((mode, kind) for mode in loads.MODES for kind in loads.ONLY.get(mode, loads.KINDS) if kind != "objects"),
    ("append", "objects"), ("append_watermark", "objects"), ("truncate", "objects"),
    ("append", "duckdb+objects"), ("append_watermark", "sqlite+duckdb"), ("truncate", "sqlite+objects"),
    ("bad_rows", "objects"), ("append_watermark", "objects_s3"), ("truncate", "objects_s3"), ("bad_rows", "objects_s3"),
    ("append_watermark", "delta_s3"), ("merge_deletes", "delta_s3"), ("scd2_event_time", "delta_s3"),
    ("quarantine", "delta_s3"), ("append", "objects_s3+delta_s3"), ("append", "kafka"), ("append", "sqlite+kafka"),
)  # fmt: skip
SAMPLE = (
    ("append", "duckdb", Kill(0, "duckdb.commit.after", 1)),
    ("append", "duckdb", Kill(1, "duckdb.commit.before", 1)),
    ("append", "duckdb", Kill(1, "store.finish.before", 1)),
    ("append", "duckdb", Kill(1, "store.finish.after", 1)),
    ("append_watermark", "duckdb+objects", Kill(1, "duckdb.commit.after", 1)),
    ("append_watermark", "duckdb+objects", Kill(1, "objects.commit.before", 1)),
    ("append_watermark", "duckdb+objects", Kill(1, "objects.commit.after", 1)),
    ("scd2_event_time", "sqlite", Kill(1, "sqlite.record.after", 1)),
    ("scd2_event_time", "sqlite", Kill(1, "sqlite.commit.before", 1)),
    ("scd2_event_time", "sqlite", Kill(1, "sqlite.commit.after", 1)),
    ("bad_rows", "duckdb", Kill(1, "duckdb.commit.before", 1)),
    ("same_append", "sqlite", Kill(1, "sqlite.commit.after", 1)),
    ("same_merge", "duckdb", Kill(1, "duckdb.commit.before", 1)),
    ("append_watermark", "delta", Kill(1, "delta.commit.after", 1)),
    ("merge_deletes", "delta", Kill(1, "delta.bookkeeping.after", 1)),
    ("scd2_event_time", "delta", Kill(1, "delta.commit.before", 1)),
    ("quarantine", "delta", Kill(1, "delta.side.after", 1)),
    ("append_watermark", "objects_s3", Kill(1, "objects.commit.after", 1)),
    ("truncate", "objects_s3", Kill(1, "objects.expose.before", 1)),
    ("append_watermark", "delta_s3", Kill(1, "delta.commit.after", 1)),
    ("merge_deletes", "delta_s3", Kill(1, "delta.bookkeeping.after", 1)),
    ("maintained", "delta", Kill(1, "maintenance.step.before", 1)),
    ("maintained", "delta", Kill(1, "delta.maintain.after", 1)),
    ("maintained", "delta", Kill(1, "delta.maintain.noted", 2)),
    ("append_watermark", "postgres", Kill(1, "postgres.commit.after", 1)),
    ("merge_deletes", "postgres", Kill(1, "postgres.commit.before", 1)),
    ("scd2_event_time", "mysql", Kill(1, "mysql.commit.after", 1)),
    ("append", "kafka", Kill(1, "kafka.produce.after", 1)),
    ("append", "kafka", Kill(1, "kafka.record.after", 1)),
    ("append", "kafka", Kill(1, "kafka.commit.before", 1)),
    ("append", "kafka", Kill(1, "kafka.commit.after", 1)),
)
Harness = Callable[[str, str], Crashes]
_UNLIKE = ("load_id",)
"""Columns whose values differ from run to run."""


def _tables(folder: Path, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if kind == "kafka":
        cluster = KafkaCluster((folder / "kafka.url").read_text(encoding="utf-8"))
        messages = cluster.consume((folder / "topic").read_text(encoding="utf-8"), 1_000)
        return {"messages": sorted(message.value() or b"" for message in messages)}
    for name in ("orders", "orders_quarantine", "orders_rejected"):
        source = registry.source(loads.connection(kind, folder))
        try:
            table = source.read(Query(table=name)).read_all()
        except MissingSourceError:
            continue
        finally:
            source.close()
        kept = [column for column in table.column_names if column not in _UNLIKE]
        found[f"{kind} {name}"] = sorted(map(repr, table.select(kept).to_pylist()))
    return found


def _runs(folder: Path) -> list[tuple[Any, ...]]:
    with open_store(f"sqlite:///{folder / 'runs.db'}") as store:
        runs = store.runs(limit=None)
    counts = ("rows_read", "inserted", "updated", "unchanged", "deleted", "closed")
    return [(run.job, run.status, *(getattr(run, name) for name in counts)) for run in reversed(runs)]


def _scenario(mode: str, kind: str) -> Scenario:
    def observe(folder: Path) -> dict[str, Any]:
        tables = [_tables(folder, part) for part in kind.split("+")]
        return {"runs": _runs(folder)} | {name: rows for found in tables for name, rows in found.items()}

    def succeeded(folder: Path, step: int) -> bool:
        if not (folder / "runs.db").exists():
            return False
        with open_store(f"sqlite:///{folder / 'runs.db'}") as store:
            return len(store.runs(status=Status.SUCCEEDED, limit=None)) > step

    servers = sorted(
        {
            "s3" if part in loads.REMOTE else part
            for part in kind.split("+")
            if part in {*loads.SERVERS, *loads.REMOTE, "kafka"}
        }
    )

    @contextmanager
    def outside(folder: Path) -> Iterator[None]:
        with ExitStack() as stack:
            for server in servers:
                if server == "kafka":
                    cluster = KafkaCluster(reach.url("kafka"))
                    (folder / "kafka.url").write_text(cluster.url, encoding="utf-8")
                    (folder / "topic").write_text(cluster.topic("orders"), encoding="utf-8")
                    continue
                url = stack.enter_context(own_prefix()).url if server == "s3" else stack.enter_context(database(server))
                (folder / f"{server}.url").write_text(url, encoding="utf-8")
            yield

    return Scenario(
        f"{mode} {kind}", Path(loads.__file__), loads.STEPS, observe, succeeded, (mode, kind),
        prepare=lambda folder, step: loads.prepare(mode, kind, step, folder), outside=outside if servers else None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Harness:
    made: dict[tuple[str, str], Crashes] = {}

    def crashes(mode: str, kind: str) -> Crashes:
        if (mode, kind) not in made:
            made[mode, kind] = Crashes(_scenario(mode, kind), tmp_path_factory.mktemp("crash"))
        return made[mode, kind]

    return crashes


def _kill_everywhere(harness: Harness, mode: str, kind: str) -> None:
    crashes = harness(mode, kind)
    again, failures = 0, []
    for kill in crashes.kills():
        try:
            again += crashes.survive(kill)
        except AssertionError as error:
            failures.append(str(error))
    tally.KILLS[f"{mode} on {kind}"] = (len(crashes.kills()), again)
    assert not failures, "\n".join(failures)


if FULL:

    @pytest.mark.timeout(3600)
    @pytest.mark.parametrize(("mode", "kind"), SCENARIOS, ids=str)
    def test_run_again_after_any_kill_gives_what_an_undisturbed_run_gives(
        harness: Harness, mode: str, kind: str
    ) -> None:
        _kill_everywhere(harness, mode, kind)

else:

    @pytest.mark.parametrize(("mode", "kind", "kill"), SAMPLE, ids=str)
    def test_run_again_after_a_kill_gives_what_an_undisturbed_run_gives(
        harness: Harness, mode: str, kind: str, kill: Kill
    ) -> None:
        harness(mode, kind).survive(kill)
