"""An aggregate for the tests that is exact: highest less lowest of the values that count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import ematix_core as ematix
from ematix_core.types import BigInt, Boolean

Values = Any
"""An Arrow array or table, of any type."""

NONE = (2**62, -(2**62))


@ematix.udaf(takes=[BigInt, Boolean], returns=BigInt)
class Spread:
    low: BigInt
    high: BigInt

    def init(self, n: int) -> Values:
        return self._state(*(np.full(n, one) for one in NONE))

    def update(self, state: Values, groups: Values, value: Values, counted: Values) -> Values:
        groups, value = groups.filter(counted), value.filter(counted)
        return self._wider(state, groups, value, value)

    def merge(self, state: Values, groups: Values, other: Values) -> Values:
        return self._wider(state, groups, other.field("low"), other.field("high"))

    def finish(self, state: Values) -> Values:
        low, high = state.flatten()
        return pc.if_else(pc.less_equal(low, high), pc.subtract(high, low), None)

    def _wider(self, state: Values, groups: Values, low: Values, high: Values) -> Values:
        lowest, highest = (one.to_numpy().copy() for one in state.flatten())
        np.minimum.at(lowest, groups.to_numpy(), low.to_numpy())
        np.maximum.at(highest, groups.to_numpy(), high.to_numpy())
        return self._state(lowest, highest)

    def _state(self, low: Values, high: Values) -> Values:
        return pa.StructArray.from_arrays([pa.array(low), pa.array(high)], ["low", "high"])


spread: Any = Spread
"""Declared; type checkers see the class."""
