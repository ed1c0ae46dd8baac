"""The grammar of `${...}` references in settings: found in a text, never resolved here.

    ${NAME}             environment variable
    ${NAME:-default}    the same, with what holds when it is unset or empty; the default may hold references
    ${source:body}      a secret source, such as ${file:/run/secrets/pw} or ${vault:secret/shop#password}
    $${                 a literal ${

Any other `$` stands for itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ematix_core.errors import SecretError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SOURCE = re.compile(r"([a-z]+):(?!-)(.+)", re.DOTALL)
_TOKEN = re.compile(r"\$\$\{|\$\{|\}")
_FORMS = "Write ${NAME}, ${NAME:-default} or ${source:...}; a literal ${ is written $${."


@dataclass(frozen=True)
class Reference:
    """One `${...}`: `source` is empty for an environment variable, whose name is then the `body`."""

    source: str
    body: str
    default: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Return the reference as written, without its default, which may be a password."""
        return f"${{{self.source}:{self.body}}}" if self.source else f"${{{self.body}}}"


def parse(text: str) -> list[str | Reference]:
    """Split a text into literal pieces, escapes undone, and references. Raises SecretError for a malformed one."""
    pieces: list[str | Reference] = []
    position = 0
    while opening := _opening(text, position):
        pieces.append(text[position : opening.start()])
        if opening[0] == "$${":
            pieces.append("${")
            position = opening.end()
        else:
            end = _closing(text, opening.end())
            pieces.append(_reference(text[opening.end() : end]))
            position = end + 1
    pieces.append(text[position:])
    return [piece for piece in pieces if piece != ""]


def references(text: str) -> list[Reference]:
    """Return the references of a text in order, those inside defaults included."""
    found = []
    for piece in parse(text):
        if isinstance(piece, Reference):
            found += [piece, *references(piece.default or "")]
    return found


def escape(text: str) -> str:
    """Return the text so that `parse` gives it back as a literal."""
    return text.replace("${", "$${")


def _opening(text: str, start: int) -> re.Match[str] | None:
    return next((token for token in _TOKEN.finditer(text, start) if token[0] != "}"), None)


def _closing(text: str, start: int) -> int:
    """Return the position of the brace that closes the reference whose body begins at `start`."""
    depth = 1
    for token in _TOKEN.finditer(text, start):
        if token[0] == "${":
            depth += 1
        elif token[0] == "}":
            depth -= 1
            if depth == 0:
                return token.start()
    # What follows is not shown: it may be a password that happens to hold "${".
    raise SecretError("a ${ is not closed by }", hint=_FORMS)


def _reference(inner: str) -> Reference:
    if _NAME.fullmatch(inner):
        return Reference("", inner)
    name, dash, default = inner.partition(":-")
    if dash and _NAME.fullmatch(name):
        parse(default)
        return Reference("", name, default)
    if match := _SOURCE.fullmatch(inner):
        return Reference(match[1], match[2])
    raise SecretError("a ${...} reference is malformed", hint=_FORMS)
