"""The crash harness: kill a load at every failpoint, run it again, and compare with an undisturbed run.

A scenario is a script that carries out one step (one load, one process) a call: `python script.py STEP`, in a working
directory of its own. It keeps everything there, or where a file there says, takes the time from a fixed clock, and ends
with status 0. Processes are forked from a server that has imported the engine already, which is what makes thousands of
kills affordable.

1. Every step is run once with EMATIX_FAILPOINT_TRACE: that lists the failpoints which it reaches.
2. Every step is run once undisturbed: that gives the expected outcome.
3. For each (step, point, nth time) the step is run until it dies there by SIGKILL. Then it is run again, unless the
   store says that it had succeeded by then (nobody runs it again), the remaining steps follow, and the outcomes are
   compared.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import runpy
import shutil
import signal
import sys
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ematix_core import failpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from multiprocessing.process import BaseProcess
    from pathlib import Path

_TIMEOUT = 120
_POINT, _TRACE = "EMATIX_FAILPOINT", "EMATIX_FAILPOINT_TRACE"
_PRELOAD = [
    "duckdb", "pyarrow.dataset", "sqlglot", "tenacity", "ematix_core.engine.run", "ematix_core.engine.load",
    "ematix_core.model.job", "ematix_core.store.sql_store", "ematix_core.store.database", "ematix_core.testing.crash",
]  # fmt: skip


@dataclass(frozen=True)
class Scenario:
    """What is run and how its outcome is read.

    `observe` returns the outcome in a folder (targets and store) as plain data that two equal outcomes agree in.
    `succeeded` says whether the store in a folder holds a step as succeeded. `arguments` come before the step.
    `prepare` puts there what a step reads; it is called before the step, and not again after a kill. `outside` is for
    a scenario that keeps something outside of the folder, such as a database: it makes an empty one, writes into the
    folder where it is, and takes it away in the end.
    """

    name: str
    script: Path
    steps: int
    observe: Callable[[Path], Any] = field(repr=False)
    succeeded: Callable[[Path, int], bool] = field(repr=False)
    arguments: tuple[str, ...] = ()
    prepare: Callable[[Path, int], None] | None = field(default=None, repr=False)
    outside: Callable[[Path], AbstractContextManager[None]] | None = field(default=None, repr=False)


@dataclass(frozen=True, order=True)
class Kill:
    """Where a run dies: the step, the failpoint and the how-many-eth time that it is reached, from 1."""

    step: int
    point: str
    nth: int

    def __str__(self) -> str:
        """Return `step 1, duckdb.commit.before#1`."""
        return f"step {self.step}, {self.point}#{self.nth}"


class Crashes:
    """One scenario with its outcome when nobody disturbs it. `folder` is empty and the harness's own."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario = scenario
        self._folder = folder
        self._kills: tuple[Kill, ...] | None = None
        self._expected: Any = None

    def kills(self) -> tuple[Kill, ...]:
        """Return every place where the scenario can die, in the order in which it comes there."""
        if self._kills is None:
            self._kills = tuple(self._trace())
        return self._kills

    def survive(self, kill: Kill) -> bool:
        """Die at `kill`, run again, and compare; return whether the step had to be run again.

        Raises AssertionError when the outcome differs, or when a run does not end as it must.
        """
        expected = self._undisturbed()
        folder = self._folder / f"kill_{kill.step}_{kill.point}_{kill.nth}"
        with self._begun(folder, kill.step):
            died = self._first_run(kill.step, folder, **{_POINT: f"{kill.point}#{kill.nth}"})
            assert died.status == -signal.SIGKILL, f"{kill}: not killed, but {died}"
            if again := not self.scenario.succeeded(folder, kill.step):
                self._require_well(kill.step, self._run(kill.step, folder))
            for step in range(kill.step + 1, self.scenario.steps):
                self._run_well(step, folder)
            outcome = self.scenario.observe(folder)
        assert outcome == expected, f"{self.scenario.name}, {kill}: {_difference(outcome, expected)}"
        shutil.rmtree(folder)
        return again

    def _undisturbed(self) -> Any:  # noqa: ANN401 - whatever the scenario observes
        plain = self._folder / "plain"
        if not plain.exists():
            with self._begun(plain, 0):
                for step in range(self.scenario.steps):
                    if self.scenario.outside is None:
                        shutil.copytree(plain, self._before(step), symlinks=True)
                    self._run_well(step, plain)
                self._expected = self.scenario.observe(plain)
        return self._expected

    @contextmanager
    def _begun(self, folder: Path, step: int) -> Iterator[None]:
        """Make a folder in which all steps before `step` are done: a copy, unless something is kept outside of it."""
        with ExitStack() as stack:
            if self.scenario.outside is None and step:
                shutil.copytree(self._before(step), folder, symlinks=True)
            else:
                folder.mkdir()
                if self.scenario.outside is not None:
                    stack.enter_context(self.scenario.outside(folder))
                for done in range(step):
                    self._run_well(done, folder)
            yield

    def _trace(self) -> list[Kill]:
        traced = self._folder / "traced"
        found: list[Kill] = []
        with self._begun(traced, 0):
            for step in range(self.scenario.steps):
                trace = self._folder / f"trace_{step}"
                self._run_well(step, traced, **{_TRACE: str(trace)})
                reached: Counter[str] = Counter()
                for point in trace.read_text(encoding="utf-8").splitlines() if trace.exists() else ():
                    reached[point] += 1
                    found.append(Kill(step, point, reached[point]))
            outcome = self.scenario.observe(traced)
        expected = self._undisturbed()
        assert outcome == expected, f"two undisturbed runs differ: {_difference(outcome, expected)}"
        return found

    def _before(self, step: int) -> Path:
        return self._folder / f"before_{step}"

    def _run_well(self, step: int, folder: Path, **environment: str) -> None:
        self._require_well(step, self._first_run(step, folder, **environment))

    def _first_run(self, step: int, folder: Path, **environment: str) -> _Ended:
        if self.scenario.prepare is not None:
            self.scenario.prepare(folder, step)
        return self._run(step, folder, **environment)

    def _require_well(self, step: int, ended: _Ended) -> None:
        assert ended.status == 0, f"{self.scenario.name}, step {step}: {ended}"

    def _run(self, step: int, folder: Path, **environment: str) -> _Ended:
        output = folder.parent / f"{folder.name}.log"
        process = forked([str(self.scenario.script), *self.scenario.arguments, str(step)], folder, output, environment)
        process.join(_TIMEOUT)
        if process.exitcode is None:
            process.kill()
            process.join()
            return _Ended(None, f"still running after {_TIMEOUT} s")
        return _Ended(process.exitcode, output.read_text(encoding="utf-8") if output.exists() else "")


def forked(command: list[str], folder: Path, output: Path, environment: Mapping[str, str]) -> BaseProcess:
    """Start a script with its arguments in `folder`, as a process of its own; what it prints goes to `output`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    process = context.Process(target=_child, args=(command, str(folder), str(output), dict(environment)))
    process.start()
    return process


@dataclass(frozen=True)
class _Ended:
    """How a process ended: its status (negative: the signal) and what it printed."""

    status: int | None
    output: str

    def __str__(self) -> str:
        return f"ended with {self.status}\n{self.output}"


def _child(command: list[str], folder: str, output: str, environment: dict[str, str]) -> None:
    """Run the script in this process, as if it had been started on its own."""
    printed = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    os.chdir(folder)
    for name in (_POINT, _TRACE, "EMATIX_STORE", "EMATIX_CLOCK"):
        os.environ.pop(name, None)
    os.environ.update(environment)
    importlib.reload(failpoint)  # it reads its variables once, and the server had imported it before they were set
    sys.argv = command
    runpy.run_path(command[0], run_name="__main__")


def _difference(found: Any, expected: Any) -> str:  # noqa: ANN401 - whatever the scenario observes
    if isinstance(found, dict) and isinstance(expected, dict):
        names = [name for name in {**expected, **found} if found.get(name) != expected.get(name)]
        return "\n".join(f"{name} is {found.get(name)!r}, expected {expected.get(name)!r}" for name in names)
    return f"{found!r}, expected {expected!r}"
