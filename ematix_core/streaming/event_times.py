"""The times of rows: read from a column, checked, and the newest of each partition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ematix_core.errors import BadRowError, ConversionError, near

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    import pyarrow as pa

TIME = "_ematix_time"
"""The column with a row's time in microseconds."""


class EventTimes:
    """The times that the column `on` gives; microseconds. `ahead`: how far after now one may be.

    `whose`: what goes by it, for messages; `option`: how the column is named there. `by`: others that have to be there.
    """

    def __init__(
        self, on: str, ahead: int, clock: Callable[[], datetime], *, whose: str, option: str, by: Sequence[str] = ()
    ) -> None:
        self._on, self._ahead, self._clock = on, ahead, clock
        self._whose, self._wanted = whose, ((on, option), *((name, "by") for name in by))

    def of(self, rows: pa.Table) -> pa.ChunkedArray[Any]:
        """Return the times of rows in microseconds.

        Raises ConversionError for a column that is not there, or is none of times.
        """
        import pyarrow as pa

        on = self._on
        for name, option in self._wanted:
            if name not in rows.schema.names:
                raise ConversionError(
                    f"the rows have no column {name!r}, which {self._whose} has in {option}=",
                    hint=f"{near(name, rows.schema.names)} Expressions have their place in transform_sql.",
                )
        column = rows.column(on)
        if pa.types.is_null(column.type):
            column = column.cast(pa.timestamp("us", "UTC"))
        if not pa.types.is_timestamp(column.type) and not pa.types.is_date(column.type):
            raise ConversionError(
                f"column {on!r} is {column.type}, and {self._whose} goes by a timestamp",
                hint=f"Make one in transform_sql: to_timestamp({on}) of seconds, CAST({on} AS TIMESTAMPTZ) of text.",
            )
        return column.cast(pa.timestamp("us", "UTC" if getattr(column.type, "tz", None) else None), safe=False).cast(
            pa.int64()
        )

    def bad(self, rows: pa.Table) -> dict[int, str]:
        """Return the numbers of rows without a time that can be, and why."""
        import pyarrow as pa
        import pyarrow.compute as pc

        times = self.of(rows)
        wrong = pc.or_kleene(pc.is_null(times), pc.greater(times, pa.scalar(self._limit)))
        if not pc.any(wrong).as_py():
            return {}
        numbers = pc.indices_nonzero(wrong)
        found = rows.column(self._on).take(numbers).to_pylist()
        return {
            number: f"column {self._on!r} is {'NULL' if value is None else value}"
            + ("" if value is None else f", more than max_ahead ({self._ahead / 1_000_000:g} s) after now")
            for number, value in zip(cast("list[int]", numbers.to_pylist()), found, strict=True)
        }

    def require(self, rows: pa.Table) -> None:
        """Raise BadRowError if some rows have no time that can be."""
        if bad := self.bad(rows):
            first, why = min(bad.items())
            raise BadRowError(
                f"row {first + 1} of a micro-batch: {why}",
                hint="Mend it in transform_sql, or set on_error='dead_letter' to keep such rows aside and go on.",
            )

    def newest(self, rows: pa.Table) -> dict[str, int]:
        """Return the newest time of each partition in these rows: of all of them, where they do not tell theirs."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not rows.num_rows:
            return {}
        times = self.of(rows)
        near_enough = pc.less_equal(times, pa.scalar(self._limit))
        if "_partition" not in rows.schema.names:
            newest = cast("int | None", pc.max(times.filter(near_enough)).as_py())
            return {} if newest is None else {"": newest}
        table = pa.Table.from_arrays([rows.column("_partition"), times], names=["p", "t"])
        ends = table.filter(near_enough).group_by("p").aggregate([("t", "max")])
        found = zip(ends.column("p").to_pylist(), ends.column("t_max").to_pylist(), strict=True)
        return cast("dict[str, int]", dict(found))

    @property
    def _limit(self) -> int:
        return int(self._clock().timestamp() * 1_000_000) + self._ahead
