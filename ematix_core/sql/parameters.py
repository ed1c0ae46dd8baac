"""`:name` parameters in SQL text, rewritten to what a driver takes; the rest of the text stays byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import sqlglot
from sqlglot import TokenError, TokenType

from ematix_core.errors import SqlError, near

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlglot import Token

Style = Literal["named_dollar", "qmark", "null", "literal"]
"""How parameters are written: `$name` (DuckDB), `?` in order (SQLite), `NULL` where only the types count, or by the
backend itself (MySQL, see `rewritten`)."""

_GRAMMAR: Mapping[str, str] = {"named_dollar": "duckdb", "qmark": "sqlite", "null": "sqlite", "literal": "mysql"}
# A colon after one of these divides two operands: a slice `[lo:hi]`, a field `{a: b}`, a path `a:b`.
_OPERANDS = frozenset({
    TokenType.VAR, TokenType.IDENTIFIER, TokenType.NUMBER, TokenType.STRING, TokenType.R_PAREN, TokenType.R_BRACKET,
    TokenType.R_BRACE, TokenType.PARAMETER, TokenType.PLACEHOLDER,
})  # fmt: skip


def bind(sql: str, parameters: Mapping[str, Any], style: Style) -> tuple[str, dict[str, Any] | list[Any]]:
    """Return the text in the driver's style and the values: by name for `named_dollar`, else in order of use.

    A parameter is a colon with a name right behind it where a value may stand: not in strings, comments and quoted
    names, nor in casts, slices and fields. Values that the text does not use are left out. `$name` is as long as
    `:name`, so a position in the one text is a position in the other.
    Raises SqlError at a parameter that has no value.
    """
    forms = {"named_dollar": "${}", "qmark": "?", "null": "NULL"}
    text, order = rewritten(sql, parameters, _GRAMMAR[style], forms[style].format)
    if style == "named_dollar":
        return text, {name: parameters[name] for name in order}
    return text, [parameters[name] for name in order]


def rewritten(
    sql: str,
    parameters: Mapping[str, Any],
    grammar: str,
    write: Callable[[str], str],
    *,
    between: Callable[[str], str] = str,
) -> tuple[str, list[str]]:
    """Return the text with each parameter as `write(name)` has it, and the names in order of use.

    `between` is applied to the text in between, for drivers that give a meaning to other characters of it too.
    Raises SqlError at a parameter that is none of `parameters`.
    """
    pieces: list[str] = []
    order: list[str] = []
    done = 0
    for start, name in _parameters(sql, grammar):
        if name not in parameters:
            raise SqlError(
                f"there is no value for the parameter :{name}",
                statement=sql,
                position=start,
                hint=near(name, parameters),
            )
        pieces += [between(sql[done:start]), write(name)]
        order.append(name)
        done = start + 1 + len(name)
    return "".join([*pieces, between(sql[done:])]), order


def single(sql: str, style: Style) -> str:
    """Return the text of its one statement, without a semicolon at the end.

    Raises SqlError at the start of a second statement: drivers run it at once, or silently leave it out.
    """
    if ";" not in sql:
        return sql
    tokens = _tokens(sql, _GRAMMAR[style])
    ends = [token for token in tokens if token.token_type is TokenType.SEMICOLON]
    if not ends:
        return sql
    second = next((token for token in tokens if token.start > ends[0].end and token not in ends), None)
    if second is not None:
        raise SqlError("there is more than one statement", statement=sql, position=second.start)
    return sql[: ends[0].start]


def names(sql: str, style: Style = "named_dollar") -> tuple[str, ...]:
    """Return the names of the parameters that the text uses, each once, in order of first use."""
    return tuple(dict.fromkeys(name for _, name in _parameters(sql, _GRAMMAR[style])))


def _parameters(sql: str, grammar: str) -> Iterator[tuple[int, str]]:
    """Yield the offset of each parameter's colon, and its name."""
    if ":" not in sql:
        return
    tokens = _tokens(sql, grammar)
    for i, token in enumerate(tokens[:-1]):
        word = tokens[i + 1]
        if token.token_type is TokenType.COLON and word.start == token.end + 1 and word.text.isidentifier():
            quoted = sql[word.start] != word.text[0]
            if not quoted and not _divides(sql, tokens, i):
                yield token.start, word.text


def _divides(sql: str, tokens: Sequence[Token], i: int) -> bool:
    """Say whether the colon at token `i` stands between two operands, or opens a slice as in `a[:n]`."""
    if i == 0:
        return False
    before = tokens[i - 1]
    touching = before.end + 1 == tokens[i].start and (sql[before.end].isalnum() or sql[before.end] in "_\"'`)]}")
    if touching or before.token_type in _OPERANDS:
        return True
    return before.token_type is TokenType.L_BRACKET and i > 1 and tokens[i - 2].token_type in _OPERANDS


def _tokens(sql: str, grammar: str) -> list[Token]:
    try:
        return sqlglot.tokenize(sql, read=grammar)
    except TokenError as error:
        raise SqlError("the text ends inside a string, a comment or a quoted name", statement=sql) from error
