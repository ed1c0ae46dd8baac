"""Approximate aggregates of windows, as aggregate functions over codes that SQL makes of the values.

A state is a list of codes, and how often each came or what is kept of it: both are found by grouping, for all groups at
once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from ematix_core.model.function import Udaf
from ematix_core.model.table import Column
from ematix_core.types import Array, BigInt, Double

if TYPE_CHECKING:
    import pyarrow as pa

_States: TypeAlias = Any
"""A struct array, of which the stubs know little."""
_REGISTERS = 4096
_GAMMA = 1.01 / 0.99
_LEAST = 1_000_000
"""What is added to a bucket's number, so that those of negative values are below it."""


class _Codes:
    """A state of `key`s, sorted and each once, and of a `kept` number with each."""

    _kept: tuple[str, Literal["max", "sum"]]

    def init(self, n: int) -> _States:
        """Return states without codes."""
        import pyarrow as pa

        empty = pa.array([[]] * n, pa.list_(pa.int64()))
        return pa.StructArray.from_arrays([empty, empty], names=["key", "kept"])

    def update(self, state: _States, groups: pa.Array[Any], key: pa.Array[Any], kept: pa.Array[Any]) -> _States:
        """Add codes."""
        return self._with(state, groups, key, kept)

    def merge(self, state: _States, groups: pa.Array[Any], other: _States) -> _States:
        """Add the codes of other states."""
        pc = _compute()
        keys, kept = other.flatten()
        return self._with(
            state, groups.take(pc.list_parent_indices(keys)), pc.list_flatten(keys), pc.list_flatten(kept)
        )

    def _with(self, state: _States, groups: pa.Array[Any], key: pa.Array[Any], kept: pa.Array[Any]) -> _States:
        import pyarrow as pa

        pc = _compute()
        keys, others = state.flatten()
        columns = (
            (pc.list_parent_indices(keys), groups), (pc.list_flatten(keys), key), (pc.list_flatten(others), kept),
        )  # fmt: skip
        arrays = [pa.concat_arrays([one.cast(pa.int64()), other.cast(pa.int64())]) for one, other in columns]
        rows = pa.Table.from_arrays(arrays, names=["group", "key", "kept"])
        rows = rows.group_by(["group", "key"]).aggregate([self._kept]).rename_columns(["group", "key", "kept"])
        found = rows.sort_by([("group", "ascending"), ("key", "ascending")])
        offsets = _offsets(found.column("group"), len(state))
        made: Any = pa.ListArray
        lists = [made.from_arrays(offsets, found.column(name).combine_chunks()) for name in ("key", "kept")]
        return pa.StructArray.from_arrays(lists, names=["key", "kept"])


class _Distinct(_Codes):
    """HyperLogLog: Flajolet, Fusy, Gandouet and Meunier, 2007. Errors are 1.6% as a rule; small numbers are exact.

    A key is a register, what is kept the most zeros that a hash of it began with, and one.
    """

    _kept = ("kept", "max")

    def finish(self, state: _States) -> _States:
        """Return the estimates."""
        import pyarrow as pa

        pc = _compute()
        _, zeros = state.flatten()
        used = pc.cast(pc.list_value_length(zeros), pa.float64())
        parents = pc.list_parent_indices(zeros).cast(pa.int64())
        weights = pc.power(2.0, pc.negate(pc.cast(pc.list_flatten(zeros), pa.float64())))
        by_group = pa.Table.from_arrays([parents, weights], names=["g", "w"]).group_by("g").aggregate([("w", "sum")])
        sums = pc.take(by_group.column("w_sum"), pc.index_in(pa.array(range(len(state))), by_group.column("g")))
        empty = pc.subtract(float(_REGISTERS), used)
        alpha = 0.7213 / (1 + 1.079 / _REGISTERS) * _REGISTERS * _REGISTERS
        raw = pc.divide(alpha, pc.add(empty, pc.fill_null(sums, 0.0)))
        few = pc.and_(pc.less_equal(raw, 2.5 * _REGISTERS), pc.greater(empty, 0.0))
        counted = pc.multiply(float(_REGISTERS), pc.ln(pc.divide(float(_REGISTERS), pc.max_element_wise(empty, 1.0))))
        found = pc.cast(pc.round(pc.if_else(few, counted, raw)), pa.int64())
        return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


class _Quantile(_Codes):
    """DDSketch: Masson, Rim and Lee, 2019: the result is within 1% of a value of that rank.

    A key is a bucket, what is kept how many values it has.
    """

    _kept = ("kept", "sum")

    def __init__(self, share: float) -> None:
        self._share = share

    def finish(self, state: _States) -> _States:
        """Return the middle of the bucket with the value of that rank; NULL without values."""
        import pyarrow as pa

        pc = _compute()
        keys, counts = state.flatten()
        sums = pc.cumulative_sum(pc.list_flatten(counts))
        offsets = pc.subtract(keys.offsets, keys.offsets[0])
        padded = pa.concat_arrays([pa.array([0], pa.int64()), sums])
        before, through = padded.take(offsets.slice(0, len(state))), padded.take(offsets.slice(1))
        rank = pc.cast(pc.floor(pc.multiply(self._share, pc.subtract(pc.subtract(through, before), 1))), pa.int64())
        wanted = pc.add(pc.add(before, rank), 1)
        at = pc.if_else(pc.greater(through, before), _first_reaching(sums, wanted), None)
        return _value(pc.list_flatten(keys).take(at))


def _compute() -> Any:  # noqa: ANN401 - the stubs know few of the combinations of arrays and scalars that there are
    import pyarrow.compute

    return pyarrow.compute


def distinct(name: str) -> Udaf:
    """Return the estimate of how many distinct values there are, as an aggregate of that name."""
    return _udaf(name, _Distinct(), BigInt)


def quantile(name: str, share: float) -> Udaf:
    """Return the estimate of a quantile, as an aggregate of that name."""
    return _udaf(name, _Quantile(share), Double)


def codes_of_distinct(x: str) -> tuple[str, str]:
    """Return SQL for register and zeros of a value's hash, MD5, which is the same in every version."""
    number = f"md5_number_lower(CAST({x} AS VARCHAR))"
    rest = f"({number} % 4503599627370496)"  # the lower 52 bits
    zeros = f"CASE WHEN {rest} = 0 THEN 53 ELSE 52 - CAST(floor(log2({rest})) AS BIGINT) END"
    return f"CAST({number} // 4503599627370496 AS BIGINT)", zeros


def codes_of_quantile(x: str) -> tuple[str, str]:
    """Return SQL for the bucket of a value, and one. Values closer to 0 than 1e-9 are 0."""
    value = f"CAST({x} AS DOUBLE)"
    bucket = f"CAST(ceil(ln(abs({value})) / ln({_GAMMA!r})) AS BIGINT) + {_LEAST}"
    return (
        f"CASE WHEN abs({value}) < 1e-9 THEN 0 WHEN {value} > 0 THEN {bucket} ELSE -({bucket}) END",
        f"CASE WHEN {value} IS NULL THEN NULL ELSE 1 END",
    )


def _udaf(name: str, steps: _Codes, returns: Any) -> Udaf:  # noqa: ANN401 - a type of ematix.types
    state = (Column("key", Array[BigInt]), Column("kept", Array[BigInt]))
    return Udaf(name, steps, (Column("key", BigInt), Column("kept", BigInt)), state, returns)


def _offsets(groups: pa.ChunkedArray[Any], number: int) -> pa.Array[Any]:
    """Return where the rows of each group begin; they are sorted by group."""
    import pyarrow as pa

    pc = _compute()
    counted = pa.Table.from_arrays([groups], names=["g"]).group_by("g").aggregate([("g", "count")])
    sizes = pc.take(counted.column("g_count"), pc.index_in(pa.array(range(number)), counted.column("g")))
    ends = pc.cumulative_sum(pc.fill_null(sizes, 0))
    ends = ends.combine_chunks() if isinstance(ends, pa.ChunkedArray) else ends
    return pa.concat_arrays([pa.array([0], pa.int32()), ends.cast(pa.int32())])


def _first_reaching(sums: pa.Array[Any], wanted: pa.Array[Any]) -> pa.Array[Any]:
    """Return for each of the ascending sums that are wanted where it is reached first."""
    from bisect import bisect_left

    import pyarrow as pa

    known = cast("list[int]", sums.to_pylist())
    return pa.array([bisect_left(known, one) for one in cast("list[int]", wanted.to_pylist())], pa.int64())


def _value(keys: pa.Array[Any]) -> pa.Array[Any]:
    """Return the middle of buckets."""
    import pyarrow as pa

    pc = _compute()
    middle = 2.0 / (_GAMMA + 1)
    size = pc.multiply(pc.power(_GAMMA, pc.cast(pc.subtract(pc.abs(keys), _LEAST), pa.float64())), middle)
    signed = pc.multiply(size, pc.cast(pc.sign(keys), pa.float64()))
    found: pa.Array[Any] = pc.if_else(pc.equal(keys, 0), 0.0, signed)
    return found
