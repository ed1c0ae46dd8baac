"""`flow run` and `flow plan` with an engine that only says what it was asked for; tests/e2e has the real one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ematix_core import engine
from ematix_core.engine.result import JobOutcome, JobPlan, RunResult, WorkflowResult
from ematix_core.errors import BadRowError, ConnectError, EmatixError, UnsupportedError
from ematix_core.model.workflow import Workflow

if TYPE_CHECKING:
    from ematix_core.model.job import Job
    from tests.unit.cli.conftest import Flow

pytestmark = pytest.mark.usefixtures("project")


class _Engine:
    """Stands for `run_workflow`: every job succeeds, except those in `failing`."""

    def __init__(self) -> None:
        self.failing: dict[str, EmatixError] = {}
        self.asked: Workflow | tuple[Job, ...] = ()
        self.options: dict[str, Any] = {}

    def run_workflow(self, what: Workflow | tuple[Job, ...], _project: object, **options: Any) -> WorkflowResult:  # noqa: ANN401 - whatever is handed on
        self.asked, self.options = what, options
        jobs = what.jobs if isinstance(what, Workflow) else what
        outcomes = tuple(self._run(job.name) for job in jobs)
        return WorkflowResult("w", "w1", "failed" if self.failing else "succeeded", outcomes, 0.5)

    def _run(self, job: str) -> JobOutcome:
        if job in self.failing:
            self.options["progress"].failed(job, self.failing[job], retry_in=None)
            return JobOutcome(job, "failed", error=str(self.failing[job]))
        return JobOutcome(job, "succeeded", RunResult("r1", job, "succeeded", 5, 5, 0, 0, 0, 0, 0.1))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> _Engine:
    """Put the fake engine in the place of the real one."""
    fake = _Engine()
    monkeypatch.setattr(engine, "run_workflow", fake.run_workflow)
    return fake


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["customers", "orders", "revenue"]),
        (["customers"], ["customers"]),
        (["pipelines.py", "customers"], ["customers"]),
        (["--select", "+revenue"], ["customers", "orders", "revenue"]),
        (["-s", "customers+", "-s", "orders"], ["customers", "orders", "revenue"]),
    ],
)
def test_run_hands_the_selected_jobs_to_the_engine(
    arguments: list[str], expected: list[str], fake: _Engine, flow: Flow
) -> None:
    assert flow("run", *arguments).exit_code == 0
    assert not isinstance(fake.asked, Workflow)
    assert [job.name for job in fake.asked] == expected


def test_workflow_is_run_as_such(fake: _Engine, flow: Flow) -> None:
    flow("run", "nightly", "--parallel", "2", "--lock-wait", "5")
    assert isinstance(fake.asked, Workflow)
    assert (fake.options["parallel"], fake.options["lock_wait"]) == (2, 5.0)


def test_failure_goes_to_stderr_and_the_exit_code(fake: _Engine, flow: Flow) -> None:
    fake.failing["orders"] = BadRowError("3 columns instead of 4", where="orders.csv, line 7", hint="Quote the comma.")
    result = flow("run")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "2 succeeded, 1 failed in 0.50 s · run w1"
    assert result.stderr == "error: 3 columns instead of 4 (job orders, orders.csv, line 7)\nQuote the comma.\n"


def test_json_is_one_document_on_stdout(fake: _Engine, flow: Flow) -> None:
    fake.failing["orders"] = BadRowError("3 columns instead of 4")
    result = flow("run", "--json")
    assert result.exit_code == 1
    assert [job["status"] for job in json.loads(result.stdout)["jobs"]] == ["succeeded", "failed", "succeeded"]
    assert result.stderr.startswith("error: 3 columns")


def test_passwords_in_a_jobs_error_are_masked(fake: _Engine, flow: Flow) -> None:
    fake.failing["orders"] = ConnectError("cannot reach postgres://ann:hunter2@db/shop")
    assert "hunter2" not in flow("run", "--json").output
    assert "hunter2" not in flow("run").output


@pytest.mark.parametrize("command", ["plan", "preview", "dry-run"])
def test_plan_shows_each_job(command: str, flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "plan_job", lambda job, _project: JobPlan(job.name, "memory shop", "SELECT 1", ()))
    assert flow(command, "customers", "orders").stdout == (
        "job customers\n  reads memory shop\n    | SELECT 1\n\njob orders\n  reads memory shop\n    | SELECT 1\n"
    )
    document = json.loads(flow(command, "customers", "--json").stdout)
    assert [plan["job"] for plan in document["plans"]] == ["customers"]


def test_plan_of_what_cannot_be_done_is_a_wrong_declaration(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(job: Job, _project: object) -> JobPlan:
        raise UnsupportedError("objects cannot merge", where=f"job {job.name}")

    monkeypatch.setattr(engine, "plan_job", refuse)
    result = flow("plan", "customers", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["where"] == "job customers"
