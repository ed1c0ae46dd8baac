"""The dead letters of a stream, to look at and to put aside: what `flow dlq` does, as functions."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ematix_core.backends import registry
from ematix_core.config.settings import Settings
from ematix_core.engine.cancel import Cancellation
from ematix_core.engine.environment import Environment
from ematix_core.engine.queueing import exclusive
from ematix_core.errors import EmatixError, ProjectError, UnsupportedError, near
from ematix_core.sql import letters as statements
from ematix_core.streaming.letter_changes import change_letters
from ematix_core.streaming.letters import COLUMNS, NEW, PARKED, REPLAYED, known_names, letters_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from ematix_core.backends.protocols import Session, Target
    from ematix_core.model.connection import ConnectionLookup
    from ematix_core.model.stream import Stream
    from ematix_core.model.table import TableName
    from ematix_core.sql.dialect import Dialect

STATES = (NEW, PARKED, REPLAYED)
_ALL = tuple(column.name for column in COLUMNS)
_NO_BYTES = tuple(name for name in _ALL if name not in {"record_key", "record_value", "record_headers"})
_KNOWN = 1_000
"""From so many letters a near match is chosen."""


@dataclass(frozen=True)
class LetterList:
    """Letters of one stream as plain data by column, without their bytes; and how many there are by state."""

    stream: str
    letters: tuple[dict[str, Any], ...]
    counts: dict[str, int]


def list_letters(
    stream: Stream, project: ConnectionLookup | None = None, *, states: Sequence[str] = (NEW, PARKED), limit: int = 20
) -> LetterList:
    """Return the newest letters in one of the states, at most `limit`; the counts are of all states.

    A table that does not exist yet has none. Raises UnsupportedError for a target that is a topic.
    """
    found: list[dict[str, Any]] = []
    counts = dict.fromkeys(STATES, 0)
    parameters = {"stream": stream.name, **statements.bound_as("state", states)}
    for table, target in _tables(stream, project):
        with target.inspect() as session:
            if session.columns(table) is None:
                continue
            for state, number in _pairs(session.query(statements.counts(table, target.dialect), parameters)):
                counts[state] = counts.get(state, 0) + number
            query = statements.newest(table, _NO_BYTES, target.dialect, states=len(states), limit=limit)
            found += session.query(query, parameters).to_pylist()
    found.sort(key=lambda letter: letter["failed_at"], reverse=True)
    return LetterList(stream.name, tuple(found[:limit]), counts)


def find_letters(stream: Stream, letter_id: str, project: ConnectionLookup | None = None) -> tuple[dict[str, Any], ...]:
    """Return the letters with this id as plain data by column, with their bytes: one a table that has it.

    Raises ProjectError with near matches when there is none.
    """
    found: list[dict[str, Any]] = []
    parameters = {"stream": stream.name, "id_0": letter_id}
    for table, target in _tables(stream, project):
        with target.inspect() as session:
            if (existing := session.columns(table)) is not None:
                query = statements.newest(table, known_names(_ALL, existing), target.dialect, states=0, ids=1)
                found += session.query(query, parameters).to_pylist()
    if not found:
        known = list_letters(stream, project, states=STATES, limit=_KNOWN).letters
        raise ProjectError(
            f"stream {stream.name} has no dead letter {letter_id!r}",
            hint=near(letter_id, [one["letter_id"] for one in known]) if known else "It has no dead letter at all.",
        )
    return tuple(found)


def park_letters(
    stream: Stream, project: ConnectionLookup | None = None, *, letter_ids: Sequence[str] | None = None
) -> int:
    """Park the new letters with these ids (None: all); return how many. They are kept, and no longer in the way."""
    return _change(stream, project, letter_ids, NEW, PARKED)


def unpark_letters(
    stream: Stream, project: ConnectionLookup | None = None, *, letter_ids: Sequence[str] | None = None
) -> int:
    """Make the parked letters with these ids (None: all) new again; return how many."""
    return _change(stream, project, letter_ids, PARKED, NEW)


def purge_letters(
    stream: Stream,
    project: ConnectionLookup | None = None,
    *,
    states: Sequence[str] = STATES,
    before: datetime | None = None,
) -> int:
    """Delete the stream's letters in one of the states; `before`: those that failed before then. Return how many."""
    parameters: dict[str, Any] = {"stream": stream.name, "before": before, **statements.bound_as("state", states)}

    def delete(table: TableName, dialect: Dialect, session: Session) -> int:
        statement = statements.purge(table, dialect, states=len(states), aged=before is not None)
        return session.execute(statement, parameters)

    return _in_each_table(stream, project, delete)


def _change(
    stream: Stream, project: ConnectionLookup | None, letter_ids: Sequence[str] | None, before: str, after: str
) -> int:
    for letter_id in letter_ids or ():
        find_letters(stream, letter_id, project)
    groups = [None] if letter_ids is None else [letter_ids[at : at + 500] for at in range(0, len(letter_ids), 500)]

    def change(table: TableName, dialect: Dialect, session: Session) -> int:
        changed = 0
        for ids in groups:
            statement = statements.change_state(table, dialect, states=1, ids=len(ids or ()))
            parameters = {"stream": stream.name, "state_0": before, "to": after}
            changed += session.execute(statement, parameters | statements.bound_as("id", ids or ()))
        return changed

    return _in_each_table(stream, project, change)


def _in_each_table(
    stream: Stream, project: ConnectionLookup | None, change: Callable[[TableName, Dialect, Session], int]
) -> int:
    """Make a change in each table that there is, in a transaction of its own; return how many letters that were."""
    changed = 0
    for table, target in _tables(stream, project):
        with target.inspect() as session:
            if session.columns(table) is None:
                continue
        changed += change_letters(target, table, partial(change, table, target.dialect))
    return changed


def _tables(stream: Stream, project: ConnectionLookup | None) -> Iterator[tuple[TableName, Target]]:
    """Yield each table that has dead letters of the stream, once, with its target open meanwhile."""
    env = Environment(project=project, settings=Settings.load())
    seen: set[tuple[str, str]] = set()
    try:
        for declared in stream.targets:
            connection = env.connection(declared.connection or stream.source)
            table = letters_table(stream, declared)
            if connection.kind == "kafka":
                raise UnsupportedError(
                    f"the dead letters of {declared.name} are in topic {table}: a topic keeps no state of a message",
                    hint="Read them with `flow consume`, by a stream of its own over that topic.",
                )
            if (connection.name, str(table)) not in seen:
                seen.add((connection.name, str(table)))
                with _opened(env, registry.target(connection)) as target:
                    yield table, target
    except EmatixError as error:
        raise error.at(f"stream {stream.name}").masked(env.redactor.mask) from error.__cause__


@contextmanager
def _opened(env: Environment, target: Target) -> Iterator[Target]:
    try:
        with exclusive([target.exclusive()], wait=env.lock_wait, tell=lambda _: None, cancellation=Cancellation()):
            yield target
    finally:
        target.close()


def _pairs(rows: Any) -> Iterator[tuple[str, int]]:  # noqa: ANN401 - an Arrow table
    yield from zip(rows.column(0).to_pylist(), rows.column(1).to_pylist(), strict=True)
