"""What an executor's name or URL says: `process?memory=512 MiB`, `kubernetes://etl?image=...`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

from ematix_core.config.secrets import resolve
from ematix_core.errors import ConfigError, MissingDriverError, near
from ematix_core.model.connection import mask

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FORM = re.compile(r"(?P<scheme>[a-z]+)(?:://(?P<place>[^?#]*))?(?P<rest>[?#].*)?", re.DOTALL)


@dataclass(frozen=True)
class ExecutorUrl:
    """An executor as it was named, its `${...}` references unresolved."""

    scheme: str
    place: str = field(default="", repr=False)
    """What stands between `://` and the options."""
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    text: str = field(default="", repr=False)
    """The whole, without the options of an HTTP function, which stand behind `#`."""

    @classmethod
    def parse(cls, text: str) -> ExecutorUrl:
        """Take a name or URL apart. Raises ConfigError.

        Options stand behind `?`; for `http` and `https`, where that belongs to the function's address, behind `#`.
        """
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise ConfigError(
                f"{mask(text)!r} is no executor", hint="Write process, thread, kubernetes://namespace?image=..., ..."
            )
        scheme, rest = match["scheme"], match["rest"] or ""
        address, _, fragment = text.strip().partition("#")
        written = fragment if scheme in {"http", "https"} else rest.removeprefix("?")
        options = dict(parse_qsl(written, keep_blank_values=True))
        return cls(scheme, unquote(match["place"] or ""), options, address)

    def take(self, known: Iterable[str], *, required: Iterable[str] = ()) -> dict[str, str]:
        """Return the options with their references resolved. Raises ConfigError for unknown and missing ones."""
        names = list(known)
        for name in self.options:
            if name not in names:
                raise ConfigError(f"unknown option {name!r}", where=self.where, hint=near(name, names))
        for name in required:
            if not self.options.get(name):
                raise ConfigError(f"the option {name!r} is missing", where=self.where, hint=f"Add {name}=... to it.")
        return {name: resolve(value) for name, value in self.options.items()}

    @property
    def where(self) -> str:
        """The executor in an error message."""
        return f"executor {mask(self.text.partition('?')[0])}"

    def number(self, options: Mapping[str, str], name: str, default: float) -> float:
        """Return an option that is a number of seconds, not negative. Raises ConfigError."""
        text = options.get(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf"):
            raise ConfigError(f"{name}={text!r} is no number of seconds", where=self.where, hint=f"Write {name}=30.")
        return value


def missing(kind: str, package: str, extra: str = "") -> MissingDriverError:
    """Return the error for a library that an executor needs."""
    error = MissingDriverError(kind, package, extra or kind)
    error.what = f"the executor {kind!r} needs the package {package}, which is not installed"
    error.args = (error.what,)
    return error
