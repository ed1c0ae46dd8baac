"""Functions of the user's that are called once for a batch, after the query that makes their arguments.

DuckDB calls a function for every 2,048 rows. Where the calls are columns of a query that shows a table row by row, the
query may give their arguments instead, and each function sees all rows at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from ematix_core.backends.duck.calls import udf_call
from ematix_core.backends.duck.functions import parameters
from ematix_core.model.function import Udf
from ematix_core.sql.hoisting import hoisted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.backends.duck.calls import Call
    from ematix_core.model.function import Function
    from ematix_core.sql.hoisting import Hoisted


class WholeCalls:
    """The calls of one query over tables of one schema. `sql`: what makes their arguments and the other columns.

    It is empty when they are columns of the table, and there are no others.
    """

    def __init__(self, taken: Hoisted, calls: Sequence[Call], gives: pa.Schema) -> None:
        self.sql = taken.sql
        self._calls = tuple(zip(taken.calls, calls, strict=True))
        self._gives = gives

    @classmethod
    def of(
        cls, sql: str, table: str, has: pa.Schema, gives: pa.Schema, functions: Sequence[Function]
    ) -> WholeCalls | None:
        """Return the calls of the query; None where DuckDB has to make them: see `hoisted`.

        `has` is the schema of the table, `gives` that of the query's result: some types change on their way out of
        DuckDB, and a function that returns one is left to it.
        """
        known = {one.name: one for one in functions if isinstance(one, Udf)}
        names = [name.lower() for name in has.names]
        columns = dict(zip(names, has.types, strict=True)) if len(set(names)) == len(names) else {}
        taken = hoisted(sql, table, columns, {name: parameters(one) for name, one in known.items()}) if known else None
        if taken is None:
            return None
        calls = [udf_call(known[call.function]) for call in taken.calls]
        ends = zip(taken.calls, calls, strict=True)
        same = (gives.types[place.position] == call.returns.to_arrow() for place, call in ends)
        return cls(taken, calls, gives) if all(same) else None

    def finished(self, rows: pa.Table, made: pa.Table | None) -> pa.Table:
        """Return the result of the query over the rows, from that of `sql`, if there is one.

        Raises FunctionError, ResultError, and the errors of ours that a function raises.
        """
        names = {name.lower(): i for i, name in enumerate(rows.schema.names)}
        columns = made.columns if made is not None else []
        kept = len(self._gives) - len(self._calls)
        arguments = iter(columns[kept:])
        results = {
            place.position % len(self._gives): call.apply(
                *(rows.column(names[name]) if name else next(arguments) for name in place.arguments)
            )
            for place, call in self._calls
        }
        others = iter(columns[:kept])
        return pa.table(
            [results[i] if i in results else next(others) for i in range(len(self._gives))], names=self._gives.names
        )
