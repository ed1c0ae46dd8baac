"""From produced to visible: records at a steady rate, and when each could be read in the target."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from statistics import quantiles
from typing import TYPE_CHECKING

import psycopg
from confluent_kafka import Producer

from benchmarks.places import HERE
from benchmarks.streams.topics import bootstrap, dropped, made, messages, record, url

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE = 10_000
_STEP = 0.005
_WARM = 5.0
"""Seconds whose records are not counted: the consumer begins."""


def latency(target: str, seconds: float) -> dict[str, float]:
    """Return the percentiles in milliseconds of the records sent after the first 5 of so many seconds."""
    topic, out = made(1), made(1)
    table = out if target == "kafka" else out.replace("-", "_")
    ours = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.streams.ours", target, topic, table, "0", str(seconds + 12)],
        cwd=HERE.parent, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    sent: list[float] = []
    sender = threading.Thread(target=_send, args=(topic, seconds + _WARM, sent))
    began = time.monotonic()
    sender.start()
    seen, found = 0, []
    for at, count in _in_topic(out) if target == "kafka" else _in_table(table):
        found += [(at - sent[number]) * 1000 for number in range(seen, count)]
        seen = max(seen, count)
        if (not sender.is_alive() and seen >= len(sent)) or time.monotonic() - began > seconds + 30:
            break
    sender.join()
    ours.wait()
    if ours.returncode or seen != len(sent):
        message = f"{seen} of {len(sent)} records came; the consumer ended with {ours.returncode}"
        raise RuntimeError(message)
    counted = sorted(found[int(_WARM * RATE) :])
    cuts = quantiles(counted, n=100)
    dropped([topic, out])
    return {"p50": cuts[49], "p99": cuts[98], "most": counted[-1], "records": len(counted)}


def _send(topic: str, seconds: float, sent: list[float]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap(), "linger.ms": 0, "enable.idempotence": True})
    began = time.time()
    while (now := time.time()) < began + seconds:
        due = int((now - began) * RATE)
        for number in range(len(sent), due):
            sent.append(now)
            # The filter of the topic's case would take half away: these all pass.
            producer.produce(topic, record(number * 10 + 5))
        producer.poll(0)
        time.sleep(_STEP)
    producer.flush(30)


def _in_topic(out: str) -> Iterator[tuple[float, int]]:
    count = 0
    for at, found in messages(out, quiet=20):
        if found:
            count += len(found)
            assert json.loads(found[-1].value() or b"")["id"] == (count - 1) * 10 + 5  # noqa: S101 - in order, each once
        yield at, count


def _in_table(table: str) -> Iterator[tuple[float, int]]:
    with psycopg.connect(url("postgres"), autocommit=True) as server:
        while server.execute("SELECT to_regclass(%s)", [table]).fetchone() == (None,):
            time.sleep(_STEP)
        highest = f'SELECT max(id) FROM "{table}"'
        server.execute(f'CREATE INDEX ON "{table}" (id)')
        while True:
            (most,) = server.execute(highest).fetchone() or (None,)
            yield time.time(), 0 if most is None else (int(most) - 5) // 10 + 1
            time.sleep(_STEP)
