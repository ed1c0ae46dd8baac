"""Calls of functions in SQL, taken apart: `sum(price * n)` is `sum` with one argument."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ematix_core.sql.dialect import Dialect

_CALL = re.compile(r"\s*(\w+)\s*(?:\((.*)\))?\s*", re.DOTALL)


def call_of(text: str) -> tuple[str, list[str], bool]:
    """Return a call's name in lower case, its arguments as DuckDB has them, and whether they are `distinct`.

    A name alone is a call without arguments. Raises ValueError for what is not one call.
    """
    import sqlglot
    from sqlglot import expressions as exp

    found = _CALL.fullmatch(text)
    if found is None:
        raise ValueError("it is not one call of a function")
    name, inside = found[1].lower(), found[2]
    if inside is None or not inside.strip():
        return name, [], False
    distinct = re.match(r"\s*distinct\b", inside, re.IGNORECASE)
    try:
        (listed,) = sqlglot.parse_one(
            f"SELECT _ematix_call({inside[distinct.end() :] if distinct else inside})", dialect="duckdb"
        ).expressions
    except sqlglot.ParseError as error:
        raise ValueError(re.sub(r"\x1b\[\d+m", "", str(error)).splitlines()[0]) from None
    if not isinstance(listed, exp.Anonymous):
        raise ValueError("it is not one call of a function")  # noqa: TRY004 - the text is wrong, not a type
    return name, [one.sql(dialect="duckdb") for one in listed.expressions], distinct is not None


def first_called(sql: str, names: Iterable[str], dialect: Dialect) -> str:
    """Return the first of the names that stands before a parenthesis in the text, whatever its case; empty: none.

    Text that is none in the dialect calls nothing: the system will refuse it.
    """
    import sqlglot
    from sqlglot import TokenError, TokenType

    wanted = set(names)
    try:
        tokens = sqlglot.tokenize(sql, read=dialect.grammar)
    except TokenError:
        return ""
    for token, following in pairwise(tokens):
        if following.token_type is TokenType.L_PAREN and token.text.lower() in wanted:
            return token.text.lower()
    return ""
