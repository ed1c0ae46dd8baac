"""Positions move from where a consumer read them, in the transaction of the rows; else nothing is loaded."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.errors import ConflictError, is_transient
from ematix_core.streaming.positions import Noted, PositionBookkeeping, moved, noted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ematix_core.backends.protocols import Target
    from ematix_core.model.connection import Connection

SCOPE = "clicks:clicks"
AT = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "memory"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    if request.param == "sqlite":
        connection: Connection = ematix.SQLiteConnection("store", path=str(tmp_path / "store.sqlite"))
    else:
        connection = ematix.MemoryConnection("store")
    with closing(registry.target(connection)) as opened:
        yield opened


def move(target: Target, load_id: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    with target.session() as session:
        books = PositionBookkeeping(SCOPE, load_id, AT, before=Noted(before), after=Noted(after))
        assert books.begin(session, "table clicks") is None
        books.record(session, None, {"rows_read": 1})


def places(target: Target) -> dict[str, Any]:
    with target.inspect() as session:
        return noted(session, SCOPE).positions


def test_partitions_move_each_by_itself(target: Target) -> None:
    assert places(target) == {}
    move(target, "one", {}, {"a": 3})
    move(target, "two", {}, {"b": [1, "x"]})
    move(target, "three", {"a": 3}, {"a": 9})
    assert places(target) == {"a": 9, "b": [1, "x"]}


def test_who_was_overtaken_moves_nothing_and_begins_again(target: Target) -> None:
    move(target, "one", {}, {"a": 3})
    with pytest.raises(ConflictError, match=r"partition a meanwhile: it is at 3, and was at None") as caught:
        move(target, "late", {}, {"a": 2})
    assert is_transient(caught.value)
    with pytest.raises(ConflictError, match="it is at 3, and was at 2"):
        move(target, "later", {"a": 2}, {"a": 5, "b": 1})
    assert places(target) == {"a": 3}


def test_who_reads_again_by_the_users_wish_moves_them_back(target: Target) -> None:
    move(target, "one", {}, {"a": 9})
    move(target, "again", {"a": 9}, {"a": 2})
    assert places(target) == {"a": 2}


def test_a_load_that_is_found_is_not_loaded_again(target: Target) -> None:
    move(target, "one", {}, {"a": 3})
    with target.session() as session:
        done = PositionBookkeeping(SCOPE, "one", AT, before=Noted(), after=Noted({"a": 3})).begin(
            session, "table clicks"
        )
    assert done is not None
    assert done.load_id == "one"


def test_only_what_is_another_has_moved() -> None:
    assert moved({"a": 1, "b": [2]}, {"a": 1, "b": [3], "c": 0}) == {"b": [3], "c": 0}


def test_a_state_goes_with_the_positions_and_is_refused_when_another_has_moved_it(target: Target) -> None:
    def load(load_id: str, before: Noted, after: Noted) -> None:
        with target.session() as session:
            books = PositionBookkeeping(SCOPE, load_id, AT, before=before, after=after)
            books.begin(session, "table clicks")
            books.record(session, None, {"rows_read": 0})

    load("one", Noted(), Noted({"a": 3}, "1-x"))
    with pytest.raises(ConflictError, match="changed its state meanwhile"):
        load("two", Noted({}, ""), Noted({"b": 1}, "1-y"))
    load("three", Noted({"a": 3}, "1-x"), Noted({"a": 4}, "2-x"))
    with target.inspect() as session:
        assert noted(session, SCOPE) == Noted({"a": 4}, "2-x")
