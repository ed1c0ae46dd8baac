"""`:name` parameters in PostgreSQL's text, and positions on the way back."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from ematix_core.backends.postgres.parameters import bind, bind_settings, setting
from ematix_core.errors import SqlError


@pytest.mark.parametrize(
    ("value", "cast"),
    [
        (True, "::boolean"), (1, "::integer"), (2**40, "::bigint"), (2**70, "::numeric"), (1.5, "::float8"),
        (Decimal(1), "::numeric"), (datetime(2026, 1, 1, tzinfo=UTC), "::timestamptz"), (date(2026, 1, 1), "::date"),
        (datetime(2026, 1, 1), "::timestamp"), (time(1), "::time"), (timedelta(1), "::interval"), (b"x", "::bytea"),  # noqa: DTZ001 - a value without a zone
        ("text", ""), (None, ""), (pa.scalar(1), "::integer"),
    ],
)  # fmt: skip
def test_value_says_its_type_unless_it_is_text(value: object, cast: str) -> None:
    assert bind("SELECT :v", {"v": value}).sent == f"SELECT $1{cast}"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'a :n', \"b :n\" -- :n", "SELECT x::n FROM t", "SELECT $$ :n $$", "SELECT $tag$ :n $tag$",
        "SELECT a[1:2] FROM t", r"SELECT E'it\'s :n'", "SELECT /* :n /* :n */ :n */ 1",
    ],
)  # fmt: skip
def test_colon_elsewhere_is_no_parameter(sql: str) -> None:
    assert bind(sql, {"n": 1}).sent == sql


def test_same_name_is_one_parameter() -> None:
    bound = bind("SELECT :b, :a, :b", {"a": "x", "b": "y"})
    assert (bound.sent, bound.names) == ("SELECT $1, $2, $1", ("b", "a"))
    assert bound.values([SimpleNamespace(name="text")] * 2) == ["y", "x"]


def test_position_is_that_in_the_written_text() -> None:
    written = "SELECT :long_name, wrong FROM t WHERE x = :n AND also_wrong"
    bound = bind(written, {"long_name": 1, "n": 2})
    for word in ("wrong", "also_wrong", "SELECT"):
        assert bound.position(bound.sent.index(f" {word}") + 1 if word != "SELECT" else 0) == (
            written.index(f" {word}") + 1 if word != "SELECT" else 0
        )


def test_parameter_of_a_copy_is_a_setting_of_its_type() -> None:
    bound = bind_settings("SELECT :a, :b", {"a": 1, "b": None}, {"a": "int4", "b": "text"})
    assert bound.sent == f"SELECT current_setting('{setting(0)}')::int4, NULL::text"


@pytest.mark.parametrize(
    ("value", "kind", "sent"),
    [
        (datetime(2026, 1, 1), "timestamptz", datetime(2026, 1, 1, tzinfo=UTC)),  # noqa: DTZ001 - as a mark may be
        ("1.50", "numeric", Decimal("1.50")), ("7", "int8", 7), ("x", "text", "x"), (None, "int8", None),
    ],
)  # fmt: skip
def test_value_fits_the_type_that_the_server_inferred(value: Any, kind: str, sent: Any) -> None:  # noqa: ANN401 - values of all types
    assert bind("SELECT :v", {"v": value}).values([SimpleNamespace(name=kind)]) == [sent]


def test_missing_value_and_second_statement_are_refused() -> None:
    with pytest.raises(SqlError, match="nope"):
        bind("SELECT :nope", {})
    with pytest.raises(SqlError, match="more than one"):
        bind("SELECT 1; SELECT 2", {})
