"""How fast streams are, how late a record is, and what memory they take; peers work on the same topic.

`python -m benchmarks.streams --records 1000000 --rounds 3 --without quixstreams`. Needs the broker, the registry and
PostgreSQL of `make servers`. The best of the rounds counts. JSON with every round goes to
`benchmarks/results/streams.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.machine import describe, versions
from benchmarks.places import HERE, RESULTS, environment
from benchmarks.streams import avro
from benchmarks.streams.latency import latency
from benchmarks.streams.topics import bootstrap, dropped, end, filled, made, written

if TYPE_CHECKING:
    from collections.abc import Callable

WANTED = {
    "consume": 800_000,
    "kafka": 250_000,
    "postgres": 200_000,
    "avro_duckdb": 500_000,
    "two processes": 1.7,
    "p99": 500,
}
PEERS = ("quixstreams", "bytewax", "ematix_flow")
PINNED = ("taskset", "--cpu-list", "1")
_FEW = 100_000
"""Records of a peer that works record by record: a million would take minutes."""
_SHARED = 4
"""So many times as many records are shared by two processes: the second begins when the first is at work."""
_QUIET = 5.0
_PATIENCE = 40.0
Figures = dict[str, Any]


def main() -> None:
    """Measure everything, print it, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000, help="records of the topic")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the best counts")
    parser.add_argument("--seconds", type=float, default=15.0, help="for which latency is measured")
    parser.add_argument("--without", nargs="+", choices=PEERS, default=[], help="peers to leave out")
    parser.add_argument("--soak", action="store_true", help="also ten million records, for memory")
    parser.add_argument("--results", type=Path, default=RESULTS / "streams.json", help="where the JSON goes")
    options = parser.parse_args()
    facts: Figures = {**describe(Path(sys.executable)), "records": options.records, "wanted": WANTED}
    facts["clients"] = versions(Path(sys.executable), ("confluent-kafka", "asyncpg", "pgpq"))
    figures: list[Figures] = []
    topic = filled(2, options.records)
    few = filled(2, _FEW)
    cases = ("consume", "kafka", "postgres", "duckdb")
    works: list[Callable[[], Figures]] = [partial(ours, case, topic, options.records) for case in cases]
    of_avro = filled(2, options.records, avro.record())
    works += [partial(ours, case, of_avro, options.records) for case in ("avro_duckdb", "avro_kafka")]
    works += [partial(peer, name, few) for name in PEERS if name not in options.without]
    for number in range(options.rounds):
        for work in works:
            note(figures, number, work)
    note(figures, 0, partial(pair, _SHARED * options.records))
    for target in ("kafka", "postgres"):
        note(figures, 0, partial(late, target, options.seconds))
    if options.soak:
        dropped([topic])
        topic = filled(2, 10 * options.records)
        note(figures, 0, partial(ours, "kafka", topic, 10 * options.records, "soak, "))
    dropped([topic, few, of_avro])
    facts["load_average_after"] = [round(value, 1) for value in os.getloadavg()]
    options.results.write_text(json.dumps({**facts, "figures": figures}, indent=1) + "\n", encoding="utf-8")


def note(figures: list[Figures], number: int, work: Callable[[], Figures]) -> None:
    """Do it, print what came of it and keep it; what fails is kept as such."""
    try:
        found = work()
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        found = {"what": "not measured", "why": f"{type(error).__name__}: {error}"[-2000:]}
    found |= {"round": number, "load_average": round(os.getloadavg()[0], 1)}
    print({name: round(value, 1) if isinstance(value, float) else value for name, value in found.items()}, flush=True)
    figures.append(found)


def late(target: str, seconds: float) -> Figures:
    """Return how many milliseconds after it was sent a record can be read in the target."""
    return {"what": f"latency to {target}", **latency(target, seconds)}


def started(case: str, topic: str, out: str, slot: int, pinned: tuple[str, ...] = PINNED) -> subprocess.Popen[str]:
    """Start a process of ours."""
    command = [*pinned, sys.executable, "-m", "benchmarks.streams.ours", case, topic, out, str(slot), "0"]
    return subprocess.Popen(command, cwd=HERE.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> Figures:
    """Wait for a process of ours and return what it tells. Raises RuntimeError when it failed."""
    said, failed = process.communicate(timeout=600)
    if process.returncode:
        raise RuntimeError(failed[-2000:])
    found: Figures = json.loads(said.splitlines()[-1])
    return found


def ours(case: str, topic: str, records: int, prefix: str = "") -> Figures:
    """Consume the topic on one core. Rates are those between the first micro-batch and the last."""
    out = made(2)
    told = ended(started(case, topic, out if case.endswith("kafka") else out.replace("-", "_"), 0))
    (began, cpu, before), (behind, cpu_after, total) = told["marks"][0], told["marks"][-1]
    kept = written(out).messages if case.endswith("kafka") else None
    dropped([out])
    if total != records or (kept is not None and kept != records // 2):
        message = f"{case}: {total} of {records} records were consumed, {kept} written"
        raise RuntimeError(message)
    return {
        "what": f"ours, {prefix}{case}", "per_second": (total - before) / (behind - began),
        "per_cpu_second": (total - before) / (cpu_after - cpu), "batches": len(told["marks"]),
        "peak_mib": told["peak_mib"],
    }  # fmt: skip


def pair(records: int) -> Figures:
    """Consume by one process on a core, then by two on a core each that share the partitions, and compare the rates."""
    topic, rates = filled(2, records), []
    for count in (1, 2):
        out = made(2)
        processes = [started("kafka", topic, out, slot, pinned=(*PINNED[:2], str(1 - slot))) for slot in range(count)]
        marks = [told["marks"] for told in map(ended, processes) if told["marks"]]
        dropped([out])
        began, behind = max(one[0][0] for one in marks), min(one[-1][0] for one in marks)
        within = [[mark for mark in one if began <= mark[0] <= behind] for one in marks]
        together = len(marks) == count and all(len(one) > 1 for one in within)
        if not together or sum(one[-1][2] for one in marks) != records:
            message = f"{count} processes: {[one[-1][2] for one in marks]} of {records} records, not at one time"
            raise RuntimeError(message)
        rates.append(sum((one[-1][2] - one[0][2]) / (one[-1][0] - one[0][0]) for one in within))
    dropped([topic])
    return {"what": "ours, kafka, two processes", "one": rates[0], "two": rates[1], "ratio": rates[1] / rates[0]}


def peer(name: str, topic: str) -> Figures:
    """Run a peer on the topic, with the same filter. The rate is that at which the broker took its messages."""
    place, out = environment(f"{name}.txt", name), made(2)
    script = HERE / "peers" / f"{name}_filter.py"
    command = [str(place / "bin" / "python"), str(script), bootstrap(), topic, out, str(_FEW)]
    process = subprocess.Popen([*PINNED, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    began, last, since = time.monotonic(), 0, time.monotonic()
    while process.poll() is None and time.monotonic() - began < _PATIENCE:
        time.sleep(0.5)
        if (now := end(out)) != last:
            last, since = now, time.monotonic()
        elif last and time.monotonic() - since > _QUIET:
            process.kill()  # none of them ends by itself at the end of a topic, and not each heeds a signal
    process.kill()
    process.wait()
    done = written(out)
    dropped([out])
    found: Figures = {"what": name, "written": done.messages, "expected": _FEW // 2}
    if done.last > done.first:
        found["per_second"] = 2 * done.messages / (done.last - done.first)
    return found


if __name__ == "__main__":
    main()
