"""Options as users give them: a name that no option has is met with the near one, one value does for a list."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar, cast

from ematix_core.errors import DeclarationError, near
from ematix_core.model.broken import breakable, refers_to_broken

if TYPE_CHECKING:
    from types import UnionType

_P = ParamSpec("_P")
_R = TypeVar("_R")


def explained(what: str, *, kind: str = "", hint: str = "") -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Make calls with options that the function does not have raise DeclarationError instead of TypeError.

    `what` names it in the message; `kind` is what the first argument is the name of; `hint` replaces the list of the
    known options.
    """

    def wrap(function: Callable[_P, _R]) -> Callable[_P, _R]:
        @wraps(function)
        def call(*args: _P.args, **options: _P.kwargs) -> _R:
            error = misuse(function, what, args, options, hint=hint) or refers_to_broken(args, options)
            if error:
                name = args[0] if args else options.get("name")
                raise error.at(f"{kind} {getattr(name, 'name', name)}") if kind and name else error
            return function(*args, **options)

        return breakable(call)

    return wrap


def explained_decorator(what: str, *, kind: str, hint: str) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """As `explained`, for a function that makes a decorator of functions: raises where it is put over one.

    So the message has the name of what it declares. `hint` is for one without parentheses, or without a function.
    """

    def wrap(function: Callable[_P, _R]) -> Callable[_P, _R]:
        @wraps(function)
        def call(*args: _P.args, **options: _P.kwargs) -> _R:
            found = misuse(function, what, args, options) or refers_to_broken(args, options)
            named = str(options.get("name") or "")
            place = f"{kind} {named}" if named else ""
            if found is None:
                absent = DeclarationError(f"{what}(...) has no function", where=place, hint=hint)
                declare = cast("Callable[..., Any]", function(*args, **options))
                return cast("_R", Undecorated(breakable(declare, name=named), absent))
            bare = len(args) == 1 and inspect.isfunction(args[0])
            error = DeclarationError(f"{what} stands without options", hint=hint) if bare else found

            def refuse(body: Callable[..., Any]) -> NoReturn:
                raise error.at(place or f"{kind} {body.__name__}")

            if bare:
                return cast("_R", breakable(refuse)(cast("Callable[..., Any]", args[0])))
            return cast("_R", Undecorated(breakable(refuse, name=named), error.at(place) if place else error))

        return call

    return wrap


class Undecorated:
    """What declares a function, before it has one: to be called with it. As anything else, `error` is raised."""

    def __init__(self, declare: Callable[..., Any], error: DeclarationError) -> None:
        self._declare = declare
        self.error = error
        self.used = False

    def __call__(self, body: Callable[..., Any]) -> Any:  # noqa: ANN401 - the declaration of the function
        """Declare the function."""
        self.used = True
        return self._declare(body)

    def __getattr__(self, name: str) -> NoReturn:
        """Raise DeclarationError: what is asked for is the declaration's."""
        if name.startswith("__"):  # asked by Python's own machinery, which takes no other answer
            raise AttributeError(name)
        raise self.error


def misuse(
    function: Callable[..., Any], what: str, args: tuple[Any, ...], options: Mapping[str, Any], *, hint: str = ""
) -> DeclarationError | None:
    """Return what is wrong with calling `function` like this, as far as its signature tells; None when nothing is."""
    signature = inspect.signature(function)
    named = [p for p in signature.parameters.values() if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}]
    known = [parameter.name for parameter in named if parameter.name != "self"]
    try:
        bound = signature.bind_partial(*args, **options).arguments
    except TypeError:
        for name in options:
            if name not in known:
                return DeclarationError(f"{what} has no option {name!r}", hint=hint or near(name, known))
        listing = f"Write name=value. Known: {', '.join(known)}." if known else ""
        return DeclarationError(f"{what} takes its options by name", hint=hint or listing)
    for parameter in named:
        if parameter.default is parameter.empty and parameter.name not in bound:
            return DeclarationError(f"{what} needs {parameter.name}=", hint=hint)
    return None


def listed(value: Any) -> tuple[Any, ...]:  # noqa: ANN401 - whatever the user gave; who asks checks each value
    """Return the values of an option that takes several; a single one, such as a text, stands for a list of one."""
    if value is None:
        return ()
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return tuple(value)
    return (value,)


def listed_as(
    kinds: type | UnionType,
    value: Any,  # noqa: ANN401 - see listed
    option: str,
    hint: str,
) -> tuple[Any, ...]:
    """Return the values as `listed` does. Raises DeclarationError for one that is of none of the kinds."""
    values = listed(value)
    for one in values:
        if not isinstance(one, kinds):
            raise DeclarationError(f"{option}={one!r} does not belong there", hint=hint)
    return values


def tags_of(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - see listed
    """Return what `tags=` was given: one text or several. Raises DeclarationError for what is no text."""
    return listed_as(str, value, "tags", "Write tags='nightly' or tags=['nightly', 'crm'].")


def check_queueing(pool: object, priority: object) -> None:
    """Check the options by which runs queue for a place. Raises DeclarationError."""
    if not isinstance(pool, str):
        raise DeclarationError(f"pool={pool!r} is no name", hint="Write pool='warehouse'.")
    if not isinstance(priority, int) or isinstance(priority, bool):
        raise DeclarationError(
            f"priority={priority!r} is no whole number", hint="Write priority=10: higher runs first."
        )
