"""Every error that ematix raises on purpose, in one tree.

    EmatixError
    ├── DeclarationError (ValueError)      a declaration contradicts itself
    ├── ProjectError                       declarations do not fit together, or a module cannot be loaded
    ├── ConfigError                        settings, connection look-up
    │   ├── UnknownConnectionError
    │   └── SecretError                    a ${...} reference cannot be resolved
    ├── UnsupportedError                   the system cannot do this; raised when the job is planned
    ├── MissingDriverError                 a package is not installed
    ├── StoreError                         the control database
    │   ├── UnknownRunError                no run has that id
    │   ├── AlreadyRunningError            the job or workflow has an open run in a living process
    │   └── LeaseLostError                 another scheduler has taken over
    ├── AlertError                         an alert cannot be delivered
    │   └── ReceiverError     [Transient]  the receiver cannot be reached, or has trouble of its own
    └── RunError                           while a job runs
        ├── SourceError                    reading failed
        │   ├── MissingSourceError         file or table not there
        │   └── BadRowError                a malformed line, with file and line number
        ├── SqlError                       a statement was refused; carries statement and position
        ├── DriftError                     the table and the rows differ in a way that on_drift, or a registry, forbids
        ├── ConversionError                a value does not fit its column
        ├── KeyViolationError              NULL or duplicate merge keys
        │   └── AlikeKeysError             keys that differ, and that the system takes for one
        ├── CheckFailedError               a data check with severity "fail"
        ├── EmptySourceError               deletes requested with an empty source
        ├── FunctionError                  a Python function in SQL or over a batch raised
        ├── ResultError                    a Python function returned what it was not declared to
        ├── AccessError                    the system refuses the user, or what the user may do
        ├── ConnectError      [Transient]  cannot reach or open the system
        ├── LockedError       [Transient]  another process holds the system
        ├── ConflictError     [Transient]  another transaction got in the way, and this one was rolled back
        │   └── TableMadeError             another writer has made the table: an attempt finds it there
        ├── DiskFullError                  no space left where the system writes
        └── CancelledError                 stopped by Ctrl-C or by request; rolled back

Transient and Permanent are mixed in and drive retries: an error is retried only when it is Transient.
A message says what happened, where, and what to do.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any


_LISTED = 20
"""How many known names a hint lists."""


class Transient:
    """Mixed into errors that may go away by themselves: a retry makes sense."""


class Permanent:
    """Mixed into errors that stay until somebody changes something: a retry is a waste."""


class EmatixError(Exception):
    """Base of the tree.

    `what` happened; `where` (job, table, step, file); `hint`: what to do about it.
    """

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive pickling: what Exception does would call `__init__` with the message alone."""
        return _uninitialised, (type(self), *self.args), vars(self)

    def at(self, place: str) -> Self:
        """Add an outer place (such as `job orders`) to `where` and return the error itself."""
        if place not in self.where.split(", "):
            self.where = f"{place}, {self.where}" if self.where else place
        return self

    def masked(self, mask: Callable[[str], str]) -> Self:
        """Pass every text of the error through `mask`, which hides secrets, and return the error itself."""
        for name, value in vars(self).items():
            if isinstance(value, str):
                setattr(self, name, mask(value))
        self.args = (self.what,)
        return self

    def __str__(self) -> str:
        """Render `what (where).` and the hint on its own line."""
        head = f"{self.what} ({self.where})" if self.where else self.what
        return f"{head}\n{self.hint}" if self.hint else head


def _uninitialised(cls: type[EmatixError], *args: str) -> EmatixError:
    """Return an error as unpickling needs it: without `__init__`, whose parameters differ from class to class."""
    return cls.__new__(cls, *args)


class DeclarationError(EmatixError, Permanent, ValueError):
    """A declaration contradicts itself: raised on the line that declares it."""


class ProjectError(EmatixError, Permanent):
    """The declarations of a project do not fit together, or a module of it cannot be loaded.

    `traceback` is the text of the user's own frames when a module raised; its error is the `__cause__`.
    """

    def __init__(self, what: str, *, where: str = "", hint: str = "", traceback: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.traceback = traceback

    def __str__(self) -> str:
        """Render the message, then the traceback."""
        return f"{super().__str__()}\n{self.traceback}" if self.traceback else super().__str__()


class ConfigError(EmatixError, Permanent):
    """A setting is missing or malformed."""


class UnknownConnectionError(ConfigError):
    """No connection of that name in the project, the environment or the configuration files."""


class SecretError(ConfigError):
    """A `${...}` reference cannot be resolved. Never carries the secret."""


class UnsupportedError(EmatixError, Permanent):
    """The system cannot do what is asked; raised when the job is planned, never half-way."""


class MissingDriverError(EmatixError, Permanent):
    """A backend needs a package that is not installed; the hint is the pip command."""

    def __init__(self, kind: str, package: str, extra: str) -> None:
        super().__init__(
            f"connections of kind {kind!r} need the package {package}, which is not installed",
            hint=f'Run: pip install "ematix[{extra}]"',
        )


class StoreError(EmatixError, Permanent):
    """The control database cannot be opened, read or written."""


class UnknownRunError(StoreError):
    """No run, or no workflow run, has an id that begins so."""


class AlreadyRunningError(StoreError):
    """The job or workflow has an open run whose process lives: a second one is refused."""


class LeaseLostError(StoreError):
    """This scheduler's lease is another's by now: what it wanted to write was not written."""


class AlertError(EmatixError, Permanent):
    """An alert cannot be delivered: the receiver refuses it, or its settings are wrong."""


class ReceiverError(AlertError, Transient):
    """The receiver of alerts cannot be reached, or has trouble of its own."""


class RunError(EmatixError, Permanent):
    """A run failed."""


class SourceError(RunError):
    """Reading the source failed."""


class MissingSourceError(SourceError):
    """The file, folder or table that a job reads is not there."""


class BadRowError(SourceError):
    """A malformed line; `where` names file and line."""


class SqlError(RunError):
    """The system refused a statement.

    `statement` is the text as its author wrote it, or as sent where we wrote it; `position` the 0-based character
    offset of the fault in it, or None when unknown.
    """

    def __init__(
        self, what: str, *, statement: str, position: int | None = None, where: str = "", hint: str = ""
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.statement = statement
        self.position = position

    def within(self, part: str) -> Self:
        """Reduce the statement to the part of it that the user wrote, unless the fault lies outside; return itself."""
        start = self.statement.find(part) if part else -1
        if start >= 0 and (self.position is None or start <= self.position <= start + len(part)):
            self.statement = part
            self.position = None if self.position is None else self.position - start
        return self

    def __str__(self) -> str:
        """Render the message, then the faulty line of the statement with a caret under the position."""
        return f"{super().__str__()}\n{excerpt(self.statement, self.position)}"


class DriftError(RunError):
    """The rows and the table differ in a way that the drift policy forbids; or a registry refuses their schema."""


class ConversionError(RunError):
    """A value does not fit the type of its column.

    `row`: the number of the row that has it, among those that were to be loaded; None: it is not known.
    """

    row: int | None = None


class KeyViolationError(RunError):
    """A merge key is NULL or not unique; the message carries sample keys."""


class AlikeKeysError(KeyViolationError):
    """Keys differ, and the system takes them for one: by a collation without spaces at the ends of texts."""


class CheckFailedError(RunError):
    """A data check with severity `fail` found rows that break it; nothing was committed.

    `check` is its name, `table` the target's.
    """

    def __init__(self, what: str, *, check: str = "", table: str = "", where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.check = check
        self.table = table


class EmptySourceError(RunError):
    """Deletes were asked for and the source is empty: refused, because it would delete everything."""


class FunctionError(RunError):
    """A Python function, in SQL or over a batch, raised for the rows it was given; `__cause__` is its exception."""


class ResultError(RunError):
    """A Python function, in SQL or over a batch, returned another type or length than it was declared to."""


class AccessError(RunError):
    """The system refuses this user, this password, or what the user may do."""


class ConnectError(RunError, Transient):
    """The system cannot be reached or opened."""


class LockedError(RunError, Transient):
    """Another process holds the system, and the wait limit has passed."""


class ConflictError(RunError, Transient):
    """Another transaction got in the way, and this one was rolled back.

    A deadlock, a serialization failure, a table made at the same moment.
    """


class TableMadeError(ConflictError):
    """Another writer has made the table that this transaction was about to make.

    A job begins anew by itself, once: its next plan finds the table there.
    """


class DiskFullError(RunError):
    """No space left where the system writes; nothing was committed."""


class CancelledError(RunError):
    """The run was stopped (Ctrl-C or a request) and rolled back."""


def is_transient(error: BaseException) -> bool:
    """Say whether a retry may help: true for Transient errors only."""
    return isinstance(error, Transient)


def near(name: str, known: Iterable[str]) -> str:
    """Return a hint such as `Did you mean 'orders'? Known: customers, orders.` for an unknown name."""
    names = sorted(set(known))
    matches = get_close_matches(name, names, n=1, cutoff=0.6)
    guess = f"Did you mean {matches[0]!r}? " if matches else ""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    listing = f"Known: {', '.join(names[:_LISTED])}{more}." if names else "None is declared."
    return guess + listing


def excerpt(statement: str, position: int | None) -> str:
    """Return the statement with a caret line under `position`; without a position, the statement alone."""
    if position is None or not 0 <= position <= len(statement):
        return statement
    start = statement.rfind("\n", 0, position) + 1
    end = statement.find("\n", position)
    end = len(statement) if end == -1 else end
    number = statement.count("\n", 0, position) + 1
    prefix = f"line {number}: "
    return f"{prefix}{statement[start:end]}\n{' ' * (len(prefix) + position - start)}^"
