"""Loading the modules of a project: import them, and say in the user's own terms what went wrong.

The folder that a module's import path starts from is put on `sys.path` and stays there, as `python file.py` does: job
bodies may import their neighbours when they run.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import sys
import sysconfig
import traceback
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ematix_core.errors import ProjectError, near

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence
    from types import ModuleType

FILES = (".py", ".toml")
"""How the names of files with declarations end: modules, and streams as `stream_file` reads them."""
_OURS = f"{Path(__file__).parents[1]}{os.sep}"
# "<string>": where dataclasses make their __init__, which calls the checks of a declaration.
_MACHINERY = ("<frozen ", "<string>", _OURS, importlib.__file__)
_LIBRARIES = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def load_good(source: str | Path) -> Iterator[ModuleType | ProjectError]:
    """Import a module by name, a `.py` file or a package folder, and every submodule; yield each module.

    In place of one that raises, or is not there, it yields the error, and goes on with the others.
    """
    try:
        module = _load_path(Path(source)) if is_path(source) else _load_name(str(source), Path.cwd())
    except ProjectError as error:
        yield error
    else:
        yield module
        yield from _submodules(module)


def load_beside(folder: Path, name: str) -> ModuleType:
    """Import one module by name for a file in that folder: what lies there comes before what is installed.

    Raises ProjectError when there is no such thing, and when it raises while it is imported.
    """
    place = folder.joinpath(*name.split("."))
    for path in (place.with_name(f"{place.name}.py"), place):
        if path.is_file() or (path / "__init__.py").exists():
            return _load_path(path)
    return _load_name(name, folder)


def root_of(module: ModuleType) -> Path:
    """Return the folder that the module's import path starts from."""
    file = module.__file__ or next(iter(module.__path__))
    folder = Path(file).resolve()
    if hasattr(module, "__path__"):
        folder = Path(next(iter(module.__path__))).resolve()
    return folder.parents[module.__name__.count(".")]


def own_files(modules: Sequence[str], before: Container[str]) -> list[str]:
    """Return the files of modules that were loaded, and the folders of packages, to which a module may be added.

    Those of `modules`, and of what has been imported since `before`, without the library, installed packages and
    ematix itself: what an edit of the project changes.
    """
    named = {module for module in modules if not is_path(module)}
    found = {str(Path(module).absolute()) for module in modules if module.endswith(FILES)}
    for name, module in list(sys.modules.items()):
        asked = any(f"{name}.".startswith(f"{one}.") for one in named)
        folders = [str(folder) for folder in getattr(module, "__path__", None) or ()]
        for place in [getattr(module, "__file__", None), *folders]:
            if place and (asked or (name not in before and not _is_installed(place))):
                found.add(str(Path(place)))
    return sorted(found)


def _is_installed(path: str) -> bool:
    return path.startswith((*_LIBRARIES, _OURS)) or not {"site-packages", "dist-packages"}.isdisjoint(Path(path).parts)


def is_path(source: str | Path) -> bool:
    """Say whether a source is a file or folder, and not a module's name."""
    text = str(source)
    return isinstance(source, Path) or text.endswith(FILES) or "/" in text or "\\" in text


def _load_name(name: str, folder: Path) -> ModuleType:
    _search(folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _failure(name, error) from error
        here = [module.name for module in pkgutil.iter_modules([str(folder)])]
        raise ProjectError(f"there is no module {name!r}", where=str(folder), hint=near(name, here)) from None
    except (Exception, SystemExit) as error:
        raise _failure(name, error) from error


def _load_path(path: Path) -> ModuleType:
    path = path.resolve()
    if not path.exists() or not (path.is_dir() or path.suffix == ".py"):
        near_by = [file.name for file in path.parent.glob("*.py")]
        guess = near(path.name, near_by) if near_by else "Give a .py file, a package folder or a module name."
        raise ProjectError(f"there is no module at {path}", hint=guess)
    folder = path if path.is_dir() else path.parent
    parts = [path.stem] if path.is_file() and path.stem != "__init__" else []
    while (folder / "__init__.py").exists() or not parts:
        parts.insert(0, folder.name)
        folder = folder.parent
    _search(folder)
    name = ".".join(parts)
    try:
        if any("." in part for part in parts):
            return _load_apart(name, path)
        module = importlib.import_module(name)
        # Another module may own the name: a file called json.py, or pipelines.py in two folders.
        return module if _is_at(module, path) else _load_apart(name, path)
    except (Exception, SystemExit) as error:
        raise _failure(str(path), error) from error


def _is_at(module: ModuleType, path: Path) -> bool:
    places = [module.__file__, *getattr(module, "__path__", [])]
    return any(place is not None and Path(place).resolve() in {path, path / "__init__.py"} for place in places)


def _load_apart(name: str, path: Path) -> ModuleType:
    unique = f"{name.replace('.', '_')}_{sha256(str(path).encode()).hexdigest()[:8]}"
    if unique in sys.modules:
        return sys.modules[unique]
    spec = importlib.util.spec_from_file_location(unique, path / "__init__.py" if path.is_dir() else path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[unique]
        raise
    return module


def _submodules(package: ModuleType) -> Iterator[ModuleType | ProjectError]:
    for found in pkgutil.iter_modules(getattr(package, "__path__", []), f"{package.__name__}."):
        if found.name.endswith(".__main__"):
            continue  # importing it would run the program
        try:
            module = _load_submodule(found.name)
        except ProjectError as error:
            yield error
        else:
            yield module
            yield from _submodules(module)


def _load_submodule(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise _failure(name, error) from error


def _search(folder: Path) -> None:
    importlib.invalidate_caches()
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _failure(module: str, error: BaseException) -> ProjectError:
    """Return the error for a module that cannot be imported, with the frames that are the user's."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_MACHINERY)]
    own = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)]
    where = f"{own[-1].filename}, line {own[-1].lineno}" if own else ""
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{error.filename}, line {error.lineno}"
    lines = [*traceback.format_list(frames), *traceback.format_exception_only(error)]
    return ProjectError(
        f"cannot load {module}: {_summary(error)}",
        where=where,
        traceback="Traceback (most recent call last):\n" + "".join(lines).rstrip(),
    )


def _summary(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text.partition(chr(10))[0]}" if text else type(error).__name__
