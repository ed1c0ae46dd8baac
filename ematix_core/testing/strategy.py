"""StrategyConformance: every mode that the Dialect offers does what it says; any other is refused when planned."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from ematix_core.errors import EmptySourceError, KeyViolationError, UnsupportedError
from ematix_core.model.mode import Mode, append, merge, scd2, truncate
from ematix_core.testing.reach import Conformance, Reached

START = datetime(2026, 1, 1, tzinfo=UTC)
_FIELDS: list[pa.Field[Any]] = [
    pa.field("k", pa.int64()),
    pa.field("v", pa.string()),
    pa.field("at", pa.timestamp("us", "UTC")),
]
SCHEMA = pa.schema(_FIELDS)
CHANGES = SCHEMA.append(pa.field("_op", pa.string())).append(pa.field("_deleted", pa.bool_()))
MODES: dict[str, Mode] = {
    "append": append(),
    "truncate": truncate(),
    "merge": merge(keys="k"),
    "scd2": scd2(keys="k"),
}


def hour(number: float) -> datetime:
    """Return an instant of the tests' day."""
    return START + timedelta(hours=number)


def rows(*values: tuple[int | None, str | None, float]) -> pa.Table:
    """Return rows of key, value and hour."""
    return pa.Table.from_pylist([{"k": k, "v": v, "at": hour(at)} for k, v, at in values], schema=SCHEMA)


def changes(*values: tuple[int, str | None, float, str]) -> pa.Table:
    """Return rows of changes, of key, value, hour and operation."""
    return pa.Table.from_pylist(
        [{"k": k, "v": v, "at": hour(at), "_op": op, "_deleted": op == "delete"} for k, v, at, op in values],
        schema=CHANGES,
    )


def found(system: Reached, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """Return the rows in order; times as hours of the day."""
    names = columns or ("k", "v")
    return sorted((tuple(_plain(row[name]) for name in names) for row in system.read(table).to_pylist()), key=repr)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value of a row
    if isinstance(value, datetime):
        return (value.replace(tzinfo=value.tzinfo or UTC) - START) / timedelta(hours=1)
    return value


class StrategyConformance(Conformance):
    """The modes, through the engine."""

    def offers(self, system: Reached, mode: Mode) -> bool:
        """Say whether the system has the mode; if not, check that planning says so."""
        if mode.name in system.dialect.modes:
            return True
        with pytest.raises(UnsupportedError, match=mode.name):
            system.plan("conformance", rows((1, "a", 0)), mode=mode)
        return False

    @pytest.mark.parametrize("mode", MODES)
    def test_mode_works_or_is_refused_when_planned(self, system: Reached, table: str, mode: str) -> None:
        if self.offers(system, MODES[mode]):
            result = system.load(table, rows((1, "a", 0), (2, None, 1)), mode=MODES[mode])
            assert (result.rows_read, result.inserted) == (2, 2)
            assert found(system, table) == [(1, "a"), (2, None)]

    def test_planning_changes_nothing(self, system: Reached, table: str) -> None:
        system.load(table, rows((1, "a", 0)))
        plan = system.plan(table, rows((2, "b", 0)), mode="append")
        assert plan.targets[0].steps
        assert found(system, table) == [(1, "a")]

    def test_append_adds_every_row_of_every_run(self, system: Reached, table: str) -> None:
        for _ in range(2):
            assert system.load(table, rows((1, "a", 0), (1, "a", 0))).inserted == 2
        assert found(system, table) == [(1, "a")] * 4

    def test_append_from_a_watermark_loses_and_doubles_no_tie(self, system: Reached, table: str) -> None:
        first = system.load(table, rows((1, "a", 1), (2, "b", 2), (2, "b", 2)), watermark="at")
        second = system.load(
            table, rows((1, "a", 1), (2, "b", 2), (2, "b", 2), (3, "tie", 2), (4, "d", 3)), watermark="at"
        )
        third = system.load(table, rows((4, "d", 3)), watermark="at")
        assert [first.inserted, second.inserted, third.inserted] == [3, 2, 0]
        assert found(system, table) == [(1, "a"), (2, "b"), (2, "b"), (3, "tie"), (4, "d")]

    def test_truncate_replaces_all_rows(self, system: Reached, table: str) -> None:
        system.load(table, rows((1, "a", 0), (2, "b", 0)), mode="truncate")
        system.load(table, rows((3, "c", 0)), mode="truncate")
        assert found(system, table) == [(3, "c")]
        system.load(table, rows(), mode="truncate")
        assert found(system, table) == []

    def test_merge_counts_only_real_differences(self, system: Reached, table: str) -> None:
        if not self.offers(system, merge(keys="k")):
            return
        system.load(table, rows((1, "a", 0), (2, None, 0), (3, "c", 0)), mode=merge(keys="k"))
        result = system.load(table, rows((1, "A", 0), (2, None, 0), (4, "d", 0)), mode=merge(keys="k"))
        assert (result.inserted, result.updated, result.unchanged, result.deleted) == (1, 1, 1, 0)
        assert found(system, table) == [(1, "A"), (2, None), (3, "c"), (4, "d")]

    def test_merge_deletes_what_the_load_lacks(self, system: Reached, table: str) -> None:
        mode = merge(keys="k", deletes="delete")
        if not self.offers(system, mode):
            return
        system.load(table, rows((1, "a", 0), (2, "b", 0)), mode=mode)
        assert system.load(table, rows((2, "b", 0)), mode=mode).deleted == 1
        with pytest.raises(EmptySourceError):
            system.load(table, rows(), mode=mode)
        assert found(system, table) == [(2, "b")]

    def test_merge_refuses_null_and_doubled_keys(self, system: Reached, table: str) -> None:
        if not self.offers(system, merge(keys="k")):
            return
        system.load(table, rows((1, "a", 0)), mode=merge(keys="k"))
        with pytest.raises(KeyViolationError, match="k"):
            system.load(table, rows((None, "x", 0)), mode=merge(keys="k"))
        with pytest.raises(KeyViolationError, match="2"):
            system.load(table, rows((2, "x", 0), (2, "y", 1)), mode=merge(keys="k"))
        assert found(system, table) == [(1, "a")]
        system.load(table, rows((2, "x", 0), (2, "y", 1)), mode=merge(keys="k", order_by="at"))
        assert found(system, table) == [(1, "a"), (2, "y")]

    def test_scd2_by_load_time_keeps_history(self, system: Reached, table: str) -> None:
        mode = scd2(keys="k", compare="v", deletes="close")
        if not self.offers(system, mode):
            return
        loads = [rows((1, "a", 0), (2, "b", 0)), rows((1, "A", 0)), rows((1, "A", 0)), rows((1, "A", 0), (2, "b", 0))]
        results = [system.load(table, load, mode=mode, clock=hour(n)) for n, load in enumerate(loads, start=10)]
        assert [(r.inserted, r.closed, r.unchanged) for r in results] == [(2, 0, 0), (1, 2, 0), (0, 0, 1), (1, 0, 1)]
        assert found(system, table, "k", "v", "valid_from", "valid_to", "is_current") == [
            (1, "A", 11, None, True),
            (1, "a", 10, 11, False),
            (2, "b", 10, 11, False),
            (2, "b", 13, None, True),
        ]

    def test_scd2_by_event_time_puts_late_events_in_their_place(self, system: Reached, table: str) -> None:
        mode = scd2(keys="k", compare="v", event_time="at")
        if not self.offers(system, mode):
            return
        first = system.load(table, rows((1, "c", 5), (1, "a", 1)), mode=mode, clock=hour(20))
        late = system.load(table, rows((1, "b", 3), (1, "b", 4)), mode=mode, clock=hour(21))
        again = system.load(table, rows((1, "b", 3), (1, "a", 1)), mode=mode, clock=hour(22))
        assert (first.inserted, late.inserted, late.updated) == (2, 1, 1)
        assert (again.inserted, again.updated, again.deleted, again.closed, again.unchanged) == (0, 0, 0, 0, 2)
        assert found(system, table, "v", "valid_from", "valid_to", "is_current") == [
            ("a", 1, 3, False),
            ("b", 3, 5, False),
            ("c", 5, None, True),
        ]

    def test_scd2_by_event_time_takes_rows_that_come_twice_in_a_load(self, system: Reached, table: str) -> None:
        mode = scd2(keys="k", compare="v", event_time="at")
        if not self.offers(system, mode):
            return
        loads = [rows((1, "a", 1), (1, "a", 1)), rows((1, "b", 3), (1, "a", 1), (1, "b", 3))]
        results = [system.load(table, load, mode=mode, clock=hour(20)) for load in loads]
        assert [(r.inserted, r.closed, r.unchanged) for r in results] == [(1, 0, 1), (1, 1, 2)]
        with pytest.raises(KeyViolationError, match="several rows of the load have one key"):
            system.load(table, rows((1, "c", 5), (1, "d", 5)), mode=mode, clock=hour(21))
        assert found(system, table, "v", "valid_from", "valid_to") == [("a", 1, 3), ("b", 3, None)]

    def test_merge_of_changes_deletes_and_skips_what_is_older(self, system: Reached, table: str) -> None:
        mode = merge(keys="k", deleted_by="_deleted", order_by="at")
        if not self.offers(system, MODES["merge"]):
            return
        first = changes((1, "a", 1, "insert"), (2, "b", 1, "insert"), (3, "c", 5, "insert"), (4, None, 1, "delete"))
        second = changes(
            (1, None, 2, "delete"), (2, "B", 2, "update"), (3, "late", 4, "update"), (5, "e", 2, "insert"),
            (5, None, 3, "delete"), (6, "f", 2, "insert"),
        )  # fmt: skip
        results = [system.load(table, load, mode=mode) for load in (first, second, second)]
        assert [(r.inserted, r.updated, r.deleted, r.unchanged) for r in results] == [
            (3, 0, 0, 1), (1, 1, 1, 2), (0, 0, 0, 5),
        ]  # fmt: skip
        assert found(system, table) == [(2, "B"), (3, "c"), (6, "f")]
        assert "_deleted" not in system.read(table).schema.names

    def test_merge_of_changes_takes_rows_of_which_only_the_key_is_known(self, system: Reached, table: str) -> None:
        mode = merge(keys="k", deleted_by="_deleted")
        if not self.offers(system, MODES["merge"]):
            return
        system.load(table, changes((1, "a", 1, "insert"), (2, "b", 1, "insert")), mode=mode)
        unknown = changes((1, None, 2, "delete"), (2, "b", 1, "update")).set_column(
            2, "at", pa.array([None, hour(1)], pa.timestamp("us", "UTC"))
        )
        result = system.load(table, unknown, mode=mode)
        assert (result.deleted, result.unchanged) == (1, 1)
        assert found(system, table) == [(2, "b")]

    def test_scd2_of_changes_closes_at_their_time(self, system: Reached, table: str) -> None:
        mode = scd2(keys="k", compare="v", event_time="at", deleted_by="_deleted")
        if not self.offers(system, MODES["scd2"]):
            return
        first = changes((1, "a", 1, "insert"), (1, "b", 3, "update"), (2, "x", 1, "insert"))
        second = changes((1, None, 5, "delete"), (1, "c", 7, "insert"), (2, None, 4, "delete"), (2, "y", 3, "update"))
        results = [system.load(table, load, mode=mode, clock=hour(20)) for load in (first, second, second)]
        assert [(r.inserted, r.updated, r.closed, r.deleted, r.unchanged) for r in results] == [
            (3, 0, 0, 0, 0), (2, 0, 2, 0, 0), (0, 0, 0, 0, 4),
        ]  # fmt: skip
        assert found(system, table, "k", "v", "valid_from", "valid_to", "is_current") == [
            (1, "a", 1, 3, False), (1, "b", 3, 5, False), (1, "c", 7, None, True),
            (2, "x", 1, 3, False), (2, "y", 3, 4, False),
        ]  # fmt: skip

    def test_scd2_of_changes_by_load_time_closes_when_it_hears_of_them(self, system: Reached, table: str) -> None:
        mode = scd2(keys="k", compare="v", deleted_by="_deleted")
        if not self.offers(system, MODES["scd2"]):
            return
        loads = [changes((1, "a", 1, "insert")), changes((1, None, 2, "delete")), changes((1, "b", 3, "insert"))]
        results = [system.load(table, load, mode=mode, clock=hour(n)) for n, load in enumerate(loads, start=10)]
        assert [(r.inserted, r.closed, r.unchanged) for r in results] == [(1, 0, 0), (0, 1, 0), (1, 0, 0)]
        assert found(system, table, "k", "v", "valid_from", "valid_to", "is_current") == [
            (1, "a", 10, 11, False), (1, "b", 12, None, True),
        ]  # fmt: skip

    def test_failed_load_leaves_the_target_as_it_was(self, system: Reached, table: str) -> None:
        system.load(table, rows((1, "a", 0)))

        def broken() -> Any:  # noqa: ANN401 - an iterator of batches that fails
            yield from rows((2, "b", 0)).to_batches()
            raise RuntimeError("the source broke")

        reader = pa.RecordBatchReader.from_batches(SCHEMA, broken())
        with pytest.raises(Exception, match="the source broke"):
            system.load(table, reader)
        assert found(system, table) == [(1, "a")]
