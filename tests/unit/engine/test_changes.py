"""Rows that say what became of them: which of their columns are stored, what is refused, and what a plan shows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core import pk
from ematix_core.errors import DeclarationError, DriftError, UnsupportedError
from ematix_core.types import BigInt, Text  # noqa: TC001 - the table decorator reads them
from tests.unit.engine.shop import job, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable

BY_DELETED = ematix.merge(keys="id", deleted_by="_deleted")


@ematix.table()
class Customers:
    id: Annotated[BigInt, pk()]
    name: Text


def changes(*values: tuple[int, str | None, int, str], **more: list[Any]) -> pa.Table:
    """Return rows of changes, as a source of them gives them: of id, name, hour and operation."""
    ids, names, hours, ops = zip(*values, strict=True)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()), "name": pa.array(names, pa.string()), "_op": pa.array(ops, pa.string()),
            "_deleted": pa.array([op == "delete" for op in ops], pa.bool_()),
            "_event_ts": pa.array([datetime(2026, 1, 1, h, tzinfo=UTC) for h in hours], pa.timestamp("us", "UTC")),
            "_offset": pa.array(range(len(ids)), pa.int64()), **more,
        }
    )  # fmt: skip


def test_a_declared_table_gets_its_own_columns_and_a_delete_needs_no_more_than_the_key(
    warehouse: ematix.Connection,
) -> None:
    found = changes((1, "a", 1, "insert"), (2, "b", 1, "insert"))
    load = job(lambda: found, target=Customers, target_connection=warehouse, mode=ematix.merge(deleted_by="_deleted"))
    load.run()
    found = changes((1, None, 2, "delete"), (2, "B", 2, "update"))
    result = load.run()
    assert (result.deleted, result.updated) == (1, 1)
    assert rows_of("SELECT * FROM customers") == [(2, "B")]


def test_a_row_to_store_still_needs_what_the_table_declares(warehouse: ematix.Connection) -> None:
    load = job(
        lambda: changes((1, None, 1, "insert")), target=Customers, target_connection=warehouse,
        mode=ematix.merge(deleted_by="_deleted"),
    )  # fmt: skip
    with pytest.raises(ematix.EmatixError, match="name"):
        load.run()


def test_a_named_table_gets_no_columns_of_the_source(warehouse: ematix.Connection) -> None:
    load = job(lambda: changes((1, "a", 1, "insert")), target="c", target_connection=warehouse, mode=BY_DELETED)
    load.run()
    assert rows_of("SELECT * FROM c") == [(1, "a")]


def test_history_is_dated_by_a_time_that_is_not_stored(warehouse: ematix.Connection) -> None:
    mode = ematix.scd2(keys="id", event_time="_event_ts", deleted_by="_deleted")
    found = changes((1, "a", 1, "insert"), (1, None, 3, "delete"))
    load = job(lambda: found, target="c", target_connection=warehouse, mode=mode)
    result = load.run()
    assert (result.inserted, result.unchanged) == (1, 0)
    columns = "id, name, hour(valid_from), hour(valid_to), is_current"
    assert rows_of(f"SELECT {columns} FROM c") == [(1, "a", 1, 3, False)]
    assert rows_of("SELECT count(*) FROM pragma_table_info('c')") == [(6,)]


def test_history_that_ended_before_the_first_row_of_a_key_stays_as_it_is(warehouse: ematix.Connection) -> None:
    found = changes((1, "a", 1, "insert"), (1, "a", 2, "update"), (1, "b", 3, "update"), city=["Lyon", "Nice", "Metz"])
    for compare in (["name", "city"], ["name"]):
        mode = ematix.scd2(keys="id", event_time="_event_ts", compare=compare, deleted_by="_deleted")
        job(lambda: found, target="c", target_connection=warehouse, mode=mode).run()  # noqa: B023 - run at once
        found = changes((1, "c", 5, "update"), city=["Brest"])
    kept = [("Lyon", 1), ("Nice", 2), ("Metz", 3), ("Brest", 5)]
    assert rows_of("SELECT city, hour(valid_from) FROM c ORDER BY valid_from") == kept


def test_a_changed_row_with_other_columns_is_drift_as_ever(warehouse: ematix.Connection) -> None:
    found = changes((1, "a", 1, "insert"), city=["Lyon"])
    load = job(lambda: found, target=Customers, target_connection=warehouse, mode=BY_DELETED)
    with pytest.raises(DriftError, match="city"):
        load.run()


def test_rows_that_are_gone_stay_with_their_flag_where_the_table_has_it(warehouse: ematix.Connection) -> None:
    @ematix.table(name="customers")
    class Kept:
        id: Annotated[BigInt, pk()]
        name: Text | None
        _offset: BigInt
        _deleted: ematix.types.Boolean

    found = changes((1, "a", 1, "insert")).drop_columns(["_op", "_event_ts"])
    load = job(lambda: found, target=Kept, target_connection=warehouse, mode=ematix.merge(order_by="_offset"))
    load.run()
    late = found
    found = changes((9, "z", 1, "insert"), (1, None, 2, "delete")).drop_columns(["_op", "_event_ts"])
    load.run()
    found = late
    assert load.run().unchanged == 1  # which would have brought the row back
    assert rows_of("SELECT id, _deleted FROM customers ORDER BY id") == [(1, True), (9, False)]


def test_checks_are_for_rows_to_store(warehouse: ematix.Connection) -> None:
    checks = [ematix.expect.not_null("name", severity="quarantine")]
    found = changes((1, None, 1, "delete"), (2, None, 1, "insert"), (3, "c", 1, "insert"))
    load = job(lambda: found, target="c", target_connection=warehouse, mode=BY_DELETED, checks=checks)
    result = load.run()
    assert (result.quarantined, result.inserted, result.unchanged) == (1, 1, 1)


def test_a_plan_shows_which_keys_are_deleted_and_what_is_not_stored(warehouse: ematix.Connection) -> None:
    load = job(lambda: changes((1, "a", 1, "insert")), target="c", target_connection=warehouse, mode=BY_DELETED)
    load.run()
    plan = load.plan().targets[0]
    assert "not stored: _deleted (the load goes by them)" in plan.notes
    assert [step.why for step in plan.steps if step.name == "delete"] == ["keys whose '_deleted' is true"]


def test_changes_are_read_from_where_the_last_load_came_to(warehouse: ematix.Connection) -> None:
    load = job(
        lambda: "SELECT * FROM log", target="c", target_connection=warehouse, mode=BY_DELETED, watermark="_offset"
    )
    for found in (changes((1, "a", 1, "insert"), (2, "b", 1, "insert")), changes((3, "c", 2, "insert"))):
        log = job(lambda found=found: found, target="log", target_connection=warehouse, mode="truncate")
        log.run()
        load.run()
    assert rows_of("SELECT id FROM c ORDER BY id") == [(1,), (2,)]  # an offset of 0 is below the mark of the first load


@pytest.mark.parametrize(
    ("declare", "error", "message"),
    [
        (lambda: ematix.merge(keys="id", deleted_by="_deleted", deletes="delete"), DeclarationError, "bring all rows"),
        (lambda: ematix.scd2(keys="id", deleted_by="_deleted", ttl="1 day"), DeclarationError, "bring all rows"),
        (lambda: ematix.merge(keys="id", deleted_by="id"), DeclarationError, "the column of another option"),
        (lambda: ematix.merge(keys="id", deleted_by="gone"), DeclarationError, "deleted_by 'gone' is no column"),
        (lambda: ematix.merge(keys="id", deleted_by="_op"), UnsupportedError, "is Text, and must be Boolean"),
        (lambda: ematix.merge(keys="id", compare="_op", deleted_by="_deleted"), DeclarationError, "compare '_op'"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(
    warehouse: ematix.Connection, declare: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        job(lambda: changes((1, "a", 1, "insert")), target="c", target_connection=warehouse, mode=declare()).run()


def test_a_table_that_declares_the_flag_by_which_rows_are_deleted_is_refused() -> None:
    @ematix.table()
    class Kept:
        id: Annotated[BigInt, pk()]
        _deleted: ematix.types.Boolean

    with pytest.raises(DeclarationError, match="is not stored, and kept declares it"):
        ematix.target(Kept, mode=ematix.merge(deleted_by="_deleted"))
