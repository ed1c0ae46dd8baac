"""Progress bars on a terminal, one a job: rows, rows a second, and what the job is doing. Loaded only to draw."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from ematix_core.cli.lines import CANCELLING, Lines

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from rich.console import RenderableType

    from ematix_core.engine.result import RunResult
    from ematix_core.errors import EmatixError


class _Rows(TextColumn):
    """`1,200,000 rows  240,000 rows/s`; the rate over the whole attempt, so that it does not jump."""

    def render(self, task: Task) -> Text:
        seconds = task.finished_time or task.elapsed or 0.0
        rows = task.fields["rows"]
        rate = f"{rows / seconds:,.0f} rows/s" if seconds > 0 and rows else ""
        return Text(f"{rows:>12,} rows {rate:>18}")


class _Display(Progress):
    """Adds a line below the bars while the run is being cancelled."""

    cancelling = False

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.cancelling:
            yield Text(CANCELLING, style="yellow")


class Bars(Lines):
    """Draws on stderr while it is open, and leaves nothing behind: the summary follows."""

    def __init__(self) -> None:
        super().__init__(verbose=False)
        self._display = _Display(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=16),
            _Rows(""),
            TimeElapsedColumn(),
            TextColumn("{task.fields[stage]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
            console=Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")) or None),
            transient=True,
            redirect_stdout=False,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._display.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._display.stop()

    def started(self, job: str, attempt: int) -> None:
        self.begun.add(job)
        self._rows[job] = 0
        self._display.reset(self._task(job), total=None, rows=0, stage="" if attempt == 1 else f"attempt {attempt}")

    def advanced(self, job: str, rows: int) -> None:
        total = self._rows[job] = self._rows.get(job, 0) + rows
        self._display.update(self._task(job), rows=total)

    def stage(self, job: str, text: str) -> None:
        super().stage(job, text)
        self._display.update(self._task(job), stage=text)

    def waiting(self, job: str, text: str) -> None:
        self._display.update(self._task(job), stage=text)

    def finished(self, job: str, result: RunResult) -> None:
        self._display.update(self._task(job), total=1, completed=1, rows=result.rows_read, stage=result.status)

    def failed(self, job: str, error: EmatixError, *, retry_in: float | None) -> None:
        super().failed(job, error, retry_in=retry_in)
        again = "failed" if retry_in is None else f"failed, next attempt in {retry_in:.1f} s"
        self._display.stop_task(self._task(job))
        self._display.update(self._task(job), stage=again)

    def cancelling(self) -> None:
        self._display.cancelling = True

    def add(self, name: str, total: int) -> None:
        """Draw a further bar, for a whole of so many parts."""
        self._tasks[name] = self._display.add_task(name, total=total, rows=0, stage="")

    def advance(self, name: str, parts: int, rows: int, stage: str) -> None:
        """Say how many parts of the whole are done, and how many rows they were."""
        self._display.update(self._task(name), completed=parts, rows=rows, stage=stage)

    def remove(self, name: str) -> None:
        """Draw a bar no longer."""
        with self._lock:
            if (task := self._tasks.pop(name, None)) is not None:
                self._display.remove_task(task)

    def say(self, line: str) -> None:
        """Leave a line above the bars."""
        self._display.console.print(line, markup=False, highlight=False)

    def _line(self, job: str, message: str, *, chatty: bool = False) -> None:
        if not chatty:
            self.say(f"{job}: {message}")

    def _task(self, job: str) -> TaskID:
        with self._lock:
            if job not in self._tasks:
                self._tasks[job] = self._display.add_task(job, total=None, rows=0, stage="")
            return self._tasks[job]
