"""The stream that the crash tests kill: `python topics_scenario.py SLOT` consumes a topic to its end.

With `replay` for the slot it loads the dead letters again. `setup.json` in the current folder says from where, into
what and how. Micro-batches are small, so that there are many.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ematix_core.model.connection import (
    DeltaConnection,
    DuckDBConnection,
    KafkaConnection,
    ObjectStoreConnection,
    PostgresConnection,
    SQLiteConnection,
)
from ematix_core.model.join import join, side
from ematix_core.model.mode import append, merge, scd2
from ematix_core.model.stream import stream
from ematix_core.model.window import hopping, session, tumbling
from ematix_core.streaming import consume_stream
from ematix_core.streaming.replay import replay_letters

if TYPE_CHECKING:
    from ematix_core.model.connection import Connection
    from ematix_core.model.mode import Mode
    from ematix_core.model.stream import Stream

REPLAY = "replay"
KEYS, BATCH = 60, 50
BUCKETS, REACH, WINDOW = 6, 40, 20
START = datetime(2026, 1, 1, tzinfo=UTC)
MODES: dict[str, Mode] = {
    "append": append(),
    "merge": merge(keys="id", order_by="moment"),
    "scd2": scd2(keys="id", compare=["v"], event_time="moment"),
    "changes": merge(keys="id", order_by="moment", deleted_by="gone"),
}
GONE = 3
"""Every third record of `changes` deletes its key."""
SQL = "SELECT _key, id, v, CAST(moment AS TIMESTAMPTZ) AS moment FROM source"
OPTIONS = {"session_timeout": "1 second", "max_poll_interval": "10 seconds", "heartbeat.interval.ms": 200}
"""A consumer that was killed is given up after a second."""


def record(number: int) -> tuple[str, str]:
    """Return key and message of one record: a new version of one of a few keys; every 90th can not be read."""
    key = str(number % KEYS)
    if number % 90 == 89:
        return key, f'{{"id": {number}, broken'
    at = (START + timedelta(seconds=number)).isoformat()
    return key, json.dumps({"id": number % KEYS, "v": number, "moment": at})


def answer(number: int) -> tuple[str, str]:
    """Return key and message of a record of another topic, of the same second: every third belongs to one here."""
    at = (START + timedelta(seconds=number)).isoformat()
    return str(number), json.dumps({"key": number if number % 3 == 0 else -1, "v": number, "moment": at})


def second(message: str) -> int:
    """Return the second that a message is of."""
    return int((datetime.fromisoformat(json.loads(message)["moment"]) - START).total_seconds())


def connection(setup: dict[str, Any], folder: Path) -> Connection:
    """Return the target's connection."""
    kind = setup["kind"]
    if kind == "kafka":
        return _cluster(setup)
    if kind == "postgres":
        return PostgresConnection("target", url=setup["postgres"])
    if kind == "delta":
        return DeltaConnection("target", path=str(folder / "target"))
    if kind == "files":
        return ObjectStoreConnection("target", path=str(folder / "target"))
    cls = {"duckdb": DuckDBConnection, "sqlite": SQLiteConnection}[kind]
    return cls("target", path=str(folder / f"target.{kind}"))


def declare(setup: dict[str, Any], folder: Path) -> Stream:
    """Return the stream."""
    if "join" in setup:
        return _joined(setup, folder)
    if "window" in setup:
        return _windowed(setup, folder)
    sql = setup.get("sql") or (SQL if setup["kind"] == "kafka" else SQL.replace("_key, ", ""))
    if setup["mode"] == "changes":
        sql = sql.replace("v, CAST", f"v, v % {GONE} = 0 AS gone, CAST")
    made: Stream = stream(
        setup["name"], source=_cluster(setup), source_query=setup["topic"], target=connection(setup, folder),
        target_table=setup["out"], mode=MODES[setup["mode"]], transform_sql=sql,
        on_error="dead_letter", dead_letter=setup["dead"], batch_rows=BATCH, batch_seconds=0.2,
        options={**OPTIONS, **setup.get("options", {})},
    )  # fmt: skip
    return made


def _windowed(setup: dict[str, Any], folder: Path) -> Stream:
    """Return the stream with a window: its state is kept in the folder, at every micro-batch."""
    common: dict[str, Any] = {"on": "moment", "by": "bucket", "aggregate": {"n": "count", "total": "sum(v)"}}
    windows = {
        "tumbling": lambda: tumbling("20 seconds", **common),
        "hopping": lambda: hopping("30 seconds", every="10 seconds", **common),
        "session": lambda: session("5 seconds", **common),
    }
    made: Stream = stream(
        setup["name"], source=_cluster(setup), source_query=setup["topic"], target=connection(setup, folder),
        target_table=setup["out"], mode=setup["mode"], window=windows[setup["window"]](), checkpoint=0.001,
        transform_sql=f"SELECT id % {BUCKETS} AS bucket, v, CAST(moment AS TIMESTAMPTZ) AS moment FROM source",
        state=ObjectStoreConnection("state", path=str(folder / "state")),
        on_error="dead_letter", dead_letter=setup["dead"], batch_rows=BATCH, batch_seconds=0.2,
    )  # fmt: skip
    return made


def _joined(setup: dict[str, Any], folder: Path) -> Stream:
    """Return the stream of a join, with a window or not, whose state is kept in the folder, at every micro-batch."""
    orders, answers = (
        side(
            name, source=_cluster(setup), source_query=topic, on_time=f"{name}_at",
            transform_sql=f"SELECT {value} AS {column}, {key} AS key, CAST(moment AS TIMESTAMPTZ) AS {name}_at "
            "FROM source",
        )
        for name, topic, value, column, key in (
            ("orders", setup["topic"], "v", "v", "v"), ("answers", setup["right"], "v", "w", "key"),
        )
    )  # fmt: skip
    window = tumbling(f"{WINDOW} seconds", on="at", aggregate={"n": "count", "v": "sum(v)", "w": "sum(w)"})
    made: Stream = stream(
        setup["name"], source=join(orders, answers, on="key", how=setup["join"], within=f"{REACH} seconds"),
        target=connection(setup, folder), target_table=setup["out"], mode=setup["mode"], checkpoint=0.001,
        window=window if "window" in setup else None,
        transform_sql=f"SELECT v, w{', coalesce(orders_at, answers_at) AS at' * ('window' in setup)} FROM source",
        state=ObjectStoreConnection("state", path=str(folder / "state")),
        on_error="dead_letter", dead_letter=setup["dead"], batch_rows=BATCH, batch_seconds=0.2,
    )  # fmt: skip
    return made


def _cluster(setup: dict[str, Any]) -> KafkaConnection:
    return KafkaConnection(
        "events", url=setup["kafka"], options=setup.get("writing", {"transaction_timeout": "5 seconds"})
    )


def main(slot: str) -> None:
    """Consume until the topic has no more, or for ever with `until_idle` false in the setup; or replay."""
    setup = json.loads(Path("setup.json").read_text(encoding="utf-8"))
    stream = declare(setup, Path.cwd())
    if slot == REPLAY:
        sys.stdout.write(f"{replay_letters(stream)}\n")
    else:
        sys.stdout.write(f"{consume_stream(stream, until_idle=setup.get('until_idle', True), slot=int(slot))}\n")


if __name__ == "__main__":
    main(sys.argv[1])
