"""Options that a new user writes wrongly, or shorter than they are."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import ematix_core as ematix
from ematix_core import expect
from ematix_core.errors import DeclarationError, ProjectError
from ematix_core.model.options import listed
from ematix_core.types import BigInt  # noqa: TC001 - the table decorator reads it

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ematix_core import TableDef


def body() -> str:
    return "SELECT 1 AS id"


def job(**options: Any) -> ematix.Job:  # noqa: ANN401 - options of ematix.job
    made: ematix.Job = ematix.job(**({"target": "t"} | options))(body)
    return made


MODES = "allow_empty, compare, deleted_by, deletes, keys, order_by"
OVER_JOB = "Write @ematix.job(target=..., target_connection=...) over the function."
OVER_TABLE = "Write @ematix.table(schema='...', name='...') over the class; both may be left out."


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ematix.job(body), f"@ematix.job stands without options (job body)\n{OVER_JOB}"),  # type: ignore[call-arg, arg-type]  # the mistake
        (lambda: ematix.job("load")(body),  # type: ignore[call-arg]  # the mistake
         "@ematix.job takes its options by name (job body)\nWrite name=value. Known: name, target, "),
        (lambda: job(tagret="t"), "@ematix.job has no option 'tagret' (job body)\nDid you mean 'target'? Known: after"),
        (lambda: job(name="load", mod="merge"), "@ematix.job has no option 'mod' (job load)\nDid you mean 'mode'?"),
        (lambda: ematix.merge(key="id"),  # type: ignore[call-arg]  # the mistake
         f"mode 'merge' has no option 'key'\nDid you mean 'keys'? Known: {MODES}."),
        (lambda: ematix.scd2(key="id"), "mode 'scd2' has no option 'key'\nDid you mean 'keys'? Known: allow_empty"),
        (lambda: ematix.merge("id"),  # type: ignore[call-arg]  # the mistake
         "mode 'merge' takes its options by name\nWrite name=value. Known: keys, compare, "),
        (lambda: ematix.append(keys="id"), "mode 'append' has no option 'keys'\n"),  # type: ignore[call-arg]  # the mistake
        (lambda: ematix.workflow("nightly", job=job()),  # type: ignore[call-arg]  # the mistake
         "a workflow has no option 'job' (workflow nightly)\nDid you mean 'jobs'? Known: "),
        (lambda: ematix.workflow("nightly"), "a workflow needs jobs= (workflow nightly)"),  # type: ignore[call-arg]  # the mistake
        (lambda: ematix.workflow(jobs=job()), "a workflow needs name="),  # type: ignore[call-arg]  # the mistake
        (lambda: ematix.target("crm.orders", conection="wh"),  # type: ignore[call-arg]  # the mistake
         "a target has no option 'conection' (target crm.orders)\nDid you mean 'connection'? Known: "),
        (lambda: ematix.table("analytics"),  # type: ignore[call-overload]  # the mistake
         "@ematix.table is given 'analytics', which is no class\nWrite @ematix.table(schema='...', name='...')"),
        (lambda: ematix.table(shema="analytics"),  # type: ignore[call-overload]  # the mistake
         f"@ematix.table has no option 'shema'\n{OVER_TABLE}"),
        (lambda: job(retries="3"), "retries='3' is no whole number (job body)\nWrite retries=3."),
        (lambda: job(retries=ematix.Retry(3, delay="1 minute")),  # type: ignore[arg-type]  # the mistake
         "delay='1 minute' is no number\nWrite delay=0.5."),
        (lambda: job(timeout="soon"), "timeout='soon' is no length of time (job body)\nWrite '1 day', '90 seconds', "),
        (lambda: job(timeout=[1]), "timeout=[1] is no length of time (job body)"),
        (lambda: job(checks="id"), "checks='id' does not belong there (job body)\nWrite expect.not_null('id')"),
        (lambda: job(transforms=body), "transforms=<function body"),
        (lambda: job(tags=[1]), "tags=1 does not belong there (job body)\nWrite tags='nightly' or"),
        (lambda: job(depends_on=[body]), "depends_on=<function body"),
        (lambda: ematix.workflow("nightly", jobs="load"), "'load' is no job (workflow nightly)"),  # type: ignore[arg-type]  # the mistake
    ],
)  # fmt: skip
def test_a_wrong_option_is_named_with_the_right_one(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        make()
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: ematix.job(target="t"), f"@ematix.job(...) has no function\n{OVER_JOB}"),
        (lambda: ematix.job(name="load", target="t"), f"@ematix.job(...) has no function (job load)\n{OVER_JOB}"),
        (lambda: ematix.job(name="load", tagret="t"),  # type: ignore[call-arg]  # the mistake
         "@ematix.job has no option 'tagret' (job load)\nDid you mean 'target'?"),
        (lambda: ematix.job("load"), "@ematix.job takes its options by name\nWrite name=value. Known: "),  # type: ignore[call-arg]  # the mistake
    ],
)  # fmt: skip
def test_what_has_no_function_yet_says_so(declare: Callable[[], Any], message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        declare().run()
    assert str(caught.value).startswith(message)


def test_a_decorator_of_a_project_that_has_no_function_is_found(tmp_path: Path) -> None:
    module = tmp_path / "forgotten.py"
    module.write_text(
        "import ematix_core as ematix\n"
        "warehouse = ematix.DuckDBConnection('warehouse', path='w.duckdb')\n"
        "daily = ematix.job(target='days', target_connection=warehouse)\n"
        "days = daily(lambda: 'SELECT 1 AS day')\n"
        "load = ematix.job(name='load', target='t', target_connection=warehouse)\n"
    )
    message = f"@ematix.job(...) has no function (module forgotten, job load)\n{OVER_JOB}"
    with pytest.raises(ProjectError) as caught:
        ematix.Project.load(module)
    assert str(caught.value) == message
    project, left_out = ematix.Project.load_good(module)
    assert (list(project.jobs), left_out) == (["<lambda>"], (message,))


def test_a_table_needs_no_parentheses() -> None:
    @ematix.table
    class DailyRevenue:
        id: BigInt

    made: TableDef = DailyRevenue  # type: ignore[assignment]  # mypy does not follow class decorators
    assert repr(made) == "<table daily_revenue (id: BigInt)>"


def test_a_single_value_is_a_list_of_one() -> None:
    check, transform = expect.unique("a"), ematix.limit(3)
    made = job(checks=check, transforms=transform, after="ANALYZE", tags="nightly")
    only = made.targets[0]
    assert (only.checks, only.transforms, made.tags) == ((check,), (transform,), ("nightly",))
    assert [step.sql for step in only.after] == ["ANALYZE"]
    assert job(after=body).targets[0].after[0].function is body
    assert [str(one.name) for one in job(target=None, targets="orders").targets] == ["orders"]
    nightly = ematix.workflow("nightly", jobs=made, triggered_by="orders", tags="crm", alerts="oncall")
    assert (nightly.jobs, nightly.tags, nightly.alerts) == ((made,), ("crm",), ("oncall",))


def test_several_values_may_stand_in_any_collection() -> None:
    assert listed(None) == listed([]) == ()
    assert listed(word for word in ("a", "b")) == listed(["a", "b"]) == ("a", "b")


@pytest.mark.parametrize("timeout", ["1 hour", timedelta(hours=1), 3600, 3600.0])
def test_a_timeout_may_be_text(timeout: object) -> None:
    assert job(timeout=timeout).timeout == 3600


def test_options_keep_their_signature() -> None:
    assert "keys" in inspect.signature(ematix.merge).parameters
    assert list(inspect.signature(ematix.DuckDBConnection).parameters) == ["name", "path", "options"]
