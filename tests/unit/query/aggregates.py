"""An aggregate for the tests: the mean of x by the weight w."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import ematix_core as ematix
from ematix_core.types import Double

Values = Any
"""An Arrow array or table, of any type."""


@ematix.udaf(name="weighted", takes=[Double, Double], returns=Double)
class WeightedMean:
    total: Double
    weight: Double

    def init(self, n: int) -> Values:
        return self._state(np.zeros(n), np.zeros(n))

    def update(self, state: Values, groups: Values, x: Values, w: Values) -> Values:
        return self._added(state, groups, pc.multiply(x, w), w)

    def merge(self, state: Values, groups: Values, other: Values) -> Values:
        return self._added(state, groups, other.field("total"), other.field("weight"))

    def finish(self, state: Values) -> Values:
        weight = state.field("weight")
        return pc.divide(state.field("total"), pc.if_else(pc.equal(weight, pa.scalar(0.0)), None, weight))

    def _added(self, state: Values, groups: Values, total: Values, weight: Values) -> Values:
        sums = [np.bincount(groups, weights=one, minlength=len(state)) for one in (total, weight)]
        return self._state(*(pc.add(old, new) for old, new in zip(state.flatten(), sums, strict=True)))

    def _state(self, total: Values, weight: Values) -> Values:
        return pa.StructArray.from_arrays([pa.array(total), pa.array(weight)], ["total", "weight"])


weighted: Any = WeightedMean
"""Declared; type checkers see the class."""
