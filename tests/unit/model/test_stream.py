"""Declarations of streams: what they say, and what is refused with the near name."""

from __future__ import annotations

from typing import Any

import pytest

import ematix_core as ematix
from ematix_core.errors import DeclarationError

EVENTS = ematix.MemoryConnection("events")
STORE = ematix.MemoryConnection("store")
ENDS: dict[str, Any] = {"source": EVENTS, "source_query": "clicks", "target": STORE, "target_table": "crm.clicks"}


def test_a_stream_is_declared_by_a_call() -> None:
    found = ematix.stream("clicks", **ENDS, batch_rows=10, batch_seconds="2 seconds", tags="crm")
    assert (found.source_name, found.connection_names, found.tags) == ("events", ("events", "store"), ("crm",))
    assert (found.batching.rows, found.batching.seconds, found.on_error) == (10, 2.0, "fail")
    assert repr(found) == "<stream clicks (append crm.clicks)>"
    assert ematix.Project.of(EVENTS, STORE, found).stream("clicks") is found


def test_a_stream_is_declared_by_a_function_whose_text_is_its_sql() -> None:
    @ematix.streaming_pipeline(**ENDS)
    def cheap() -> str:
        """Clicks below three."""
        return "SELECT id FROM source WHERE price < 3"

    assert (cheap.name, cheap.doc, cheap.module) == ("cheap", "Clicks below three.", __name__)
    assert cheap.transform_sql == "SELECT id FROM source WHERE price < 3"


def test_lookups_and_several_targets_name_their_connections() -> None:
    countries = ematix.lookup("countries", connection="crm", query="SELECT * FROM countries", refresh="1 minute")
    targets = [
        ematix.target("a", connection=STORE),
        ematix.target("b", connection="lake", mode=ematix.merge(keys=["id"])),
    ]
    found = ematix.stream("clicks", source=EVENTS, source_query="clicks", targets=targets, lookups=countries)
    assert found.connection_names == ("events", "store", "lake", "crm")
    assert found.lookups[0].refresh == 60.0
    assert repr(found) == "<stream clicks (append a, merge b)>"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"on_eror": "drop"}, r"no option 'on_eror'.*\n.*Did you mean 'on_error'"),
        ({"on_error": "dead_leter"}, r"unknown on_error 'dead_leter'.*\n.*Did you mean 'dead_letter'"),
        ({"start": "earlest"}, r"unknown start 'earlest'.*\n.*Did you mean 'earliest'"),
        ({"format": ematix.Format("json")}, r"takes the name of a format.*\n.*format_options="),
        ({"format": "protobuff"}, r"unknown format 'protobuff'.*\n.*Did you mean 'protobuf'"),
        ({"format": "avro"}, r"there is no schema.*\n.*registry="),
        ({"format_options": {"wirer": "none"}}, r"format_options has no option 'wirer'.*\n.*Did you mean 'wire'"),
        ({"dead_letter": "bad"}, r"dead_letter= is given.*\n.*on_error='dead_letter'"),
        ({"mode": "truncate"}, r"takes those for all there are"),
        ({"mode": ematix.merge(keys=["id"], deletes="delete")}, r"takes those for all there are"),
        ({"batch_rows": 0}, r"batch_rows=0 is no positive whole number"),
        ({"batch_bytes": 1.5}, r"batch_bytes=1\.5 is no positive whole number"),
        ({"schema": "id BIGINT"}, r"no table declaration.*\n.*@ematix\.table"),
        ({"lookups": ["countries"]}, r"lookups='countries' does not belong there"),
        ({"source_query": ""}, r"needs source= and source_query="),
        ({"target": None}, r"needs target= and target_table="),
        ({"tags": [1]}, r"tags=1"),
    ],
)
def test_what_cannot_be_is_refused_with_the_streams_name(options: dict[str, Any], says: str) -> None:
    with pytest.raises(DeclarationError, match=f"(?s){says}") as caught:
        ematix.stream("clicks", **{**ENDS, **options})
    assert "stream clicks" in str(caught.value)


def test_a_check_of_a_whole_load_is_refused() -> None:
    target = ematix.target("a", connection=STORE, checks=[ematix.expect.row_count(min=1)])
    with pytest.raises(DeclarationError, match="a check of the whole load has no meaning for a stream"):
        ematix.stream("clicks", source=EVENTS, source_query="clicks", targets=[target])


def test_the_function_of_a_stream_takes_nothing_and_gives_sql_once() -> None:
    with pytest.raises(DeclarationError, match=r"(?s)takes nothing, and wrong has parameters"):

        @ematix.streaming_pipeline(**ENDS)  # type: ignore[arg-type]  # what is tested
        def wrong(conn: object) -> str:
            return str(conn)

    with pytest.raises(DeclarationError, match="the SQL is given twice"):

        @ematix.streaming_pipeline(**ENDS, transform_sql="SELECT 1")
        def twice() -> str:
            return "SELECT 2"


@pytest.mark.parametrize("wrong", [{"name": "no name"}, {"connection": None}, {"query": ""}])
def test_a_lookup_needs_a_name_a_connection_and_a_query(wrong: dict[str, Any]) -> None:
    given: dict[str, Any] = {"name": "countries", "connection": STORE, "query": "SELECT 1", **wrong}
    with pytest.raises(DeclarationError, match="lookup"):
        ematix.lookup(given.pop("name"), **given)


def test_schema_is_a_table_declaration() -> None:
    @ematix.table(name="messages")
    class Messages:
        id: ematix.types.BigInt

    declared: Any = Messages
    assert ematix.stream("clicks", **ENDS, schema=declared).schema is declared
