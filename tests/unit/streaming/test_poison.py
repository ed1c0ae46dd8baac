"""Bad rows are found by halves, each with its own error; what no single row is guilty of is no poison."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ematix_core.errors import BadRowError, ConnectError, ConversionError, SqlError
from ematix_core.streaming.poison import find_bad, is_of_data, without

ROWS = pa.table({"id": list(range(1_000))})


class Attempt:
    """Refuses batches that have one of these ids, and counts how often it was asked."""

    def __init__(self, *bad: int) -> None:
        self.bad = set(bad)
        self.calls = 0

    def __call__(self, rows: pa.Table) -> None:
        self.calls += 1
        for number in rows.column("id").to_pylist():
            if number in self.bad:
                raise ConversionError(f"{number} is bad")


@pytest.mark.parametrize("bad", [(0,), (999,), (500, 501), (3, 250, 777)])
def test_each_bad_row_is_found_with_its_own_error(bad: tuple[int, ...]) -> None:
    attempt = Attempt(*bad)
    assert find_bad(ROWS, attempt, ConversionError("one is bad")) == {number: f"{number} is bad" for number in bad}
    assert attempt.calls <= 1 + 2 * 10 * len(bad)
    assert without(ROWS, set(bad)).num_rows == 1_000 - len(bad)


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
