from collections.abc import Mapping
from typing import Annotated, Any

import pytest

import ematix_core as ematix
from ematix_core import expect, pk
from ematix_core.errors import DeclarationError
from ematix_core.model.mode import Merge, Truncate
from ematix_core.types import BigInt, Text, TimestampTZ

lake = ematix.ObjectStoreConnection("lake", path="data")
warehouse = ematix.DuckDBConnection("warehouse", path="w.duckdb")


@ematix.table()
class Customers:
    id: Annotated[BigInt, pk()]
    email: Text
    updated_at: TimestampTZ


@ematix.table()
class Events:
    kind: Text


def body(watermark: str, conn: object, limit: int = 5) -> str:
    """Read the customers."""
    return f"SELECT {watermark}, {conn}, {limit}"


def test_a_job_is_named_after_its_function_and_keeps_it_callable() -> None:
    job = ematix.job(target="t", depends_on="other")(body)
    assert (job.name, job.doc, job.module) == ("body", "Read the customers.", __name__)
    assert job.depends_on == ("other",)
    assert job("a", conn=1) == "SELECT a, 1, 5"


def test_a_body_is_given_only_what_a_job_can_give() -> None:
    assert ematix.job(target="t")(body).parameters == ("watermark", "conn")


def test_options_of_a_single_target_hold_for_each_of_several() -> None:
    check = expect.not_null("id")
    job = ematix.job(
        targets=[Customers, ematix.target("copy", connection=lake)],
        target_connection=warehouse, mode="merge", checks=[check], after=["ANALYZE"], retries=2,
    )(body)  # fmt: skip
    first, second = job.targets
    assert (first.connection, first.mode, first.checks) == (warehouse, Merge(), (check,))
    assert [step.sql for step in first.after] == ["ANALYZE"]
    assert (second.connection, second.connection_name, str(second.name)) == (lake, "lake", "copy")
    assert job.retry.retries == 2


def test_dependencies_may_be_jobs_or_names() -> None:
    first = ematix.job(target="a", name="first")(body)
    assert ematix.job(target="b", depends_on=[first, "second"])(body).depends_on == ("first", "second")


def test_watermark_may_be_a_column_that_another_drift_policy_lets_in() -> None:
    assert ematix.job(target=Events, watermark="at", on_drift="add")(body).watermark == "at"
    assert ematix.job(target=Events, watermark="_file")(body).watermark == "_file"


def test_a_job_prints_on_one_line() -> None:
    job = ematix.job(targets=[Customers, "copy"], mode=ematix.truncate())(body)
    assert job.targets[0].mode == Truncate()
    assert repr(job) == "<job body (truncate customers, truncate copy)>"


KNOWN = "Known: email, id, updated_at."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "a job needs target= or targets=, and not both (job body)"),
        ({"target": "a", "targets": ["b"]}, "a job needs target= or targets=, and not both (job body)"),
        ({"targets": ["a", "a"]}, "target a is listed twice (job body)"),
        (
            {"target": Events, "mode": "merge"},
            (
                "merge needs a key for events: no keys= given, "
                "and the table declares no primary or natural key (job body)\n"
                "Pass mode=ematix.merge(keys=[...]) or mark a column with pk()."
            ),
        ),
        (
            {"target": Customers, "mode": {"name": "merge", "keys": ["idd"]}},
            f"mode 'merge': keys names 'idd', which is no column of customers (job body)\nDid you mean 'id'? {KNOWN}",
        ),
        (
            {"target": Customers, "mode": ematix.scd2(event_time="update_at")},
            (
                "mode 'scd2': event_time names 'update_at', which is no column of customers (job body)\n"
                f"Did you mean 'updated_at'? {KNOWN}"
            ),
        ),
        (
            {"target": Customers, "watermark": "updated"},
            (
                "watermark names 'updated', which is no column of customers (job body)\n"
                f"Did you mean 'updated_at'? {KNOWN}"
            ),
        ),
        (
            {"target": Customers, "checks": [expect.not_null("mail")]},
            (
                "check not_null(mail) names 'mail', which is no column of customers (job body)\n"
                f"Did you mean 'email'? {KNOWN}"
            ),
        ),
        (
            {"target": "t", "on_drift": "evolv"},
            "unknown on_drift 'evolv' (job body)\nDid you mean 'evolve'? Known: add, error, evolve, warn.",
        ),
        (
            {"target": "t", "on_bad_rows": "skip"},
            "unknown on_bad_rows 'skip' (job body)\nKnown: fail, quarantine.",
        ),
        ({"target": "t", "timeout": 0}, "timeout=0 is not positive (job body)"),
        (
            {"target": "t", "timezone": "UTC"},
            "timezone='UTC' without schedule (job body)\nAdd schedule='...' or remove timezone.",
        ),
        (
            {"target": dict},
            (
                "target <class 'dict'> is neither a table declaration nor a name (job body)\n"
                "Put @ematix.table(...) over the class."
            ),
        ),
    ],
)
def test_a_job_that_contradicts_itself_is_refused(options: Mapping[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        ematix.job(**options)(body)
    assert str(caught.value) == message


def test_a_body_that_takes_what_a_job_cannot_give_is_refused() -> None:
    def read(connection: object) -> str:
        return f"SELECT {connection}"

    with pytest.raises(DeclarationError) as caught:
        ematix.job(target="t")(read)
    assert str(caught.value) == (
        "the body takes 'connection', which a job cannot give it (job read)\nKnown: conn, run, target, watermark."
    )
