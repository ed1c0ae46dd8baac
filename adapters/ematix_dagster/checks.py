"""Data checks of a job as asset checks: the engine makes them on the staged rows, before anything is committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster import AssetCheckResult, AssetCheckSeverity, AssetCheckSpec

from ematix_dagster.names import plain_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dagster import AssetKey

    from ematix_core import RunResult
    from ematix_core.errors import CheckFailedError
    from ematix_core.orchestration import CompiledTarget

_ABOUT = {
    "fail": "When it does not hold, nothing is loaded.",
    "warn": "When it does not hold, the rows are loaded all the same.",
    "quarantine": "Rows that break it are set aside.",
}


def check_specs(target: CompiledTarget, key: AssetKey) -> list[AssetCheckSpec]:
    """Return the checks of a target; one that fails the load is blocking."""
    names = _names(target)
    return [
        AssetCheckSpec(
            names[check], asset=key, description=f"`{check}`. {_ABOUT[severity]}", blocking=severity == "fail"
        )
        for check, severity in target.checks
    ]


def after_load(target: CompiledTarget, key: AssetKey, result: RunResult, number: int) -> list[AssetCheckResult]:
    """Return what became of the checks of a target that was loaded."""
    names, broken = _names(target), result.targets[number].broken
    return [
        _result(names[check], key, severity, broken.get(check, "")) for check, severity in target.checks
    ]  # fmt: skip


def after_failure(target: CompiledTarget, key: AssetKey, error: CheckFailedError) -> Iterator[AssetCheckResult]:
    """Yield the check that failed the load. What became of the others says nothing: all is rolled back."""
    names = _names(target)
    for check, severity in target.checks:
        if (target.name, check) == (error.table, error.check):
            yield _result(names[check], key, severity, error.what)


def _names(target: CompiledTarget) -> dict[str, str]:
    """Return Dagster's name for each check: `not_null(id)` is `not_null_id`."""
    made: dict[str, str] = {}
    for check, _ in target.checks:
        name = plain_name(check).strip("_")
        while name in made.values():
            name += "_"
        made[check] = name
    return made


def _result(name: str, key: AssetKey, severity: str, found: str) -> AssetCheckResult:
    return AssetCheckResult(
        passed=not found, asset_key=key, check_name=name, description=found or None,
        severity=AssetCheckSeverity.ERROR if severity == "fail" else AssetCheckSeverity.WARN,
    )  # fmt: skip
