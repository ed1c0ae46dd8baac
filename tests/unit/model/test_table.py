from __future__ import annotations

from typing import Annotated

import pytest

import ematix_core as ematix
from ematix_core import natural_key, normalize, pk
from ematix_core.errors import DeclarationError
from ematix_core.model.table import Column, TableDef, TableName, table
from ematix_core.types import BigInt, Date, Text


@table(schema="analytics")
class DailyRevenue:
    """Revenue by day and shop."""

    day: Annotated[Date, pk()]
    shop_id: Annotated[BigInt, pk()]
    note: Annotated[Text | None, normalize.trim(), normalize.empty_to_null()]
    label: Annotated[Text, normalize.derive("note || '!'"), normalize.upper()] | None


class Audited:
    changed_by: Text | None


class Orders(Audited, ematix.ManagedTable):
    __schema__ = "crm"
    __tablename__ = "customer_orders"
    __merge_keys__ = "number"

    number: Annotated[BigInt, natural_key("number")]
    shop_id: Annotated[BigInt, natural_key("place")]


DAILY: TableDef = DailyRevenue  # type: ignore[assignment]  # mypy does not follow class decorators
ORDERS: TableDef = Orders  # type: ignore[assignment]  # nor metaclasses


def test_annotations_become_columns_in_order() -> None:
    assert repr(DAILY) == (
        "<table analytics.daily_revenue (day: Date, shop_id: BigInt, note: Text | None, label: Text | None)>"
    )
    assert DAILY.primary_key == ("day", "shop_id")
    assert DAILY.doc == "Revenue by day and shop."


def test_normalizers_apply_in_order_and_derive_makes_a_new_column() -> None:
    note, label = DAILY.columns[2:]
    assert note.normalized('"note"').startswith("nullif(regexp_replace(")
    assert label.normalized('"label"') == "upper((note || '!'))"
    assert (note.derived, label.derived) == (False, True)


def test_managed_table_says_the_same_with_a_base_class() -> None:
    assert ORDERS.name == "crm.customer_orders"
    assert [column.name for column in ORDERS.columns] == ["changed_by", "number", "shop_id"]


def test_merge_keys_come_before_natural_before_primary_key() -> None:
    key, value = Column("a", BigInt, primary_key=True), Column("b", BigInt, natural_key="b")
    name = TableName("", "t")
    assert ORDERS.key() == (("number",), "the table's __merge_keys__")
    assert TableDef(name, (key, value)).key() == (("b",), "the table's natural key 'b'")
    assert TableDef(name, (key,)).key() == (("a",), "the table's primary key")
    assert TableDef(name, ()).key() == ((), "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("orders", TableName("", "orders")),
        ("crm.orders", TableName("crm", "orders")),
        ("db.crm.orders", TableName("db.crm", "orders")),
        ("orders/*.parquet", TableName("", "orders/*.parquet")),
    ],
)
def test_a_name_splits_at_its_last_dot_unless_it_is_a_path(text: str, expected: TableName) -> None:
    assert TableName.parse(text) == expected
    assert str(expected) == text


def declare(namespace: dict[str, object]) -> None:
    table()(type("Bad", (), {"__module__": __name__, **namespace}))


@pytest.mark.parametrize(
    ("namespace", "message"),
    [
        ({}, "a table needs at least one column (table Bad)\nAnnotate it: id: BigInt"),
        (
            {"__annotations__": {"a": int}},
            (
                "column 'a' has the annotation <class 'int'>, which is no column type (table Bad)\n"
                "Use a type of ematix_core.types, such as BigInt, Text or Numeric[12, 2]."
            ),
        ),
        (
            {"__annotations__": {"a": "BigIntt"}},
            "unknown type in an annotation: name 'BigIntt' is not defined (table Bad)",
        ),
        (
            {"__annotations__": {"a": Annotated[BigInt | None, pk()]}},
            "primary key column 'a' cannot be nullable (table Bad)\nRemove `| None`.",
        ),
        (
            {"__annotations__": {"a": Annotated[BigInt, "unique"]}},
            (
                "column 'a' is annotated with 'unique', which is neither a key marker nor a normalizer (table Bad)\n"
                "Call it: pk(), natural_key(), normalize.trim(), ..."
            ),
        ),
        (
            {"__annotations__": {"a": Annotated[Text, normalize.trim(), normalize.derive("b")]}},
            "column 'a': derive('b') makes the column, so it must be the first normalizer (table Bad)",
        ),
        (
            {"__annotations__": {"a": BigInt}, "__merge_keys__": ("b",)},
            "__merge_keys__ names 'b', which is no column (table Bad)",
        ),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(namespace: dict[str, object], message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        declare(namespace)
    assert str(caught.value) == message
