"""What `flow run` says at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

import ematix_core as ematix
from ematix_core.cli.lines import Lines
from ematix_core.cli.summary import complain, exit_code, print_summary
from ematix_core.engine.result import JobOutcome, RunResult, TargetResult, WorkflowResult
from ematix_core.errors import SqlError

SUMMARY = Path(__file__).with_name("summary.txt")
CUSTOMERS = RunResult(
    "r1", "customers", "succeeded", 1_200, 10, 2, 1_188, 0, 2, 0.5,
    targets=(TargetResult("wh.customers", "scd2", 1_200, 10, 2, 1_188, closed=2, warnings=("new column x added",)),),
)  # fmt: skip
TWO_TARGETS = RunResult(
    "r2", "orders", "succeeded", 100, 200, 0, 0, 0, 0, 0.1,
    targets=(
        TargetResult("wh.orders", "append", 100, 100, repeated=True),
        TargetResult("lake.orders", "truncate", 100, 100, quarantined=3),
    ),
)  # fmt: skip


def _workflow(status: str, *outcomes: JobOutcome) -> WorkflowResult:
    return WorkflowResult("nightly", "w1", status, outcomes, 1.5)


def test_summary_has_a_row_a_job_and_one_a_target_when_there_are_several(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(
        _workflow(
            "failed",
            JobOutcome("customers", "succeeded", CUSTOMERS),
            JobOutcome("orders", "succeeded", TWO_TARGETS),
            JobOutcome("report", "failed", error="division by zero"),
        ),
        [ematix.job(name="report", target="report", mode="truncate")(lambda: "SELECT 1 / 0")],
    )
    assert capsys.readouterr().out == SUMMARY.read_text(encoding="utf-8")


def test_warnings_and_causes_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    error = SqlError('no column "emial"', statement="SELECT emial FROM c", position=7, hint="Did you mean 'email'?")
    result = _workflow(
        "failed",
        JobOutcome("customers", "succeeded", CUSTOMERS),
        JobOutcome("orders", "succeeded", TWO_TARGETS),
        JobOutcome("report", "failed", error=str(error)),
        JobOutcome("mail", "failed", error="died"),
    )
    watch = Lines(verbose=False)
    watch.failed("report", error, retry_in=None)
    complain(result, watch, debug=False)
    out, err = capsys.readouterr()
    assert not out
    assert err.splitlines() == [
        "warning: customers: new column x added",
        "warning: orders: wh.orders had this load already; the counts are those of that load",
        "warning: orders: 3 rows of lake.orders went to its quarantine table",
        'error: no column "emial" (job report)',
        "line 1: SELECT emial FROM c",
        "               ^",
        "Did you mean 'email'?",
        "error: died (job mail)",
    ]


@pytest.mark.parametrize(
    ("finished", "expected"),
    [
        (False, "cancelled: customers rolled back; nothing of this run is in the target\n"),
        (True, "cancelled: customers rolled back, nothing of it is in the target; orders had finished before\n"),
    ],
)
def test_cancelled_run_says_what_it_leaves_behind(
    finished: bool, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    done = (JobOutcome("orders", "succeeded", TWO_TARGETS),) if finished else ()
    watch = Lines(verbose=False)
    watch.started("customers", 1)
    cancelled = (JobOutcome("customers", "cancelled"), JobOutcome("report", "cancelled", error="not started"))
    complain(_workflow("cancelled", *cancelled, *done), watch, debug=False)
    assert capsys.readouterr().err.splitlines(keepends=True)[-1] == expected


@pytest.mark.parametrize(("status", "code"), [("succeeded", 0), ("failed", 1), ("cancelled", 130)])
def test_exit_code_follows_the_status(status: str, code: int) -> None:
    assert exit_code(_workflow(status)) == code
