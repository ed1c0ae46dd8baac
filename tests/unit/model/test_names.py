"""Names that the store keeps: those that users give are refused when they are too long, those of ours are shortened."""

from __future__ import annotations

import pytest

import ematix_core as ematix
from ematix_core.engine import run_job, run_workflow
from ematix_core.errors import DeclarationError
from ematix_core.model.names import LONGEST, joined

LONG = "n" * 256


def declared(name: str = "short") -> ematix.Job:
    made: ematix.Job = ematix.job(name=name, target="t")(lambda: "SELECT 1 AS n")
    return made


def test_a_name_of_255_characters_is_taken() -> None:
    assert declared("ü" * LONGEST).name == "ü" * LONGEST


def test_a_longer_name_of_a_job_or_workflow_is_refused_where_it_is_declared() -> None:
    with pytest.raises(DeclarationError, match=r"name='n{20}\.\.\.' has 256 characters, of which the store keeps 255"):
        declared(LONG)
    with pytest.raises(DeclarationError, match="has 256 characters"):
        ematix.workflow(LONG, jobs=declared(), schedule="0 0 * * *")


def test_a_longer_trigger_or_slice_is_refused_before_anything_is_recorded() -> None:
    for trigger, part in ((LONG, ""), ("manual", LONG)):
        with pytest.raises(DeclarationError, match="has 256 characters"):
            run_job(declared(), trigger=trigger, slice=part)
        with pytest.raises(DeclarationError, match="has 256 characters"):
            run_workflow([declared()], trigger=trigger, slice=part)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a"], "a"),
        (["a", "b"], "a, b"),
        (["a" * 100, "b" * 100, *"cdefgh"], f"{'a' * 100}, {'b' * 100}, c, d, e, f, g, h"),
        (["a" * 100, "b" * 100, "c" * 100, "d"], f"{'a' * 100}, {'b' * 100} and 2 more"),
        (["a" * 250, "b" * 10], "2 jobs"),
        (["x" * 9] * 2_000, f"{', '.join(['x' * 9] * 22)} and 1,978 more"),
    ],
)
def test_many_names_are_told_by_the_first_few(names: list[str], told: str) -> None:
    assert joined(names) == told
    assert len(joined(names)) <= LONGEST
