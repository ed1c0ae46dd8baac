"""What functions of the user's cost in a stream: one of values against the same in SQL, an aggregate of 10,000 groups.

`python -m benchmarks.functions --rounds 30`. A batch is 100,000 records of a click's nine fields; the time is that of
`Shaping.shaped`, of both sides in alternation. The fastest round counts: others wait for other processes.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import ematix_core as ematix
from ematix_core.config.settings import Settings
from ematix_core.engine.environment import Environment
from ematix_core.streaming.shaping import Shaping
from ematix_core.types import Double

if TYPE_CHECKING:
    from collections.abc import Mapping

ROWS, GROUPS = 100_000, 10_000
UDF_LIMIT, UDAF_LIMIT = 1.3, 0.050
Values = Any
"""An Arrow array, of any type."""


@ematix.udf(takes=[Double, Double], returns=Double)
def net(price: Values, cost: Values) -> Values:
    """Return the margin."""
    return pc.divide(pc.subtract(price, cost), price)


@ematix.udaf(takes=[Double, Double], returns=Double)
class WeightedMean:
    """Mean of x by the weight w."""

    total: Double
    weight: Double

    def init(self, n: int) -> Values:
        """Return zeros."""
        return self._state(np.zeros(n), np.zeros(n))

    def update(self, state: Values, groups: Values, x: Values, w: Values) -> Values:
        """Add rows."""
        return self._added(state, groups, pc.multiply(x, w), w)

    def merge(self, state: Values, groups: Values, other: Values) -> Values:
        """Add states."""
        return self._added(state, groups, *other.flatten())

    def finish(self, state: Values) -> Values:
        """Divide; a group without weight has no mean."""
        total, weight = state.flatten()
        return pc.divide(total, pc.if_else(pc.equal(weight, pa.scalar(0.0)), None, weight))

    def _added(self, state: Values, groups: Values, *columns: Values) -> Values:
        sums = [np.bincount(groups, weights=one, minlength=len(state)) for one in columns]
        return self._state(*(pc.add(old, new) for old, new in zip(state.flatten(), sums, strict=True)))

    def _state(self, total: Values, weight: Values) -> Values:
        return pa.StructArray.from_arrays([pa.array(total), pa.array(weight)], ["total", "weight"])


_FIELDS = "id, seen, who, page, country, session, quantity, price, cost"
_GROUPED = "FROM source GROUP BY page ORDER BY page"
_STATES = "SELECT page, country, weighted_mean__update(price, cost) AS state FROM source GROUP BY ALL"
QUERIES = {
    "values, all fields": f"SELECT {_FIELDS}, net(price, cost) AS net FROM source",
    "the same in SQL": f"SELECT {_FIELDS}, (price - cost) / price AS net FROM source",
    "values, one field": "SELECT net(price, cost) AS net FROM source",
    "one field in SQL": "SELECT (price - cost) / price AS net FROM source",
    "values, where": "SELECT id, net(price, cost) AS net FROM source WHERE quantity > 4",
    "where in SQL": "SELECT id, (price - cost) / price AS net FROM source WHERE quantity > 4",
    "values, within": "SELECT id, round(net(price, cost), 2) AS net FROM source",
    "within in SQL": "SELECT id, round((price - cost) / price, 2) AS net FROM source",
    "groups": f"SELECT page, weighted_mean(price, cost) AS mean {_GROUPED}",
    "groups, update": _STATES,
    "groups in SQL": f"SELECT page, sum(price * cost) / sum(cost) AS mean {_GROUPED}",
}
RATIOS = (
    ("all fields:", "values, all fields", "the same in SQL"),
    ("one field:", "values, one field", "one field in SQL"),
    ("of half the rows:", "values, where", "where in SQL"),
    ("called by DuckDB:", "values, within", "within in SQL"),
)


def main() -> None:
    """Measure the queries in alternation, and print times, ratios and verdicts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="rounds; the fastest counts")
    best = measured(parser.parse_args().rounds)
    for name, seconds in best.items():
        print(f"{name:20}{seconds * 1000:9.2f} ms")
    for what, ours, sql in RATIOS:
        ratio = best[ours] / best[sql]
        print(f"a function against SQL, {what:22}{ratio:5.2f} x {_verdict(ratio, UDF_LIMIT)}")
    print(f"an aggregate over {GROUPS:,} groups: {best['groups'] * 1000:.1f} ms {_verdict(best['groups'], UDAF_LIMIT)}")


def measured(rounds: int) -> dict[str, float]:
    """Return the seconds of the fastest round of each query."""
    source = ematix.MemoryConnection("clicks")
    env, batch = Environment(project=None, settings=Settings.load()), records()
    shapings: Mapping[str, Shaping] = {
        name: Shaping(
            env,
            ematix.stream(
                "clicks", source=source, source_query="clicks", target=source, target_table="clicks",
                transform_sql=sql, functions=[net, WeightedMean],
            ),
        )
        for name, sql in QUERIES.items()
    }  # fmt: skip
    best = dict.fromkeys(QUERIES, float("inf"))
    for _ in range(rounds):
        for name, shaping in shapings.items():
            began = time.perf_counter()
            shaping.shaped(batch)
            best[name] = min(best[name], time.perf_counter() - began)
    for shaping in shapings.values():
        shaping.close()
    return best


def records() -> pa.Table:
    """Return a batch of clicks, whose fields depend on their number alone."""
    number: Values = np.arange(ROWS)
    return pa.table(
        {
            "id": number, "seen": pa.array(1_796_000_000_000_000 + number, pa.timestamp("us", "UTC")),
            "who": [f"user-{n % 9973:06}" for n in number], "page": [f"/products/{n % GROUPS:05}" for n in number],
            "country": ["DE" if n % 3 else None for n in number], "session": [f"{n * 265443576:020}" for n in number],
            "quantity": number % 10, "price": 1 + number % 7919 / 100, "cost": 1 + number % 997 / 100,
        }
    )  # fmt: skip


def _verdict(found: float, limit: float) -> str:
    return f"({'within' if found <= limit else 'ABOVE'} {limit:g})"


if __name__ == "__main__":
    main()
