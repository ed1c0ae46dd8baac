"""Errors are user interface: their text is held to the letter."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from typing import TYPE_CHECKING

import pytest

from ematix_core import errors as e

if TYPE_CHECKING:
    from collections.abc import Callable


def tree() -> list[type[e.EmatixError]]:
    return [cls for cls in vars(e).values() if inspect.isclass(cls) and issubclass(cls, e.EmatixError)]


def made(cls: type[e.EmatixError]) -> e.EmatixError:
    if issubclass(cls, e.MissingDriverError):
        return cls("sqlite", "adbc-driver-sqlite", "sqlite")
    if issubclass(cls, e.SqlError):
        return cls("no", statement="SELECT 1", position=7, where="table orders", hint="Ask.")
    if issubclass(cls, e.ProjectError):
        return cls("no", where="module jobs", hint="Ask.", traceback="Traceback ...")
    return cls("no", where="table orders", hint="Ask.")


def test_an_error_says_what_where_and_what_to_do() -> None:
    error = e.RunError("the disk is full", where="table orders", hint="Free some space.").at("job nightly")
    assert str(error) == "the disk is full (job nightly, table orders)\nFree some space."


def test_a_place_is_named_once() -> None:
    assert e.RunError("x", where="job orders_eu").at("job orders").at("job orders").where == "job orders, job orders_eu"


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"^ +(?:[│ ]*[├└]── )?(\w+Error)\b", e.__doc__ or "", re.MULTILINE)
    assert drawn == [cls.__name__ for cls in sorted(tree(), key=lambda cls: drawn.index(cls.__name__))]
    assert len(drawn) == len(tree())


@pytest.mark.parametrize("cls", tree())
def test_every_error_is_either_transient_or_permanent(cls: type[e.EmatixError]) -> None:
    if cls is not e.EmatixError:
        assert issubclass(cls, e.Transient | e.Permanent)


@pytest.mark.parametrize("cls", tree())
@pytest.mark.parametrize("copied", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])  # noqa: S301 - our own bytes
def test_every_error_survives_pickling_and_copying(
    cls: type[e.EmatixError], copied: Callable[[e.EmatixError], e.EmatixError]
) -> None:
    error = made(cls).at("job nightly")
    again = copied(error)
    assert type(again) is cls
    assert (vars(again), again.args, str(again)) == (vars(error), error.args, str(error))


def test_only_transient_errors_are_worth_a_retry() -> None:
    assert e.is_transient(e.ConnectError("no answer"))
    assert e.is_transient(e.LockedError("held"))
    assert not e.is_transient(e.CheckFailedError("bad rows"))
    assert not e.is_transient(ValueError("not ours"))


def test_a_declaration_error_is_a_value_error() -> None:
    assert issubclass(e.DeclarationError, ValueError)


def test_a_missing_driver_names_the_command_that_installs_it() -> None:
    assert str(e.MissingDriverError("sqlite", "adbc-driver-sqlite", "sqlite")) == (
        "connections of kind 'sqlite' need the package adbc-driver-sqlite, which is not installed\n"
        'Run: pip install "ematix[sqlite]"'
    )


def test_an_sql_error_shows_the_faulty_line_with_a_caret() -> None:
    error = e.SqlError("no such column", statement="SELECT id,\n  nme\nFROM t", position=13, where="job orders")
    assert str(error) == "no such column (job orders)\nline 2:   nme\n          ^"


def test_an_sql_error_without_a_position_shows_the_statement() -> None:
    assert str(e.SqlError("no", statement="SELECT 1")) == "no\nSELECT 1"


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("ordrs", ["orders", "customers"], "Did you mean 'orders'? Known: customers, orders."),
        ("zzz", ["orders", "customers"], "Known: customers, orders."),
        ("zzz", [], "None is declared."),
    ],
)
def test_hint_offers_the_nearest_name(name: str, known: list[str], hint: str) -> None:
    assert e.near(name, known) == hint


def test_hint_lists_at_most_twenty_names() -> None:
    names = [f"job_{number:03}" for number in range(100)]
    assert e.near("zzz", names) == f"Known: {', '.join(names[:20])} and 80 more."


def test_a_project_error_ends_with_the_users_own_traceback() -> None:
    assert str(e.ProjectError("cannot load jobs", traceback="Traceback ...")) == "cannot load jobs\nTraceback ..."
