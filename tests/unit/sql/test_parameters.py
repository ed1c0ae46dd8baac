"""`:name` parameters in SQL text."""

from __future__ import annotations

import pytest

from ematix_core.errors import SqlError
from ematix_core.sql.parameters import bind, names, rewritten, single


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT :a", "SELECT $a"),
        ("SELECT x::int, y::a FROM t", "SELECT x::int, y::a FROM t"),
        (
            "SELECT ':a', \":a\", '''x :a' -- :a\n/* :a */ WHERE b=:a",
            "SELECT ':a', \":a\", '''x :a' -- :a\n/* :a */ WHERE b=$a",
        ),
        ("SELECT y[1:a], y[b:a], y[:a], [:a, 2], y[1 : a]", "SELECT y[1:a], y[b:a], y[:a], [$a, 2], y[1 : a]"),
        ("SELECT {'k': :a, 'z':a, date:a}", "SELECT {'k': $a, 'z':a, date:a}"),
        ("SELECT :a::date, (:a), :a+:a", "SELECT $a::date, ($a), $a+$a"),
        ("  SELECT\t:a  ;\n", "  SELECT\t$a  ;\n"),
        ("SELECT 'é日', :a", "SELECT 'é日', $a"),
    ],
)
def test_only_parameters_are_rewritten_and_all_else_is_kept(sql: str, expected: str) -> None:
    assert bind(sql, {"a": 1, "unused": 2}, "named_dollar")[0] == expected


def test_values_by_name_are_just_those_used() -> None:
    assert bind("SELECT :a, :a", {"a": 1, "b": 2}, "named_dollar") == ("SELECT $a, $a", {"a": 1})


def test_values_by_position_come_in_order_of_use() -> None:
    assert bind("SELECT :b, :a, :b", {"a": 1, "b": 2}, "qmark") == ("SELECT ?, ?, ?", [2, 1, 2])


def test_a_driver_may_have_its_own_form_of_parameters_and_of_the_rest() -> None:
    sql, values = "SELECT '100%', :b, :a::date", {"a": 1, "b": 2}
    text, order = rewritten(sql, values, "postgres", "<{}>".format, between=lambda piece: piece.replace("%", "%%"))
    assert (text, order) == ("SELECT '100%%', <b>, <a>::date", ["b", "a"])


def test_sqlite_brackets_and_backticks_are_quotes() -> None:
    assert bind("SELECT [x :a], `:a`, :a", {"a": 1}, "qmark") == ("SELECT [x :a], `:a`, ?", [1])


def test_an_unknown_parameter_is_named_at_its_place() -> None:
    with pytest.raises(SqlError, match=r":watermrk[\s\S]*Did you mean 'watermark'") as caught:
        bind("SELECT 1 WHERE x > :watermrk", {"watermark": 1}, "qmark")
    assert caught.value.position == 19


def test_names_are_listed_once() -> None:
    assert names("SELECT :b, :a, :b::int") == ("b", "a")


def test_an_open_string_is_an_error_of_the_statement() -> None:
    with pytest.raises(SqlError, match="ends inside"):
        bind("SELECT 'x, :a", {"a": 1}, "qmark")


def test_one_statement_loses_its_semicolon_and_two_are_refused() -> None:
    assert single("SELECT ';' ; -- done", "qmark") == "SELECT ';' "
    assert single("SELECT 1", "qmark") == "SELECT 1"
    with pytest.raises(SqlError, match="more than one") as caught:
        single("SELECT 1; DROP TABLE t", "qmark")
    assert caught.value.position == 10
