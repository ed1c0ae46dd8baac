"""Declaring functions: names, types, arguments, and what is said about wrong ones."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import ematix_core as ematix
from ematix_core.backends.duck.connection import open_duck
from ematix_core.errors import DeclarationError
from ematix_core.model.function import _built_in
from ematix_core.types import BigInt, Double, Numeric, Struct, Text

if TYPE_CHECKING:
    from collections.abc import Callable

Values = Any
"""An Arrow array or table, of any type."""

PLACES: dict[str, Any] = {"source": ematix.MemoryConnection("rows"), "target": ematix.MemoryConnection("target")}


def margin(price: Annotated[Values, Double], cost: Annotated[Values, Double]) -> Annotated[Values, Double]:
    """Return what is left of a price."""
    return pc.subtract(price, cost)


class Spread:
    """Highest less lowest."""

    low: Double
    high: Double

    def init(self, n: int) -> Values: ...
    def update(self, state: Values, groups: Values, value: Annotated[Values, Double]) -> Values: ...
    def merge(self, state: Values, groups: Values, other: Values) -> Values: ...
    def finish(self, state: Values) -> Annotated[Values, Double]: ...


def stream(**options: Values) -> ematix.Stream:
    return ematix.stream("s", source_query="rows", target_table="t", **PLACES, **options)


def test_a_function_has_the_name_types_and_text_of_what_it_is_declared_by() -> None:
    declared = ematix.udf(margin)
    assert repr(declared) == "<function margin(price: Double, cost: Double) -> Double>"
    assert (declared.doc, declared.nulls, declared.deterministic) == ("Return what is left of a price.", "skip", True)
    assert declared(pa.array([3.0]), pa.array([1.0])).to_pylist() == [2.0]


def test_types_given_by_options_stand_for_annotations() -> None:
    @ematix.udf(name="net", takes=[Numeric[12, 2], BigInt], returns=Text, nulls="pass", deterministic=False)
    def function(price, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - that is what is tested
        return pc.cast(pc.multiply(price, count), pa.string())

    assert repr(function) == "<function net(price: Numeric[12, 2], count: BigInt) -> Text>"
    assert (function.nulls, function.deterministic) == ("pass", False)


def test_an_aggregate_has_the_fields_of_its_state_from_the_annotations_of_its_class() -> None:
    declared = ematix.udaf(Spread)
    assert repr(declared) == "<aggregate spread(value: Double) -> Double>"
    assert declared.state_type is Struct[("low", Double), ("high", Double)]


def test_functions_declared_alike_are_equal_so_that_a_project_that_is_loaded_again_is_the_same() -> None:
    assert ematix.udf(margin) == ematix.udf(margin)
    assert hash(ematix.udaf(Spread)) == hash(ematix.udaf(Spread))
    assert stream(functions=ematix.udf(margin), enrich=lambda rows: rows) == stream(
        functions=[ematix.udf(margin)], enrich=[lambda rows: rows]
    )


def without_types(value: Values) -> Values: ...
def several(*values: Values) -> Values: ...
def with_default(value: Values, digits: int = 2) -> Values: ...
def nothing() -> Values: ...
def no_column(value: Annotated[Values, Double]) -> int:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("declare", "what"),
    [
        (lambda: ematix.udf(without_types), "the argument 'value' has no column type, but typing.Any"),
        (lambda: ematix.udf(returns=Double)(without_types), "the argument 'value' has no column type"),
        (lambda: ematix.udf(no_column), "its result has no column type, but <class 'int'>"),
        (lambda: ematix.udf(several), "the argument *values cannot be given"),
        (lambda: ematix.udf(with_default), "the argument digits=2 cannot be given"),
        (lambda: ematix.udf(nothing), "a function needs an argument"),
        (lambda: ematix.udf(takes=[Double], returns=Double)(margin), "takes= has 1 types, and the function 2"),
        (lambda: ematix.udf(name="Net Margin")(margin), "'Net Margin' is no name for a function in SQL"),
        (lambda: ematix.udf(name="spread__merge")(margin), "'spread__merge' is no name"),
        (lambda: ematix.udf(name="round")(margin), "DuckDB has a round of its own"),
        (lambda: ematix.udf(name="coalesce")(margin), "DuckDB has a coalesce of its own"),
        (lambda: ematix.udf(nulls="ignore")(margin), "unknown nulls 'ignore'"),  # type: ignore[call-overload]  # no such option, which is tested
        (lambda: ematix.udf(return_type=Double)(margin), "@ematix.udf has no option 'return_type'"),  # type: ignore[call-overload]  # no such option, which is tested
    ],
)  # fmt: skip
def test_what_is_no_function_for_sql_is_refused_where_it_is_declared(declare: Callable[[], Any], what: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        declare()
    assert what in refused.value.what


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"merge": None}, "the class has no merge"),
        ({"__annotations__": {}}, "an aggregate needs a state"),
        ({"__annotations__": {"low": "int"}}, "the field 'low' of its state has no column type, but <class 'int'>"),
        ({"update": lambda self, state, groups: state}, "update takes (state, groups)"),  # noqa: ARG005 - the form is tested
        ({"finish": lambda self: self}, "a function needs an argument"),
        ({"finish": lambda self, state: state}, "the result of finish has no column type"),  # noqa: ARG005 - as above
        ({"__init__": lambda self, low: None}, "the class cannot be made without arguments"),  # noqa: ARG005 - as above
    ],
)
def test_a_class_that_is_no_aggregate_is_refused_by_the_method_that_is_wrong(change: dict[str, Any], what: str) -> None:
    body = {name: value for name, value in vars(Spread).items() if name not in {"__dict__", "__weakref__"}}
    with pytest.raises(DeclarationError) as refused:
        ematix.udaf(type("Spread", (), {**body, **change}))
    assert what in refused.value.what


def test_functions_of_a_stream_or_job_are_declared_ones_each_name_once() -> None:
    declared = ematix.udf(margin)
    with pytest.raises(DeclarationError, match=r"functions=<function margin .* does not belong there") as plain:
        stream(functions=margin)
    assert "@ematix.udf" in plain.value.hint
    with pytest.raises(DeclarationError, match="two functions are called 'margin'"):
        ematix.job(target="t", target_connection=PLACES["target"], functions=[declared, declared])(lambda: "SELECT 1")


def test_what_enriches_is_a_function_of_one_table() -> None:
    with pytest.raises(DeclarationError, match="no function of whole batches"):
        stream(enrich=ematix.udf(margin))
    with pytest.raises(DeclarationError, match="margin takes other than one argument"):
        stream(enrich=margin)


def test_a_declared_function_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ematix.udf(margin).name = "other"  # type: ignore[misc]  # what is tested


def test_every_function_of_the_installed_duckdb_is_known_by_name() -> None:
    connection = open_duck()
    found = connection.sql(
        "SELECT function_name FROM duckdb_functions() "
        "UNION SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'"
    ).fetchall()
    connection.close()
    missing = {name for (name,) in found if name[:1].isalpha() and name == name.lower() and "__" not in name}
    missing = {name for name in missing if name.replace("_", "").isalnum()} - _built_in()
    assert not missing, f"add them to ematix_core/model/duckdb_names.txt: {sorted(missing)}"
