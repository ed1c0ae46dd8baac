"""Values on their way into MySQL's text, without a server."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from ematix_core import types as t
from ematix_core.backends.mysql.address import address
from ematix_core.backends.mysql.encoding import load_text, row_literals
from ematix_core.backends.mysql.literals import bound, literal
from ematix_core.backends.mysql.staging import is_about, is_ddl
from ematix_core.errors import ConfigError, ConversionError
from ematix_core.model.connection import MySQLConnection
from ematix_core.model.table import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

EAST = dt.timezone(dt.timedelta(hours=1))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"),
        (True, "TRUE"),
        (-7, "-7"),
        (0.1, "0.1E0"),
        (1e300, "1e+300"),
        (float("-inf"), "-1.7976931348623157E308"),
        (Decimal("1E-7"), "0.0000001"),
        ("it's", "_utf8mb4 X'69742773'"),
        (b"\x00'", "_binary X'0027'"),
        (dt.date(1, 2, 3), "DATE'0001-02-03'"),
        (dt.datetime(2026, 1, 2, 3, tzinfo=EAST), "TIMESTAMP'2026-01-02 02:00:00.000000'"),
        (dt.time(1, 2), "TIME'01:02:00.000000'"),
    ],
)  # fmt: skip
def test_literal_of_each_kind_of_value(value: object, text: str) -> None:
    assert literal(value, "v") == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), dt.timedelta(1)])
def test_value_without_a_literal_names_its_parameter(value: object) -> None:
    with pytest.raises(ConversionError, match=":mark"):
        literal(value, "mark")


def test_colon_in_strings_names_and_comments_is_no_parameter() -> None:
    sql = 'SELECT \':a\', "it\\":a", `:a` -- :a\n, # :a\n:a'
    assert bound(sql, {"a": 1}) == sql[: -len(":a")] + "1"


def batch(**columns: Sequence[Any] | pa.Array[Any]) -> pa.RecordBatch:
    return pa.record_batch(columns)


COLUMNS = (Column("n", t.BigInt), Column("v", t.Text))


def test_text_of_load_data_escapes_what_ends_fields_and_rows() -> None:
    rows = batch(n=[1, None, 3], v=["a\tb\\N\nc", "", None])
    assert bytes(load_text(rows, COLUMNS)) == b"1\ta\\\tb\\\\N\\\nc\n\\N\t\n3\t\\N\n"


def test_slice_of_a_batch_is_only_its_own_rows() -> None:
    rows = batch(n=[1, 2, 3], v=["a", "b", "c"]).slice(1, 1)
    assert bytes(load_text(rows, COLUMNS)) == b"2\tb\n"
    assert row_literals(rows, COLUMNS).to_pylist() == [b"(2,'b')"]


def test_rows_of_an_insert_are_quoted() -> None:
    columns = (*COLUMNS, Column("b", t.Bytes))
    rows = batch(n=[1, 2], v=["it's \\", None], b=[b"\x00'", None])
    assert row_literals(rows, columns).to_pylist() == [b"(1,'it''s \\\\',_binary'\x00''')", b"(2,NULL,NULL)"]


def test_smallest_and_largest_floats_keep_every_digit() -> None:
    columns = (Column("f", t.Float), Column("d", t.Double))
    floats = pa.array([3.4028234663852886e38, 1.401298464324817e-45], pa.float32())
    rows = batch(f=floats, d=[5e-324, 0.1])
    lines = bytes(load_text(rows, columns)).decode().splitlines()
    assert [[float(number) for number in line.split("\t")] for line in lines] == [
        [3.4028234663852886e38, 5e-324],
        [1.401298464324817e-45, 0.1],
    ]


@pytest.mark.parametrize("number", ["1.2345678901234567890", "18446744073709551616", "0.1000000000000000055"])
def test_json_number_that_would_be_rounded_is_refused(number: str) -> None:
    rows = batch(j=pa.array([f'{{"text 12345678901234567890.5": {number}}}']))
    with pytest.raises(ConversionError, match=number.replace(".", r"\.")):
        load_text(rows, (Column("j", t.JSON),))


@pytest.mark.parametrize("number", ["18446744073709551615", "0.1", "1234567890.123456", "-9223372036854775808"])
def test_json_number_that_a_double_or_integer_holds_is_kept(number: str) -> None:
    rows = batch(j=pa.array([f'["12345678901234567890.5", {number}]']))
    assert number.encode() in bytes(load_text(rows, (Column("j", t.JSON),)))


@pytest.mark.parametrize(
    ("statement", "ddl", "about"),
    [
        ("CREATE TABLE `t` (n INT)", True, False),
        ("CREATE TABLE `_ematix_staging` (n INT)", True, True),
        ("CREATE INDEX `i` ON `_ematix_staging` (`k`)", True, True),
        ("DELETE `t` FROM `_ematix_staging` AS `t` WHERE TRUE", False, True),
        ("DELETE `t` FROM `orders` AS `t` WHERE NOT EXISTS(SELECT 1 FROM `_ematix_staging`)", False, False),
        ("INSERT INTO `orders` SELECT * FROM `_ematix_staging`", False, False),
        ("UPDATE\n  `_ematix_staging_latest` SET n = 1", False, True),
    ],
)
def test_statements_are_told_apart_by_what_they_write(statement: str, ddl: bool, about: bool) -> None:
    assert (is_ddl(statement), is_about(statement)) == (ddl, about)


def test_password_is_in_neither_text_of_an_address() -> None:
    found = address(MySQLConnection("m", url="mysql://me:p%40ss@h/d"))
    assert found.password == "p@ss"  # noqa: S105 - a made-up one
    assert "p@ss" not in f"{found} {found!r}"
    assert str(found) == "me@h:3306/d"


@pytest.mark.parametrize("url", ["", "postgresql://h/d", "mysql://h/d", "mysql://me@h", "mysql://me@h:x/d"])
def test_url_that_lacks_something_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        address(MySQLConnection("m", url=url))
