"""Who imports whom: the contracts of pyproject.toml, no cycle, the declared exception only where it was declared."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import grimp

from tests.architecture.checkout import ROOT, place

if TYPE_CHECKING:
    from collections.abc import Iterator

LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")
# plan(), run() and consume() of a declaration import what does it inside the method: the edges that point upward.
DECLARED = ("ematix_core.model", ("ematix_core.engine", "ematix_core.streaming"))


def _inside(module: str, package: str) -> bool:
    """Say whether the module is the package or stands in it."""
    return module == package or module.startswith(f"{package}.")


def _inside_one(module: str, packages: tuple[str, ...]) -> bool:
    """Say whether the module is one of the packages or stands in one."""
    return any(_inside(module, package) for package in packages)


def _names(node: ast.stmt) -> list[str]:
    """Return the modules that an import statement may load, nothing for other statements."""
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=str(module), names=names):
            return [module, *(f"{module}.{alias.name}" for alias in names)]
    return []


def _eager_imports(body: list[ast.stmt]) -> Iterator[tuple[int, str]]:
    """Yield line and module of each import that runs when the file is imported."""
    for node in body:
        yield from ((node.lineno, name) for name in _names(node))
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=orelse):
                yield from _eager_imports(orelse)
            case ast.If(body=inner) | ast.Try(body=inner) | ast.With(body=inner) | ast.ClassDef(body=inner):
                yield from _eager_imports(inner)


def test_contracts_of_pyproject_hold() -> None:
    lint = subprocess.run([LINT_IMPORTS, "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert lint.returncode == 0, lint.stdout + lint.stderr


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph("ematix_core", cache_dir=None)
    importer_package, imported_packages = DECLARED
    imports = {
        importer: {
            imported
            for imported in graph.find_modules_directly_imported_by(importer)
            if not (_inside(importer, importer_package) and _inside_one(imported, imported_packages))
            # `from ematix_core import ematix` is the package itself: a name for type checkers, not a way around.
            and importer != imported
        }
        for importer in graph.modules
    }
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        cycle = " -> ".join(reversed(error.args[1]))
        raise AssertionError(f"These import each other, for types or inside a function included: {cycle}") from None


def test_declarations_import_engine_and_streaming_only_inside_their_methods() -> None:
    importer_package, imported_packages = DECLARED
    eager = [
        f"{place(file, line)} imports {name}"
        for file in sorted((ROOT / importer_package.replace(".", "/")).rglob("*.py"))
        for line, name in _eager_imports(ast.parse(file.read_text(encoding="utf-8")).body)
        if _inside_one(name, imported_packages)
    ]
    assert not eager
