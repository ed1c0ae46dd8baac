"""The SQL of job bodies, read without calling them: a body may do work."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FunctionType

_Definition = ast.FunctionDef | ast.Lambda


class Bodies:
    """Functions as they are written in their files; each file is read once."""

    def __init__(self) -> None:
        self._files: dict[str, dict[int, list[_Definition]]] = {}

    def sql(self, body: Callable[..., Any]) -> str:
        """Return the text that a function returns in its one statement; empty when it makes it in another way.

        The text may be a literal, a global or a variable around the function, and pieces of these: `+`, f-strings.
        """
        code = getattr(body, "__code__", None)
        if code is None or hasattr(body, "__wrapped__"):  # what is around another function may change what it returns
            return ""
        written = self._definitions(code.co_filename).get(code.co_firstlineno, [])
        expression = _returned(written[0]) if len(written) == 1 else None
        return ("" if expression is None else _text(expression, body)) or ""  # type: ignore[arg-type]  # it has code

    def _definitions(self, file: str) -> dict[int, list[_Definition]]:
        """Return the functions of a file by the line on which they begin."""
        if file not in self._files:
            found = self._files[file] = defaultdict(list)
            try:
                tree = ast.parse(Path(file).read_bytes())
            except (OSError, ValueError, SyntaxError):
                return found
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef):
                    found[min([node.lineno, *(one.lineno for one in node.decorator_list)])].append(node)
                elif isinstance(node, ast.Lambda):
                    found[node.lineno].append(node)
        return self._files[file]


def _returned(written: _Definition) -> ast.expr | None:
    if isinstance(written, ast.Lambda):
        return written.body
    statements = written.body[1:] if ast.get_docstring(written, clean=False) is not None else written.body
    return statements[0].value if len(statements) == 1 and isinstance(statements[0], ast.Return) else None


def _text(expression: ast.expr, function: FunctionType) -> str | None:
    """Return the text that an expression is known to be; None when only a call can tell."""
    match expression:
        case ast.Constant(str(text)):
            return text
        case ast.Name(name):
            return _variable(name, function)
        case ast.BinOp(left, ast.Add(), right):
            pieces = [_text(left, function), _text(right, function)]
        case ast.JoinedStr(values):
            pieces = [_text(value, function) for value in values]
        case ast.FormattedValue(value, -1, None):
            return _text(value, function)
        case _:
            return None
    return None if None in pieces else "".join(filter(None, pieces))


def _variable(name: str, function: FunctionType) -> str | None:
    code = function.__code__
    if name in code.co_varnames:  # a parameter
        return None
    value = function.__globals__.get(name)
    if name in code.co_freevars:
        cell = (function.__closure__ or ())[code.co_freevars.index(name)]
        try:
            value = cell.cell_contents
        except ValueError:  # it is not set yet
            return None
    return value if isinstance(value, str) else None
