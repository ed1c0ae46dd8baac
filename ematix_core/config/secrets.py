"""Resolves `${...}` references when a setting is used, and tells the redactor what became of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from ematix_core.config.redact import is_secret_name
from ematix_core.config.references import Reference, parse
from ematix_core.config.secret_sources import SOURCES
from ematix_core.errors import EmatixError, SecretError, near
from ematix_core.model.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core.config.redact import Redactor

_Connection = TypeVar("_Connection", bound="Connection")


def resolve(
    text: str,
    *,
    redactor: Redactor | None = None,
    secret: bool = False,
    sources: Mapping[str, Callable[[str], str]] = SOURCES,
    environ: Mapping[str, str] = os.environ,
) -> str:
    """Return the text with its references replaced. What a reference gives is not searched for further ones.

    The redactor learns what comes from a secret source, and from variables whose name says that they are secret;
    with `secret`, what any reference gives.
    Raises SecretError, naming the reference and what to set, or MissingDriverError.
    """
    resolved = []
    for piece in parse(text):
        if isinstance(piece, str):
            resolved.append(piece)
        elif piece.source:
            resolved.append(_from_source(piece, sources))
        elif not environ.get(piece.body) and piece.default is not None:
            resolved.append(resolve(piece.default, redactor=redactor, secret=secret, sources=sources, environ=environ))
        elif piece.body in environ:
            resolved.append(environ[piece.body])
        else:
            raise SecretError(f"{piece} cannot be resolved: the environment has no such variable",
                              hint=f"Set {piece.body}, or give a default: ${{{piece.body}:-...}}.")  # fmt: skip
        if redactor and isinstance(piece, Reference) and (secret or piece.source or is_secret_name(piece.body)):
            redactor.learn(resolved[-1])
    return "".join(resolved)


def resolve_connection(
    connection: _Connection,
    *,
    redactor: Redactor | None = None,
    sources: Mapping[str, Callable[[str], str]] = SOURCES,
    environ: Mapping[str, str] = os.environ,
) -> _Connection:
    """Return a copy of the connection with every text setting resolved, nested ones in `options` too.

    State (the tables of a memory connection) is shared with the original. Errors name connection and setting.
    """

    def text(name: str, value: str) -> str:
        try:
            result = resolve(value, redactor=redactor, sources=sources, environ=environ)
        except EmatixError as error:
            error.at(f"connection {connection.name}, setting {name}")
            raise
        if redactor:
            redactor.learn_setting(name, result)
        return result

    def each(name: str, value: object) -> Any:  # noqa: ANN401 - settings of any shape
        """Resolve every string below `value`; `name` is that of the innermost setting that holds it."""
        if isinstance(value, str):
            return text(name, value)
        if isinstance(value, Mapping):
            return {key: each(str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(each(name, item) for item in value)
        if isinstance(value, Connection):
            return resolve_connection(value, redactor=redactor, sources=sources, environ=environ)
        return value

    settings = [f.name for f in fields(connection) if f.name != "name" and not f.metadata.get("state")]
    return replace(connection, **{name: each(name, getattr(connection, name)) for name in settings})


def _from_source(reference: Reference, sources: Mapping[str, Callable[[str], str]]) -> str:
    source = sources.get(reference.source)
    if source is None:
        raise SecretError(f"{reference} cannot be resolved: no such source of secrets",
                          hint=near(reference.source, sources))  # fmt: skip
    try:
        return source(reference.body)
    except SecretError as error:
        error.what = f"{reference} cannot be resolved: {error.what}"
        raise
