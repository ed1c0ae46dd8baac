"""Aggregates in parts: what a micro-batch adds, how two such parts are combined, and what is told of them at the end.

Each part is a column. All of it is SQL for DuckDB; nothing is done row by row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ematix_core.backends.duck.connection import quote
from ematix_core.errors import DeclarationError, near
from ematix_core.sql.calls import call_of
from ematix_core.streaming.event_times import TIME
from ematix_core.streaming.windows import sketches

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ematix_core.model.function import Udaf

ARRIVAL = "_ematix_arrival"
"""The column with the number of a row in the order of arrival, which tells the first of two rows of one time."""


@dataclass(frozen=True)
class Part:
    """A column of partial aggregates: made of rows by `update`, of other parts by `combine`."""

    name: str
    update: str
    combine: str


@dataclass(frozen=True)
class Aggregation:
    """One aggregate of a window; `finish` makes the result of the combined parts."""

    name: str
    parts: tuple[Part, ...]
    finish: str
    sketch: Udaf | None = None
    """An aggregate function that its SQL calls, and that has to be registered."""


def aggregations(aggregate: Mapping[str, str], functions: Collection[str] = ()) -> tuple[Aggregation, ...]:
    """Return the parts of each aggregate. `functions`: the names of aggregate functions of the user's own.

    Raises DeclarationError naming the column.
    """
    return tuple(
        _aggregation(column, text, f"_{number}", functions) for number, (column, text) in enumerate(aggregate.items())
    )


def _call(column: str, text: str) -> tuple[str, list[str]]:
    """Return an aggregate's name and arguments; `count(distinct x)` has a name of its own, `count(*)` no argument."""
    try:
        name, arguments, distinct = call_of(text)
    except ValueError as error:
        raise DeclarationError(
            f"column {column}: {text!r} is no aggregate: {error}", hint="Write one call, as 'sum(price * number)'."
        ) from None
    if distinct:
        return f"{name}_distinct", arguments
    return name, [] if arguments == ["*"] else arguments


def _aggregation(column: str, text: str, part: str, functions: Collection[str]) -> Aggregation:
    name, arguments = _call(column, text)
    known = {**_MAKERS, **_SKETCHES, **dict.fromkeys(functions)}
    if name not in known:
        raise DeclarationError(f"column {column}: {text!r} is no aggregate", hint=near(name, known))
    wanted = _ARGUMENTS.get(name, ())
    if wanted and len(arguments) not in wanted:
        count = " or ".join(map(str, wanted))
        raise DeclarationError(f"column {column}: {text!r} has {len(arguments)} arguments, and {name} takes {count}")
    if wanted == _WITH_SHARE and not re.fullmatch(r"0|1|0?\.\d+|1\.0*", arguments[1]):
        raise DeclarationError(f"column {column}: {text!r}: {arguments[1]} is no number from 0 to 1")
    sketch = None
    if name in functions:
        parts, finish = _of_function(name, arguments)
    elif name in _SKETCHES:
        sketch, codes = _SKETCHES[name](f"_ematix_sketch{part}", *arguments)
        parts, finish = _of_function(sketch.name, codes)
    else:
        parts, finish = _MAKERS[name](*arguments)
    names = [part + letter for letter, _ in zip("ab", parts, strict=False)]
    quoted = [quote(one) for one in names]
    made = [Part(one, update, combine.format(quote(one))) for one, (update, combine) in zip(names, parts, strict=True)]
    return Aggregation(column, tuple(made), finish.format(*quoted), sketch)


_Made = tuple["Sequence[tuple[str, str]]", str]


def _count(x: str = "*") -> _Made:
    return [(f"count({x})", "sum({})")], "CAST({} AS BIGINT)"


def _plain(name: str) -> Callable[[str], _Made]:
    return lambda x: ([(f"{name}({x})", f"{name}({{}})")], "{}")


def _avg(x: str) -> _Made:
    return [(f"sum({x})", "sum({})"), (f"count({x})", "sum({})")], "CAST({0} AS DOUBLE) / nullif({1}, 0)"


def _by_time(name: str) -> Callable[[str], _Made]:
    """Return the maker of `first` or `last`: of the values that are not NULL, by time and then by arrival."""

    def make(x: str) -> _Made:
        packed = f"struct_pack(t := {TIME}, n := {ARRIVAL}, v := {x})"
        return [(f"{name}({packed}) FILTER (({x}) IS NOT NULL)", f"{name}({{}})")], "({}).v"

    return make


def _distinct(x: str) -> _Made:
    return (
        [(f"list(DISTINCT {x}) FILTER (({x}) IS NOT NULL)", "list_distinct(flatten(list({})))")],
        "coalesce(len({}), 0)",
    )


def _quantile(x: str, share: str = "0.5") -> _Made:
    return (
        [(f"list({x}) FILTER (({x}) IS NOT NULL)", "flatten(list({}))")],
        f"list_aggregate({{}}, 'quantile_cont', {share})",
    )


def _of_function(name: str, arguments: Sequence[str]) -> _Made:
    return [(f"{name}__update({', '.join(arguments)})", f"{name}__merge({{}})")], f"{name}__finish({{}})"


def _approx_distinct(name: str, x: str) -> tuple[Udaf, tuple[str, str]]:
    return sketches.distinct(name), sketches.codes_of_distinct(x)


def _approx_quantile(name: str, x: str, share: str) -> tuple[Udaf, tuple[str, str]]:
    return sketches.quantile(name, float(share)), sketches.codes_of_quantile(x)


_MAKERS: dict[str, Callable[..., _Made]] = {
    "count": _count, "count_distinct": _distinct, "sum": _plain("sum"), "min": _plain("min"), "max": _plain("max"),
    "avg": _avg, "first": _by_time("min"), "last": _by_time("max"), "median": _quantile, "quantile": _quantile,
}  # fmt: skip
_SKETCHES: dict[str, Callable[..., tuple[Udaf, tuple[str, str]]]] = {
    "approx_count_distinct": _approx_distinct, "approx_quantile": _approx_quantile,
}  # fmt: skip
_WITH_SHARE = (2,)
"""The arguments of those whose second one is a number from 0 to 1."""
_ARGUMENTS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys((*_MAKERS, *_SKETCHES), (1,)), "count": (0, 1),
    "quantile": _WITH_SHARE, "approx_quantile": _WITH_SHARE,
}  # fmt: skip
