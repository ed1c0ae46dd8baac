"""Functions of the user's for SQL, over Arrow arrays: of values (`udf`) and of groups (`udaf`)."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints, overload

from ematix_core.errors import DeclarationError, near
from ematix_core.model.options import explained, listed, listed_as
from ematix_core.model.table import Column, snake_case
from ematix_core.types import ColumnType, Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

Nulls = Literal["skip", "pass"]
_NULLS = ("skip", "pass")
_NAME = re.compile(r"[a-z](?:_?[a-z0-9])*_?")
_GIVEN = {"init": ("n",), "update": ("state", "groups"), "merge": ("state", "groups", "other"), "finish": ("state",)}
"""What each method of an aggregate takes; `update` takes the columns behind it."""


@dataclass(frozen=True, repr=False)
class Udf:
    """One declared function of values. Made by `@udf`; see there for the options."""

    name: str
    function: Callable[..., pa.Array[Any]] = field(compare=False)
    takes: tuple[Column, ...]
    returns: type[ColumnType]
    nulls: Nulls = "skip"
    deterministic: bool = True
    doc: str = field(default="", compare=False)
    module: str = field(default="", compare=False)

    def __call__(self, *columns: pa.Array[Any]) -> pa.Array[Any]:
        """Call the function as the plain one that it was."""
        return self.function(*columns)

    def __repr__(self) -> str:
        """Show the signature on one line."""
        return f"<function {signature_of(self)}>"


@dataclass(frozen=True, repr=False)
class Udaf:
    """One declared aggregate. Made by `@udaf`; see there for the options. `steps` is an object of the class."""

    name: str
    steps: Any = field(compare=False)
    takes: tuple[Column, ...]
    state: tuple[Column, ...]
    returns: type[ColumnType]
    nulls: Nulls = "skip"
    doc: str = field(default="", compare=False)
    module: str = field(default="", compare=False)

    @property
    def state_type(self) -> type[ColumnType]:
        """The type of the state of a group."""
        return Struct[tuple((column.name, column.type) for column in self.state)]

    def __repr__(self) -> str:
        """Show the signature on one line."""
        return f"<aggregate {signature_of(self)}>"


@dataclass(frozen=True)
class Enrichment:
    """A step of a stream over whole batches: a function from a table to a table."""

    name: str
    function: Callable[[pa.Table], pa.Table] = field(compare=False)


Function = Udf | Udaf
FunctionLike = Udf | Udaf | type[Any]
"""What `functions=` takes. The class is there for type checkers only, which see it under `@udaf`."""


@overload
def udf(function: Callable[..., Any], /) -> Udf: ...
@overload
def udf(
    *, name: str = "", takes: Sequence[type[ColumnType]] | type[ColumnType] = (),
    returns: type[ColumnType] | None = None, nulls: Nulls = "skip", deterministic: bool = True,
) -> Callable[[Callable[..., Any]], Udf]: ...  # fmt: skip
@explained("@ematix.udf", hint="Write @ematix.udf over the function, or @ematix.udf(takes=[...], returns=...).")
def udf(
    function: Callable[..., Any] | None = None, /, *, name: str = "",
    takes: Sequence[type[ColumnType]] | type[ColumnType] = (), returns: type[ColumnType] | None = None,
    nulls: Nulls = "skip", deterministic: bool = True,
) -> Udf | Callable[[Callable[..., Any]], Udf]:  # fmt: skip
    """Make the decorated function one that SQL can call; jobs and streams name it in `functions=`.

    It takes an Arrow array for each argument and returns one of the same length; it is called with some thousand rows
    at a time, and once with none when a plan or a run begins. Types are those of tables: as annotations
    (`price: Double`, `price: Annotated[pa.Array, Double]`), or as `takes` and `returns`. `name`: by default the
    function's. `nulls`: "skip": a row with a NULL argument gives NULL, and the function does not see it; "pass": it
    does. `deterministic`: equal arguments give equal results. Raises DeclarationError.
    """

    def declare(function: Callable[..., Any]) -> Udf:
        called = name or getattr(function, "__name__", type(function).__name__).lower()
        where = f"function {called}"
        _check(called, nulls, where)
        found = _parameters(function, where)
        hints = _hints(function, where) if not (takes and returns) else {}
        return Udf(
            called, function, _columns(found, takes, hints, where), _type(returns or hints.get("return"), "its result",
            "returns", where), nulls, deterministic, inspect.getdoc(function) or "", function.__module__,
        )  # fmt: skip

    return declare if function is None else declare(function)


@overload
def udaf(steps: type, /) -> Udaf: ...
@overload
def udaf(
    *, name: str = "", takes: Sequence[type[ColumnType]] | type[ColumnType] = (),
    returns: type[ColumnType] | None = None, nulls: Nulls = "skip",
) -> Callable[[type], Udaf]: ...  # fmt: skip
@explained("@ematix.udaf", hint="Write @ematix.udaf over the class, or @ematix.udaf(takes=[...], returns=...).")
def udaf(
    steps: type | None = None, /, *, name: str = "", takes: Sequence[type[ColumnType]] | type[ColumnType] = (),
    returns: type[ColumnType] | None = None, nulls: Nulls = "skip",
) -> Udaf | Callable[[type], Udaf]:  # fmt: skip
    """Make the decorated class an aggregate for SQL; jobs and streams name it in `functions=`.

    The class's annotations are the fields of the state, of which each group has one: a row of a `pa.StructArray`.
    `init(n)` returns the state of n groups without rows; `update(state, groups, *columns)` the state with rows added,
    where `groups` has the number of each row's group (int64, ascending, from 0); `merge(state, groups, other)` the
    state with other states added; `finish(state)` the results. Each keeps the number and order of groups.
    Types: annotations of the columns of `update` and of the result of `finish`, or `takes` and `returns`. `name`: by
    default the class name in snake case. `nulls`: "skip": rows with a NULL argument do not count; "pass": they do.
    Raises DeclarationError.
    """

    def declare(steps: type) -> Udaf:
        called = name or snake_case(getattr(steps, "__name__", ""))
        where = f"function {called}"
        if not isinstance(steps, type):
            raise DeclarationError(f"@ematix.udaf is given {steps!r}, which is no class", where=where)
        _check(called, nulls, where)
        made = _made(steps, where)
        arguments = {method: _parameters(getattr(made, method), where) for method in _GIVEN}
        for method, wanted in _GIVEN.items():
            _check_arguments(method, arguments[method], wanted, where)
        state = tuple(Column(key, _type(hint, f"the field {key!r} of its state", "", where))
                      for key, hint in _hints(steps, where).items())  # fmt: skip
        if not state:
            raise DeclarationError(
                "an aggregate needs a state", where=where, hint="Annotate its fields in the class: total: Double"
            )
        columns = arguments["update"][len(_GIVEN["update"]):]  # fmt: skip
        given = {} if takes else _hints(made.update, where)
        result = returns or _hints(made.finish, where).get("return")
        return Udaf(
            called, made, _columns(columns, takes, given, where), state,
            _type(result, "the result of finish", "returns", where), nulls, inspect.getdoc(steps) or "",
            steps.__module__,
        )  # fmt: skip

    return declare if steps is None else declare(steps)


def signature_of(function: Function) -> str:
    """Return the name with the types, such as `margin(price: Double) -> Double`."""
    given = ", ".join(f"{column.name}: {column.type.label()}" for column in function.takes)
    return f"{function.name}({given}) -> {function.returns.label()}"


def functions_of(value: Any) -> tuple[Function, ...]:  # noqa: ANN401 - see options.listed
    """Return what `functions=` was given, one or several. Raises DeclarationError for others, and for a name twice."""
    found: tuple[Function, ...] = listed_as(
        Udf | Udaf, value, "functions", "Put @ematix.udf over the function, or @ematix.udaf over the class."
    )
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise DeclarationError(
                f"two functions are called {name!r}",
                hint="Give one of them another name, by name='...' of its declaration.",
            )
    return found


def enrichments_of(value: Any) -> tuple[Enrichment, ...]:  # noqa: ANN401 - see options.listed
    """Return what `enrich=` was given, one function or several. Raises DeclarationError for others."""
    found = []
    for one in listed(value):
        if not callable(one) or isinstance(one, Udf | type):
            raise DeclarationError(
                f"enrich={one!r} is no function of whole batches",
                hint="Give a function that takes a pa.Table and returns one. One of values belongs into functions=.",
            )
        name = getattr(one, "__name__", type(one).__name__)
        if len(_parameters(one, f"enrich {name}")) != 1:
            raise DeclarationError(
                f"enrich: {name} takes other than one argument", hint="It gets the batch, a pa.Table."
            )
        found.append(Enrichment(name, one))
    return tuple(found)


def _check(name: str, nulls: str, where: str) -> None:
    if not _NAME.fullmatch(name):
        raise DeclarationError(
            f"{name!r} is no name for a function in SQL", where=where,
            hint="Use small letters, digits and single underscores: name='net_margin'.",
        )  # fmt: skip
    if name in _built_in():
        raise DeclarationError(
            f"DuckDB has a {name} of its own", where=where, hint=f"Give the function another one: name='my_{name}'."
        )
    if nulls not in _NULLS:
        raise DeclarationError(f"unknown nulls {nulls!r}", where=where, hint=near(str(nulls), _NULLS))


@cache
def _built_in() -> frozenset[str]:
    """Return the names of DuckDB's functions, and the words that stand for something else in its SQL."""
    return frozenset(Path(__file__).with_name("duckdb_names.txt").read_text(encoding="utf-8").split())


def _made(steps: type, where: str) -> Any:  # noqa: ANN401 - an object of the user's class
    for method, wanted in _GIVEN.items():
        if not callable(getattr(steps, method, None)):
            more = ", *columns" if method == "update" else ""
            raise DeclarationError(
                f"the class has no {method}", where=where, hint=f"Write def {method}(self, {', '.join(wanted)}{more})."
            )
    try:
        return steps()
    except TypeError as error:
        raise DeclarationError(
            f"the class cannot be made without arguments: {error}", where=where, hint="Leave __init__ out."
        ) from error


def _check_arguments(method: str, found: tuple[str, ...], wanted: tuple[str, ...], where: str) -> None:
    enough = len(found) > len(wanted) if method == "update" else len(found) == len(wanted)
    if not enough:
        more = ", *columns" if method == "update" else ""
        raise DeclarationError(
            f"{method} takes ({', '.join(found)})", where=where,
            hint=f"It is called as {method}({', '.join(wanted)}{more}).",
        )  # fmt: skip


def _parameters(function: Callable[..., Any], where: str) -> tuple[str, ...]:
    """Return the names of the arguments. Raises DeclarationError for others than plain ones, and for none."""
    if not callable(function):
        raise DeclarationError(f"{function!r} is no function", where=where)
    found = inspect.signature(function).parameters.values()
    for one in found:
        if one.kind not in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD} or one.default is not one.empty:
            raise DeclarationError(
                f"the argument {one.replace(annotation=one.empty)} cannot be given", where=where,
                hint="Name each argument, without a default: they are given by their places.",
            )  # fmt: skip
    if not found:
        raise DeclarationError("a function needs an argument, whose length is that of its result", where=where)
    return tuple(one.name for one in found)


def _hints(annotated: Any, where: str) -> dict[str, Any]:  # noqa: ANN401 - a function or class of the user's
    try:
        return get_type_hints(annotated, include_extras=True)
    except (AttributeError, NameError, TypeError) as error:
        raise DeclarationError(
            f"an annotation cannot be read: {error}", where=where,
            hint="Import it outside of `if TYPE_CHECKING`, or give takes= and returns=.",
        ) from error  # fmt: skip


def _columns(names: Sequence[str], takes: Any, hints: dict[str, Any], where: str) -> tuple[Column, ...]:  # noqa: ANN401 - as given
    given = listed(takes)
    if given and len(given) != len(names):
        raise DeclarationError(
            f"takes= has {len(given)} types, and the function {len(names)} arguments: {', '.join(names)}", where=where
        )
    kinds = given or [hints.get(name) for name in names]
    return tuple(
        Column(name, _type(kind, f"the argument {name!r}", "takes", where))
        for name, kind in zip(names, kinds, strict=True)
    )


def _type(hint: Any, what: str, option: str, where: str) -> type[ColumnType]:  # noqa: ANN401 - whatever was annotated
    kind = hint
    while get_origin(kind) in {Annotated, Union, UnionType}:
        inner = get_args(kind)
        named = [one for one in inner if isinstance(one, type) and issubclass(one, ColumnType)]
        kind = named[0] if len(named) == 1 else inner[0] if get_origin(kind) is Annotated else None
    if not (isinstance(kind, type) and issubclass(kind, ColumnType) and kind.kind):
        or_so = f", or give {option}=" if option else ""
        raise DeclarationError(
            f"{what} has no column type" + (f", but {hint!r}" if hint is not None else ""), where=where,
            hint=f"Annotate it with one of ematix_core.types, such as Double{or_so}.",
        )  # fmt: skip
    return kind
