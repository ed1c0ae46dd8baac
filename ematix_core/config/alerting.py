"""`[alerts.NAME]`: who is told what. One frozen record a kind; secrets stay references until an alert is sent."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ematix_core.config import tables
from ematix_core.config.references import Reference, parse
from ematix_core.config.secrets import resolve
from ematix_core.errors import ConfigError, EmatixError, near

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import Field

    from ematix_core.config.redact import Redactor

_TELLING = 16
"""A URL's path, or a part of it, of so many characters may be the secret, as with Slack; a shorter one is none."""


class AlertKind(StrEnum):
    """What an alert tells of."""

    FAILURE = "failure"
    RECOVERY = "recovery"
    LATE = "late"
    LONG_RUN = "long_run"


def _secret(**options: Any) -> Any:  # noqa: ANN401 - what dataclasses.field takes and returns
    return field(repr=False, metadata={"secret": True}, **options)


@dataclass(frozen=True, kw_only=True)
class AlerterSettings:
    """Base of all: the alerter's name, and the kinds of alerts that it wants."""

    kind: ClassVar[str] = ""
    name: str
    on: tuple[AlertKind, ...] = tuple(AlertKind)

    def shown(self) -> dict[str, str]:
        """Return the options that are set, fit to be shown: a secret is `***`, or the reference that stands for it."""
        return {f.name: _shown(getattr(self, f.name), f) for f in _options(type(self)) if getattr(self, f.name)}

    def resolved(self, *, redactor: Redactor | None = None, environ: Mapping[str, str] = os.environ) -> Self:
        """Return a copy with every reference resolved; the redactor learns the secrets.

        Raises SecretError or MissingDriverError, naming alerter and option.
        """

        def text(name: str, value: str, *, secret: bool) -> str:
            try:
                found = resolve(value, redactor=redactor, secret=secret, environ=environ)
            except EmatixError as error:
                raise error.at(f"alerter {self.name}, option {name}") from None
            if redactor:
                _learn(redactor, name, found, secret=secret)
            return found

        return replace(self, **{f.name: _each(text, f, getattr(self, f.name)) for f in _options(type(self))})


@dataclass(frozen=True, kw_only=True)
class StdoutSettings(AlerterSettings):
    """Lines on stdout."""

    kind: ClassVar[str] = "stdout"


@dataclass(frozen=True, kw_only=True)
class WebhookSettings(AlerterSettings):
    """A POST of JSON to a URL."""

    kind: ClassVar[str] = "webhook"
    url: str = _secret()
    headers: Mapping[str, str] = _secret(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SlackSettings(AlerterSettings):
    """A message through an incoming webhook of Slack; who knows its URL may post."""

    kind: ClassVar[str] = "slack"
    url: str = _secret()


@dataclass(frozen=True, kw_only=True)
class EmailSettings(AlerterSettings):
    """A mail through an SMTP server. `port`: by default 587 for starttls, 465 for ssl, 25 for none."""

    kind: ClassVar[str] = "email"
    host: str
    port: int = 0
    security: str = "starttls"
    user: str = ""
    password: str = _secret(default="")
    sender: str
    to: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PagerDutySettings(AlerterSettings):
    """An incident in PagerDuty, which the recovery resolves. `severity`: of failures; other alerts are warnings."""

    kind: ClassVar[str] = "pagerduty"
    routing_key: str = _secret()
    severity: str = "error"
    url: str = "https://events.pagerduty.com/v2/enqueue"


KINDS: dict[str, type[AlerterSettings]] = {
    cls.kind: cls for cls in (StdoutSettings, WebhookSettings, SlackSettings, EmailSettings, PagerDutySettings)
}
_CHOICES = {
    "security": ("starttls", "ssl", "none"),
    "severity": ("critical", "error", "warning", "info"),
}
_SECRETS = frozenset(option.name for cls in KINDS.values() for option in fields(cls) if option.metadata.get("secret"))


def read_alerts(content: Mapping[str, Any], where: str) -> dict[str, AlerterSettings]:
    """Return the alerters of the file's `[alerts.NAME]` tables. Raises ConfigError."""
    found = tables.table(content, "alerts", where)
    return {name: _alerter(name, options, f"{where}, [alerts.{name}]") for name, options in found.items()}


def _alerter(name: str, options: object, where: str) -> AlerterSettings:
    if not isinstance(options, dict):
        raise ConfigError("an alerter is a table", where=where, hint=f"Write [alerts.{name}] and kind = ...")
    kind = options.get("kind")
    cls = KINDS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        what = f"unknown kind {kind!r}" if kind else "the alerter has no kind"
        raise ConfigError(what, where=where, hint=near(str(kind or ""), KINDS))
    known = {option.name: option for option in _options(cls)}
    tables.check_keys(options, ["kind", "on", *known], "key", where)
    for option in known.values():
        if option.default is MISSING and option.default_factory is MISSING and option.name not in options:
            raise ConfigError(f"an alerter of kind {kind} needs {option.name} = ...", where=where)
    values = {key: _READ[str(option.type)](options[key], key, where) for key, option in known.items() if key in options}
    return cls(name=name, on=_wanted(options.get("on"), where), **values)


def _options(cls: type[AlerterSettings]) -> list[Field[Any]]:
    return [option for option in fields(cls) if option.name not in {"name", "on"}]


def _wanted(value: object, where: str) -> tuple[AlertKind, ...]:
    if value is None:
        return tuple(AlertKind)
    named = tables.texts(value, "on", where, "failure")
    for name in named:
        if name not in set(AlertKind):
            raise ConfigError(f"unknown kind of alert {name!r}", where=where, hint=near(name, map(str, AlertKind)))
    return tuple(kind for kind in AlertKind if kind in named)


def _text(value: object, key: str, where: str) -> str:
    found = tables.text(value, key, where, _CHOICES.get(key, ("${...}",))[0])
    if key in _CHOICES and found not in _CHOICES[key]:
        raise ConfigError(f"unknown {key} {found!r}", where=where, hint=near(found, _CHOICES[key]))
    _parsed(found, key, where)
    return found


def _texts(value: object, key: str, where: str) -> tuple[str, ...]:
    found = tables.texts(value, key, where, "ann@example.com")
    for one in found:
        _parsed(one, key, where)
    return found


def _whole(value: object, key: str, where: str) -> int:
    return tables.whole(value, key, where, 587)


def _mapping(value: object, key: str, where: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ConfigError(f"{key} must be a table", where=where, hint=f'Write {key} = {{ Authorization = "..." }}.')
    return {name: _text(one, f"{key}.{name}", where) for name, one in value.items()}


_READ: dict[str, Callable[[object, str, str], Any]] = {
    "str": _text, "tuple[str, ...]": _texts, "int": _whole, "Mapping[str, str]": _mapping,
}  # fmt: skip
"""How an option is checked, by the annotation of its field."""


def _parsed(text: str, key: str, where: str) -> None:
    try:
        parse(text)
    except EmatixError as error:
        raise ConfigError(f"{key}: {error.what}", where=where, hint=error.hint) from None


def _shown(value: Any, option: Field[Any]) -> str:  # noqa: ANN401 - an option of any kind
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_shown(one, option)}" for key, one in value.items())
    if isinstance(value, tuple):
        return ", ".join(value)
    pieces = parse(value) if isinstance(value, str) else [str(value)]
    secret = option.metadata.get("secret") and not any(isinstance(piece, Reference) for piece in pieces)
    return "***" if secret else "".join(map(str, pieces))


def _each(text: Callable[..., str], option: Field[Any], value: Any) -> Any:  # noqa: ANN401 - see _shown
    secret = option.metadata.get("secret", False)
    if isinstance(value, str):
        return text(option.name, value, secret=secret)
    if isinstance(value, Mapping):
        return {key: text(key, one, secret=secret) for key, one in value.items()}
    if isinstance(value, tuple):
        return tuple(text(option.name, one, secret=secret) for one in value)
    return value


def _learn(redactor: Redactor, name: str, value: str, *, secret: bool) -> None:
    """Let the redactor know a secret option; of headers, whose values are mostly none, those that give access."""
    redactor.learn_setting(name, value)
    if secret and (name in _SECRETS or name.lower().endswith("authorization")):
        redactor.learn(value)
        place = value.partition("://")[2].partition("/")[2]
        for part in (f"/{place}", *re.split(r"[/?&=#]", place)):
            if len(part) >= _TELLING:
                redactor.learn(part)
