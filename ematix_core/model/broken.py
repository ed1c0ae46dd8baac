"""Declarations that were refused: what stands in their place when a project is loaded for what is good of it.

A scheduler is not to stop because of one bad cron pattern. While `keep_good` is in force, a declaration that would
raise becomes a `Broken` instead, and so does what refers to it, so that the module goes on and the others are found.
"""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from ematix_core.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_P = ParamSpec("_P")
_R = TypeVar("_R")

_BY_NAME = "triggered_by"
"""The option that only takes the name of what it is given: one may wait for what is broken now."""


@dataclass(frozen=True, eq=False)
class Broken:
    """A declaration that was refused, and why."""

    name: str
    error: DeclarationError

    def __call__(self, *_: object) -> Broken:
        """Stand over a class or function, where a decorator was to be declared."""
        return self


_kept: ContextVar[list[Broken] | None] = ContextVar("kept", default=None)


@contextmanager
def keep_good() -> Iterator[list[Broken]]:
    """Let declarations that contradict themselves become Broken ones, instead of raising; those are listed."""
    broken: list[Broken] = []
    token = _kept.set(broken)
    try:
        yield broken
    finally:
        _kept.reset(token)


def breakable(function: Callable[_P, _R], *, name: str = "") -> Callable[_P, _R]:
    """Make a function that declares something, or the decorator that it returns, heed `keep_good`."""

    @wraps(function)
    def call(*args: _P.args, **options: _P.kwargs) -> _R:
        kept = _kept.get()
        if kept is None:
            return function(*args, **options)
        called = name or _name(args, options)
        token = _kept.set(None)  # a declaration that is made within this one breaks this one
        try:
            made = function(*args, **options)
        except DeclarationError as error:
            kept.append(Broken(called, error))
            return cast("_R", kept[-1])
        finally:
            _kept.reset(token)
        return cast("_R", breakable(made, name=called)) if inspect.isfunction(made) else made

    return call


def refers_to_broken(args: Iterable[Any], options: Mapping[str, Any]) -> DeclarationError | None:
    """Return what is wrong with a declaration that is given a broken one; None when it is given none."""
    for value in (*args, *(value for option, value in options.items() if option != _BY_NAME)):
        for one in value if isinstance(value, list | tuple) else (value,):
            if isinstance(one, Broken):
                return DeclarationError(f"it refers to {one.name or 'something'}, which is left out")
    return None


def _name(args: tuple[Any, ...], options: Mapping[str, Any]) -> str:
    given = options.get("name") or (args[0] if args else "")
    return str(getattr(given, "__name__", getattr(given, "name", given)))
