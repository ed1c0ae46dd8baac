"""What a project is loaded from: modules of Python, and TOML files of streams, which are read as one module each."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from ematix_core.errors import DeclarationError, ProjectError
from ematix_core.model import loading
from ematix_core.model.stream_file import read_streams

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def load(source: str | Path) -> Iterator[ModuleType]:
    """Yield what a source declares in, each as a module. Raises ProjectError, and DeclarationError for a TOML file.

    A source is a module by name, a `.py` file, a package folder with its submodules, or a `.toml` file of streams.
    """
    for module in load_good(source):
        if not isinstance(module, ModuleType):
            raise module
        yield module


def load_good(source: str | Path) -> Iterator[ModuleType | ProjectError | DeclarationError]:
    """Yield as `load` does, but the error in place of what cannot be loaded, and go on with the rest."""
    if not str(source).endswith(".toml"):
        yield from loading.load_good(source)
        return
    try:
        yield read_streams(source)
    except (ProjectError, DeclarationError) as error:
        yield error
