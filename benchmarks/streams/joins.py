"""How fast a join of two topics is: JSON on the broker into a table of DuckDB, on one core.

`python -m benchmarks.streams.joins --records 500000`. Each of two topics has so many records; each record finds one of
the other topic, a second earlier. Needs the broker of `make servers`. The rate is that of the records of both topics
between the first landing and the last; it is printed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ematix_core as ematix
from benchmarks.places import HERE
from benchmarks.streams.__main__ import PINNED, ended
from benchmarks.streams.ours import Marks
from benchmarks.streams.topics import dropped, filled, url
from ematix_core.streaming import consume_stream

if TYPE_CHECKING:
    from ematix_core.model.stream import Stream

WANTED = 100_000
"""Records a second, of both topics together."""
A_SECOND = 2_000
"""So many records of each topic are of one second of event time."""
WITHIN = "10 seconds"
_START = datetime(2026, 11, 29, tzinfo=UTC)


def record(number: int, field: str) -> bytes:
    """Return one record of about 120 bytes; its fields depend on the number alone."""
    seen = (_START + timedelta(seconds=number // A_SECOND)).isoformat()
    key = number if field == "item" else number - A_SECOND
    return (
        f'{{"order_id":{key},"{field}_at":"{seen}","{field}":{number % 997},'
        f'"{field}_page":"/products/{number % 997:04}/details","{field}_session":"{number * 2654435761 % 2**64:020}"}}'
    ).encode()


def declared(how: Any, left: str, right: str, folder: Path) -> Stream:  # noqa: ANN401 - one of the four words
    """Return the stream of a case, with its state and target in the folder."""
    events = ematix.KafkaConnection("events", url=url("kafka"))
    sides = [
        ematix.side(
            field, source=events, source_query=topic, on_time=f"{field}_at",
            transform_sql=f"SELECT * REPLACE (CAST({field}_at AS TIMESTAMPTZ) AS {field}_at) FROM source",
        )
        for field, topic in (("item", left), ("amount", right))
    ]  # fmt: skip
    return ematix.stream(
        f"bench_{how}", source=ematix.join(*sides, on="order_id", how=how, within=WITHIN, max_ahead="3650 days"),
        target=ematix.DuckDBConnection("warehouse", path=str(folder / "warehouse.duckdb")), target_table="pairs",
        state=ematix.ObjectStoreConnection("state", path=str(folder / "state")), checkpoint="1 second",
        transform_sql="SELECT order_id, item, amount, item_at, amount_at FROM source",
    )  # fmt: skip


def case(how: str, left: str, right: str) -> dict[str, Any]:
    """Consume both topics in this process."""
    marks = Marks()
    with tempfile.TemporaryDirectory(prefix="bench-joins-") as folder:
        consume_stream(declared(how, left, right, Path(folder)), until_idle=True, observer=marks)
    return {"marks": marks.taken}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=500_000, help="records of each topic")
    parser.add_argument("--case", nargs=3, metavar=("HOW", "LEFT", "RIGHT"), help="what a process of ours runs")
    options = parser.parse_args()
    if options.case:
        print(json.dumps(case(*options.case)))
        return
    topics = [filled(2, options.records, partial(record, field=field)) for field in ("item", "amount")]
    for how in ("inner", "full"):
        command = [*PINNED, sys.executable, "-m", "benchmarks.streams.joins", "--case", how, *topics]
        told = ended(
            subprocess.Popen(command, cwd=HERE.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        (began, cpu, before), (behind, cpu_after, total) = told["marks"][0], told["marks"][-1]
        if total != 2 * options.records:
            message = f"{how}: {total} of {2 * options.records} records were consumed"
            raise RuntimeError(message)
        rate, per_cpu = (total - before) / (behind - began), (total - before) / (cpu_after - cpu)
        print(f"{how} join: {rate:,.0f} records/s, {per_cpu:,.0f} a second of CPU (wanted: {WANTED:,})")
    dropped(topics)


if __name__ == "__main__":
    main()
