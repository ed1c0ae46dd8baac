"""Data checks on the staged rows, before anything is committed: fail, warn or set aside."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any

from ematix_core.errors import CheckFailedError
from ematix_core.model.table import Column, TableName
from ematix_core.sql import checks as sql
from ematix_core.sql.ddl import Wanted, plan_ddl
from ematix_core.strategies.staging import ASIDE, STAGED
from ematix_core.types import BigInt, Text, TimestampTZ

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from ematix_core.backends.protocols import Session
    from ematix_core.engine.planning import TargetPlan
    from ematix_core.model.check import Check

_SAMPLES = 3
QUARANTINE, REJECTED = "_quarantine", "_rejected"
"""Suffixes of the tables for rows that break a check, and for lines that could not be read."""


class CheckRun:
    """The checks of one load: runs them in order and collects what became of them."""

    def __init__(self, session: Session, plan: TargetPlan, parameters: Mapping[str, Any]) -> None:
        self._session = session
        self._plan = plan
        self._parameters = parameters
        self._gone = getattr(plan.target.mode, "deleted_by", None) or ""
        self.warnings: list[str] = []
        self.broken: dict[str, str] = {}
        """What was found, by the name of the check that did not hold and let the load go on."""
        self.quarantined = 0

    def run(self) -> None:
        """Run all checks. Raises CheckFailedError with sample rows for the first that fails."""
        for check in self._plan.target.checks:
            if check.kind in {"row_count", "fresh"}:
                self._whole(check)
            else:
                self._rows(check)

    def _rows(self, check: Check) -> None:
        count = self._number(sql.count_broken(check, STAGED, self._plan.dialect, gone=self._gone))
        if not count:
            return
        if check.severity == "quarantine":
            self._set_aside(check)
            self.quarantined += count
            self.broken[check.name] = f"{count:,} rows break it, and were set aside"
            return
        names = tuple(column.name for column in self._plan.columns)
        query = sql.samples(check, STAGED, self._plan.dialect, names, _SAMPLES, gone=self._gone)
        samples = self._session.query(query, {}).to_pylist()
        self._report(check, f"{count:,} rows break it, such as {samples}")

    def _whole(self, check: Check) -> None:
        query = sql.whole(check, STAGED, self._plan.dialect)
        value = next(iter(self._session.query(query, {}).column(0).to_pylist()), None)
        if check.kind == "row_count":
            low, high = check.low, check.high
            if (low is not None and value < low) or (high is not None and value > high):
                self._report(check, f"the load has {value:,} rows")
            return
        assert check.within is not None  # noqa: S101 - `fresh` always has it
        highest = _instant(value)
        if highest is None or highest < self._parameters["load_time"] - check.within:
            self._report(check, f"the highest value is {value}, older than {check.within}")

    def _report(self, check: Check, what: str) -> None:
        text = f"check {check.name}: {what}"
        if check.severity == "fail":
            raise CheckFailedError(
                text, check=check.name, table=str(self._plan.target.name), where=f"table {self._plan.table}",
                hint="Nothing was committed. Mend the rows, or set severity='quarantine' or 'warn'.",
            )  # fmt: skip
        self.warnings.append(text)
        self.broken[check.name] = what

    def _set_aside(self, check: Check) -> None:
        extra = (Column("failed_check", Text), Column("load_id", Text), Column("quarantined_at", TimestampTZ))
        columns = tuple(Column(c.name, c.type) for c in self._plan.columns)
        table = side_table(self._session, self._plan, QUARANTINE, (*columns, *extra))
        names = tuple(column.name for column in columns)
        if self._plan.aside:
            keys = sql.broken_keys(check, STAGED, self._plan.dialect, self._plan.aside, gone=self._gone)
            self._session.insert(ASIDE, self._plan.aside, keys, {})
        query, remove = sql.set_aside(check, STAGED, self._plan.dialect, names, gone=self._gone)
        self._session.insert(table, (*names, *(c.name for c in extra)), query, self._parameters)
        self._session.execute(remove, {})

    def _number(self, query: str) -> int:
        return int(self._session.query(query, {}).column(0)[0].as_py())


def keep_rejected(session: Session, plan: TargetPlan, rejected: pa.Table, load_id: str) -> int:
    """Load the lines that could not be read into the table `<target>_rejected` and return how many there are."""
    import pyarrow as pa

    columns = (
        Column("file", Text), Column("line", BigInt), Column("column", Text), Column("error", Text),
        Column("text", Text), Column("load_id", Text),
    )  # fmt: skip
    table = side_table(session, plan, REJECTED, columns)
    rows = rejected.append_column("load_id", pa.array([load_id] * rejected.num_rows, pa.string()))
    wanted = pa.schema([(column.name, column.type.to_arrow()) for column in columns])
    return session.load(table, columns, rows.select(wanted.names).cast(wanted).to_reader())


def side_table(session: Session, plan: TargetPlan, suffix: str, columns: tuple[Column, ...]) -> TableName:
    """Create or widen the table beside the target that keeps what was set aside, and return its name."""
    table = TableName(plan.table.schema, plan.table.name + suffix)
    ddl = plan_ddl(Wanted(table, columns, declared=False), session.columns(table), plan.dialect, "evolve")
    for _, statement, _ in ddl.statements:
        session.execute(statement, {})
    return table


def _instant(value: Any) -> datetime | None:  # noqa: ANN401 - the highest value of any column
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    if isinstance(value, str):
        return _instant(datetime.fromisoformat(value))
    return None
