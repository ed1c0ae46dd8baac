"""How fast windows are: counts for each of 1,000 users from JSON on the broker into another topic, on one core.

`python -m benchmarks.streams.windows --records 1000000 --rounds 2`. Ours is exactly once, with checkpoints; quixstreams
too; bytewax writes without transactions. Also what a million open groups take, and how long they take to restore.
Needs the broker of `make servers`; the best of the rounds counts. JSON goes to `benchmarks/results/windows.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ematix_core as ematix
from benchmarks.machine import describe
from benchmarks.places import HERE, RESULTS, environment
from benchmarks.streams.__main__ import PINNED, ended, note
from benchmarks.streams.ours import Marks
from benchmarks.streams.topics import bootstrap, dropped, end, filled, made, url, written
from ematix_core.streaming import consume_stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core.model.stream import Stream
    from ematix_core.model.window import Window

WANTED = {"tumbling": 300_000, "hopping": 150_000, "session": 100_000, "groups_mib": 1024, "restore_seconds": 2}
PEERS = ("bytewax", "quixstreams")
USERS, A_SECOND, SIZE = 1_000, 1_000, 60
"""So many users take turns, with so many records for each second of event time; windows of so many seconds."""
_FEW = {"bytewax": 600_000, "quixstreams": 180_000}
_START = datetime(2026, 11, 29, tzinfo=UTC)
_QUIET, _PATIENCE = 5.0, 90.0
Figures = dict[str, Any]


def record(number: int) -> bytes:
    """Return one record of about 170 bytes; its fields depend on the number alone."""
    seen = (_START + timedelta(seconds=number // A_SECOND)).isoformat()
    return (
        f'{{"id":{number},"seen":"{seen}","who":"user-{number * 7919 % USERS:06}",'
        f'"quantity":{number % 10},"price":{number % 7919 / 100},"page":"/products/{number % 997:04}/details",'
        f'"country":"DE","session":"{number * 2654435761 % 2**64:020}"}}'
    ).encode()


def main() -> None:
    """Measure everything, print it, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000, help="records of the topic")
    parser.add_argument("--rounds", type=int, default=2, help="rounds; the best counts")
    parser.add_argument("--without", nargs="+", choices=PEERS, default=[], help="peers to leave out")
    parser.add_argument("--results", type=Path, default=RESULTS / "windows.json", help="where the JSON goes")
    parser.add_argument("--case", nargs=3, metavar=("WINDOW", "TOPIC", "OUT"), help="what a process of ours runs")
    options = parser.parse_args()
    if options.case:
        print(json.dumps(case(*options.case)))
        return
    facts: Figures = {**describe(Path(sys.executable)), "records": options.records, "wanted": WANTED}
    figures: list[Figures] = []
    topics = {"ours": filled(2, options.records, record)}
    topics |= {name: filled(2, _FEW[name], record) for name in PEERS if name not in options.without}
    works: list[Callable[[], Figures]] = [
        *(partial(ours, kind, topics["ours"], options.records) for kind in ("tumbling", "hopping", "session")),
        *(partial(peer, name, topics[name]) for name in PEERS if name in topics),
        partial(kept, 1_000_000),
    ]
    for number in range(options.rounds):
        for work in works:
            note(figures, number, work)
    dropped(list(topics.values()))
    facts["load_average_after"] = [round(value, 1) for value in os.getloadavg()]
    options.results.write_text(json.dumps({**facts, "figures": figures}, indent=1) + "\n", encoding="utf-8")


def window(kind: str) -> Window:
    """Return the window of a case: of a minute; of five, each minute; of sessions that end with the topic."""
    common: dict[str, Any] = {"on": "seen", "by": "who", "aggregate": {"n": "count"}, "max_ahead": "3650 days"}
    if kind == "hopping":
        return ematix.hopping("5 minutes", every="1 minute", **common)
    if kind == "session":
        return ematix.session("2 seconds", max_length="1 minute", **common)
    return ematix.tumbling("1 minute", **common)


def case(kind: str, topic: str, out: str) -> Figures:
    """Consume the topic in this process."""
    marks = Marks()
    with tempfile.TemporaryDirectory(prefix="bench-windows-") as folder:
        consume_stream(declared(kind, topic, out, Path(folder)), until_idle=True, observer=marks)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"marks": marks.taken, "peak_mib": round(peak, 1)}


def declared(kind: str, topic: str, out: str, folder: Path) -> Stream:
    """Return the stream of a case, with its state in the folder."""
    events = ematix.KafkaConnection("events", url=url("kafka"))
    return ematix.stream(
        f"bench_{kind}_{out}"[:60], source=events, source_query=topic, target=events, target_table=out,
        window=window(kind), transform_sql="SELECT who, CAST(seen AS TIMESTAMPTZ) AS seen FROM source",
        state=ematix.ObjectStoreConnection("state", path=str(folder)), checkpoint="1 second",
    )  # fmt: skip


def ours(kind: str, topic: str, records: int) -> Figures:
    """Run a case in a process of its own. The rate is that between the first landing and the last."""
    out = made(2)
    command = [*PINNED, sys.executable, "-m", "benchmarks.streams.windows", "--case", kind, topic, out]
    told = ended(subprocess.Popen(command, cwd=HERE.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    results = written(out).messages
    dropped([out])
    (began, cpu, before), (behind, cpu_after, total) = told["marks"][0], told["marks"][-1]
    if total != records or not results:
        message = f"{kind}: {total} of {records} records were consumed, and {results} results written"
        raise RuntimeError(message)
    return {
        "what": f"ours, {kind}", "per_second": (total - before) / (behind - began), "results": results,
        "per_cpu_second": (total - before) / (cpu_after - cpu), "landings": len(told["marks"]),
        "peak_mib": told["peak_mib"],
    }  # fmt: skip


def peer(name: str, topic: str) -> Figures:
    """Run a peer's tumbling windows. The rate is that of the records between its first results and its last."""
    place, out = environment(f"{name}.txt", name), made(2)
    script = HERE / "peers" / f"{name}_window.py"
    command = [str(place / "bin" / "python"), str(script), bootstrap(), topic, out, str(_FEW[name])]
    with tempfile.TemporaryDirectory(prefix="bench-windows-") as folder:
        process = subprocess.Popen(
            [*PINNED, *command], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        began, last, since = time.monotonic(), 0, time.monotonic()
        while process.poll() is None and time.monotonic() - began < _PATIENCE:
            time.sleep(0.5)
            if (now := end(out)) != last:
                last, since = now, time.monotonic()
            elif last and time.monotonic() - since > _QUIET:
                process.kill()
        process.kill()
        process.wait()
    done = written(out)
    dropped([out])
    found: Figures = {"what": f"{name}, tumbling", "results": done.messages}
    windows = done.messages / USERS
    if done.last > done.first:
        found["per_second"] = (windows - 1) * SIZE * A_SECOND / (done.last - done.first)
    return found


def kept(groups: int) -> Figures:
    """Keep so many open groups in a process of its own, and restore them in another one."""
    script = HERE / "streams" / "groups.py"
    with tempfile.TemporaryDirectory(prefix="bench-windows-") as folder:
        found: Figures = {"what": f"ours, {groups} open groups"}
        for doing in ("keep", "restore"):
            command = [*PINNED, sys.executable, str(script), doing, folder, str(groups)]
            done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=True)
            found |= json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
