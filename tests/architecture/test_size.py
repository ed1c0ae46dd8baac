"""How long a file, a class and a function may be. Split by noun: a new subject gets a file of its own."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tests.architecture.checkout import place, product_files

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE_LINES = 400
CLASS_LINES = 250
FUNCTION_LINES = 50


def _too_long(kinds: tuple[type[ast.stmt], ...], limit: int) -> Iterator[str]:
    """Yield the definitions of these kinds that have more lines than the limit, docstring included."""
    for file in product_files():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), filename=str(file))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and isinstance(node, kinds):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > limit:
                    yield f"{place(file, node.lineno)} {node.name}: {lines} lines, up to {limit}"


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in product_files()}
    assert not [f"{place(file)}: {lines} lines" for file, lines in lengths.items() if lines > FILE_LINES]


def test_no_class_is_longer_than_250_lines() -> None:
    assert not list(_too_long((ast.ClassDef,), CLASS_LINES))


def test_no_function_is_longer_than_50_lines() -> None:
    assert not list(_too_long((ast.FunctionDef, ast.AsyncFunctionDef), FUNCTION_LINES))
