"""Functions of the user's on a DuckDB connection: `margin(price, cost)` in its SQL is a Python function.

Functions belong to a database, and others may be connected to it: each gets a name of its own there, and the name that
SQL knows is a temporary macro of the connection. DuckDB's Python API has no aggregates; a macro may hold one: that of
an aggregate collects the rows of each group in a list, and calls a function of lists.
https://duckdb.org/docs/current/sql/statements/create_macro
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from ematix_core.backends.duck.calls import Aggregate, udf_call
from ematix_core.backends.duck.connection import OWN_FUNCTION, quote, translated
from ematix_core.backends.duck.types import LIMITS, TYPES
from ematix_core.errors import UnsupportedError
from ematix_core.model.function import Udaf
from ematix_core.sql.dialect import Dialect
from ematix_core.sql.hoisting import Parameter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from duckdb import DuckDBPyConnection

    from ematix_core.backends.duck.calls import Call
    from ematix_core.model.function import Function, Udf

_NUMBERS = count(1)
_DUCK = Dialect(name="duckdb", grammar="duckdb", types=TYPES, limits=LIMITS)


def register(connection: DuckDBPyConnection, functions: Iterable[Function]) -> tuple[str, ...]:
    """Make the functions known to the SQL of this connection; returns the names that `release` wants.

    An aggregate `f` brings its steps too: `f__update(x)` and `f__merge(state)`, which aggregate to a state, and
    `f__finish(state)`. Each function is called once with no rows. Raises FunctionError, ResultError; UnsupportedError
    for a type that DuckDB does not have.
    """
    made: list[str] = []
    for function in functions:
        if isinstance(function, Udaf):
            made += _aggregate(connection, function)
            continue
        names = [column.name for column in function.takes]
        made.append(_create(connection, function.name, udf_call(function), volatile=not function.deterministic))
        _macro(connection, function.name, names, f"{made[-1]}({_listed(names)})")
    return tuple(made)


def release(connection: DuckDBPyConnection, names: Iterable[str]) -> None:
    """Remove what `register` made; for databases that others are connected to, which would hold it for ever.

    To be called before the connection is closed, and after its readers are: what still runs may call a function.
    """
    for name in names:
        connection.remove_function(name)


def parameters(function: Udf) -> tuple[Parameter, ...]:
    """Return what the function takes as the rewriting of SQL wants it. Raises UnsupportedError as `register` does."""
    return tuple(
        Parameter(_DUCK.sql_type(column.type, column=column.name), column.type.to_arrow()) for column in function.takes
    )


def _aggregate(connection: DuckDBPyConnection, function: Udaf) -> Iterator[str]:
    """Make the aggregate and its steps, and yield their names in the database."""
    calls, name = Aggregate(function), function.name
    names = [column.name for column in function.takes]
    rows = (
        quote(names[0]) if len(names) == 1 else f"struct_pack({', '.join(f'{quote(n)} := {quote(n)}' for n in names)})"
    )
    steps = (
        (name, names, f"list({rows})", calls.whole),
        (f"{name}__update", names, f"list({rows})", calls.update),
        (f"{name}__merge", ["state"], "list(state)", calls.merge),
        (f"{name}__finish", ["state"], "state", calls.finish),
    )
    for step, parameters, given, call in steps:
        own = _create(connection, step, call, volatile=False)
        _macro(connection, step, parameters, f"{own}({given})")
        yield own


def _create(connection: DuckDBPyConnection, name: str, call: Call, *, volatile: bool) -> str:
    """Make a function of a name that no other has, and return that."""
    own = f"{OWN_FUNCTION}{next(_NUMBERS)}_{name}"
    try:
        takes = [_DUCK.sql_type(kind, column=name) for kind in call.takes]
        returns = _DUCK.sql_type(call.returns, column=name)
    except UnsupportedError as error:
        raise UnsupportedError(f"DuckDB has no type for what function {name} takes or returns: {error.what}") from None
    call.try_empty()
    with translated(name):
        connection.create_function(  # type: ignore[call-overload]  # the stubs know the enums, not their names
            own, call, takes, returns, type="arrow", null_handling="special", side_effects=volatile
        )
    return own


def _macro(connection: DuckDBPyConnection, name: str, parameters: Sequence[str], body: str) -> None:
    statement = f"CREATE OR REPLACE TEMP MACRO {quote(name)}({_listed(parameters)}) AS {body}"
    with translated(statement):
        connection.execute(statement)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(quote, names))
