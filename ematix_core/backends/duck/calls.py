"""What DuckDB calls for a function of the user's: arrays in, arrays out, NULLs set aside, results checked."""

from __future__ import annotations

from functools import reduce
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

from ematix_core.backends.storage.handover import stand_in
from ematix_core.errors import EmatixError, ResultError
from ematix_core.model.called import called
from ematix_core.types import Array, Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from ematix_core.model.function import Nulls, Udaf, Udf
    from ematix_core.types import ColumnType


class Call:
    """A function over columns as DuckDB calls it: in chunks of 2,048 rows."""

    def __init__(
        self, function: Callable[..., Any], takes: Sequence[type[ColumnType]], returns: type[ColumnType], *,
        nulls: Nulls, where: str,
    ) -> None:  # fmt: skip
        import pyarrow as pa

        self.takes, self.returns = tuple(takes), returns
        self._function = function
        self._given = tuple(kind.to_arrow() for kind in takes)
        self._result = returns.to_arrow()
        self._skips = nulls == "skip"
        self._where = where
        self._made = pa.Table
        # DuckDB counts the parameters, and evaluates annotations.
        self.__signature__ = Signature([Parameter(f"c{i}", Parameter.POSITIONAL_ONLY) for i in range(len(takes))])

    def __call__(self, *columns: pa.ChunkedArray[Any]) -> pa.Table:
        """Return the results as DuckDB takes them fastest: an array costs it 10 us a chunk more than a table.

        Raises what stands for an error of ours, see `handed_over`.
        """
        try:
            return self._made.from_arrays([self.apply(*columns)], ["result"])
        except EmatixError as error:
            raise stand_in(error) from error

    def apply(self, *columns: pa.ChunkedArray[Any]) -> pa.Array[Any]:
        """Return the results. Raises FunctionError, ResultError, and the errors of ours that the function raises."""
        arrays = [plain(column, kind) for column, kind in zip(columns, self._given, strict=True)]
        if self._skips and any(array.null_count for array in arrays):
            there = valid(arrays)
            found = self._called([array.filter(there) for array in arrays])
            return spread(found, there)
        return self._called(arrays)

    def try_empty(self) -> None:
        """Call the function with no rows: a wrong type shows before there are any."""
        import pyarrow as pa

        self.apply(*(pa.chunked_array([pa.array([], kind)]) for kind in self._given))

    def _called(self, arrays: Sequence[pa.Array[Any]]) -> pa.Array[Any]:
        found = called(self._function, *arrays, where=self._where)
        return checked(found, self._result, len(arrays[0]), label=self.returns.label(), where=self._where)


def udf_call(function: Udf) -> Call:
    """Return the call of a function of values."""
    where = _where(function, "")
    takes = [column.type for column in function.takes]
    return Call(function.function, takes, function.returns, nulls=function.nulls, where=where)


class Aggregate:
    """The calls of an aggregate. Each gets the rows, or the states, of a group as a list."""

    def __init__(self, function: Udaf) -> None:
        self._function = function
        self._state = function.state_type.to_arrow()
        self._several = len(function.takes) > 1
        state, row = function.state_type, self._row()
        self.whole = self._call(self._whole, row, function.returns)
        self.update = self._call(self._updated, row, state)
        self.merge = self._call(self._merged, Array[state], state)
        self.finish = Call(self._finished, (state,), function.returns, nulls="skip", where=_where(function, ""))

    def _row(self) -> type[ColumnType]:
        takes = self._function.takes
        if not self._several:
            return Array[takes[0].type]
        return Array[Struct[tuple((column.name, column.type) for column in takes)]]

    def _call(self, function: Callable[..., Any], takes: type[ColumnType], returns: type[ColumnType]) -> Call:
        return Call(function, (takes,), returns, nulls="pass", where=_where(self._function, ""))

    def _whole(self, lists: pa.Array[Any]) -> pa.Array[Any]:
        return self._finished(self._updated(lists))

    def _updated(self, lists: pa.Array[Any]) -> pa.Array[Any]:
        import pyarrow as pa

        groups, rows = flattened(lists)
        columns = rows.flatten() if isinstance(rows, pa.StructArray) and self._several else [rows]
        if self._function.nulls == "skip" and any(column.null_count for column in columns):
            there = valid(columns)
            groups, columns = groups.filter(there), [column.filter(there) for column in columns]
        return self._step("update", self._new(len(lists)), groups, *columns)

    def _merged(self, lists: pa.Array[Any]) -> pa.Array[Any]:
        groups, states = flattened(lists)
        if states.null_count:
            there = valid([states])
            groups, states = groups.filter(there), states.filter(there)
        return self._step("merge", self._new(len(lists)), groups, states)

    def _new(self, groups: int) -> pa.Array[Any]:
        where = _where(self._function, "init")
        found = called(self._function.steps.init, groups, where=where)
        return checked(found, self._state, groups, label=self._function.state_type.label(), where=where)

    def _step(self, method: str, state: pa.Array[Any], *rest: pa.Array[Any]) -> pa.Array[Any]:
        where = _where(self._function, method)
        found = called(getattr(self._function.steps, method), state, *rest, where=where)
        return checked(found, self._state, len(state), label=self._function.state_type.label(), where=where)

    def _finished(self, state: pa.Array[Any]) -> pa.Array[Any]:
        where, returns = _where(self._function, "finish"), self._function.returns
        found = called(self._function.steps.finish, state, where=where)
        return checked(found, returns.to_arrow(), len(state), label=returns.label(), where=where)


def checked(found: Any, kind: pa.DataType, rows: int, *, label: str, where: str) -> pa.Array[Any]:  # noqa: ANN401 - whatever the user's function returned
    """Return what the function returned as one array. Raises ResultError when it is no array of this type and length.

    `label`: the type's name in declarations.
    """
    import pyarrow as pa

    if isinstance(found, pa.ChunkedArray):
        found = joined(found)
    if not isinstance(found, pa.Array):
        raise ResultError(
            f"the function returned {type(found).__module__}.{type(found).__name__}, which is no Arrow array",
            where=where, hint=f"Return one value a row: pa.array(values, type={kind}).",
        )  # fmt: skip
    if len(found) != rows:
        raise ResultError(
            f"the function returned {len(found):,} values for {rows:,} rows", where=where,
            hint="Return one value for each, NULL too: filter in the query, not in the function.",
        )  # fmt: skip
    if found.type != kind:
        if pa.types.is_null(found.type):
            return found.cast(kind)
        raise ResultError(
            f"the function returned {found.type}, and is declared to return {label}, which is {kind}", where=where,
            hint="Cast the result: result.cast(...), or declare the type that it has.",
        )  # fmt: skip
    return found


def plain(column: pa.ChunkedArray[Any], kind: pa.DataType) -> pa.Array[Any]:
    """Return the column as one array of the type: DuckDB's booleans come as an extension type, nested ones too."""
    array: Any = column.chunk(0) if column.num_chunks == 1 else joined(column)
    found: pa.Array[Any] = array if array.type == kind else array.cast(kind)
    return found


def joined(column: pa.ChunkedArray[Any]) -> pa.Array[Any]:
    """Return the chunks as one array."""
    import pyarrow as pa

    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def valid(arrays: Sequence[pa.Array[Any]]) -> pa.Array[Any]:
    """Return for each row whether none of the arrays is NULL there."""
    import pyarrow.compute as pc

    return reduce(pc.and_, [array.is_valid() for array in arrays])


def spread(found: pa.Array[Any], there: pa.Array[Any]) -> pa.Array[Any]:
    """Return one value for each row: those of `found` in turn where it is `there`, else NULL."""
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = pc.subtract(pc.cumulative_sum(there.cast(pa.int64())), 1)
    return found.take(pc.if_else(there, numbers, None))


def flattened(lists: pa.Array[Any]) -> tuple[pa.Array[Any], pa.Array[Any]]:
    """Return the number of the list that each value is in, and the values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.list_parent_indices(lists).cast(pa.int64()), pc.list_flatten(lists)


def _where(function: Udf | Udaf, method: str) -> str:
    name = f"{function.name}.{method}" if method else function.name
    return f"function {name}, module {function.module}" if function.module else f"function {name}"
