"""Bad rows are found in few attempts, each with its own error; what no single row is guilty of is no poison."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from ematix_core.errors import BadRowError, ConnectError, ConversionError, SqlError
from ematix_core.streaming.poison import find_bad, is_of_data, without

ROWS = pa.table({"id": list(range(1_000))})


class Attempt:
    """Refuses batches that have one of these ids, and counts how often it was asked."""

    def __init__(self, *bad: int, tells: bool = False) -> None:
        self.bad, self.tells = set(bad), tells
        self.calls = 0

    def __call__(self, rows: pa.Table) -> None:
        self.calls += 1
        for row, number in enumerate(rows.column("id").to_pylist()):
            if number in self.bad:
                error = ConversionError(f"{number} is bad")
                error.row = row if self.tells else None
                raise error


@pytest.mark.parametrize("bad", [(0,), (999,), (500, 501), (3, 250, 777)])
def test_each_bad_row_is_found_with_its_own_error(bad: tuple[int, ...]) -> None:
    attempt = Attempt(*bad)
    assert find_bad(ROWS, attempt, ConversionError("one is bad")) == {number: f"{number} is bad" for number in bad}
    assert attempt.calls <= 1 + 2 * 10 * len(bad)
    assert without(ROWS, set(bad)).num_rows == 1_000 - len(bad)


@pytest.mark.parametrize(("part", "most"), [(100, 10), (10, 6.5), (2, 3), (1, 1.1)])
def test_many_bad_rows_take_few_attempts_each(part: int, most: float) -> None:
    rows = pa.table({"id": range(20_000)})
    bad = random.Random(7).sample(range(20_000), 20_000 // part)  # noqa: S311 - which rows are bad is no secret
    attempt = Attempt(*bad)
    assert list(find_bad(rows, attempt, ConversionError("one is bad"))) == sorted(bad)
    assert attempt.calls <= most * len(bad)


def test_bad_rows_in_a_cluster_take_an_attempt_each() -> None:
    attempt = Attempt(*range(400, 700))
    assert list(find_bad(ROWS, attempt, ConversionError("one is bad"))) == list(range(400, 700))
    assert attempt.calls <= 400


def test_suspects_are_tried_first_and_the_others_together() -> None:
    attempt = Attempt(3, 250, 777)
    found = find_bad(ROWS, attempt, ConversionError("one is bad"), suspects=[3, 100, 250, 777])
    assert found == {number: f"{number} is bad" for number in (3, 250, 777)}
    assert attempt.calls == 6


def test_what_is_not_suspected_is_found_all_the_same() -> None:
    attempt = Attempt(3, 250, 777, 999)
    assert list(find_bad(ROWS, attempt, ConversionError("one is bad"), suspects=[777, 4])) == [3, 250, 777, 999]
    assert list(find_bad(ROWS, attempt, ConversionError("one is bad"), suspects=[5])) == [3, 250, 777, 999]


def test_a_row_that_the_system_tells_takes_one_attempt() -> None:
    bad = range(0, 1_000, 20)
    attempt = Attempt(*bad, tells=True)
    assert find_bad(ROWS, attempt, ConversionError("one is bad")) == {number: f"{number} is bad" for number in bad}
    assert attempt.calls <= 1.5 * len(bad)


def test_it_is_told_how_far_the_search_is_and_what_the_listener_raises_ends_it() -> None:
    told: list[tuple[int, int, int]] = []

    def looking(looked: int, of: int, found: int) -> None:
        told.append((looked, of, found))
        if found == 2:
            raise InterruptedError

    attempt = Attempt(3, 250, 777)
    with pytest.raises(InterruptedError):
        find_bad(ROWS, attempt, ConversionError("one is bad"), looking=looking)
    assert told == sorted(told)
    assert told[-1] == (251, 1_000, 2)
    assert attempt.calls == len(told)  # none after the last word, and one with no rows, which is not told


def test_a_single_row_is_bad_by_the_error_that_it_failed_with() -> None:
    assert find_bad(ROWS.slice(7, 1), Attempt(7), ConversionError("7 is bad")) == {0: "7 is bad"}


def test_rows_that_only_fail_together_raise_what_they_failed_with() -> None:
    def attempt(rows: pa.Table) -> None:
        if {1, 900} <= set(rows.column("id").to_pylist()):
            raise BadRowError("1 and 900 do not go together")

    with pytest.raises(BadRowError, match="do not go together"):
        find_bad(ROWS, attempt, BadRowError("1 and 900 do not go together"))


def test_what_fails_without_any_row_is_raised() -> None:
    def attempt(rows: pa.Table) -> None:
        raise SqlError(f"no such column, with {rows.num_rows} rows", statement="SELECT x")

    with pytest.raises(SqlError, match="with 0 rows"):
        find_bad(ROWS, attempt, SqlError("no such column", statement="SELECT x"))


def test_a_failure_of_the_system_ends_the_search() -> None:
    def attempt(rows: pa.Table) -> None:
        if rows.num_rows and rows.num_rows < 200:
            raise ConnectError("the server is gone")
        if rows.num_rows:
            raise ConversionError("one is bad")

    with pytest.raises(ConnectError, match="gone"):
        find_bad(ROWS, attempt, ConversionError("one is bad"))
    with pytest.raises(ConnectError):
        find_bad(ROWS, attempt, ConnectError("the server is gone"))


def test_only_errors_of_data_are_of_data() -> None:
    assert is_of_data(BadRowError("x"))
    assert not is_of_data(ConnectError("x"))
