"""A project of which something is broken: the rest is loaded, and what is left out is named with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ematix_core import Project
from ematix_core.errors import DeclarationError
from ematix_core.model.unit import units

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """
import ematix_core as ematix

def load(name, **options):
    return ematix.job(name=name, target=name, target_connection="w", **options)(lambda: "SELECT 1")

good = load("good")
"""


def loaded(folder: Path, *lines: str) -> tuple[list[str], list[str]]:
    """Return the names of the units of a module with these lines, and the messages about what is left out."""
    (folder / "pipelines.py").write_text("\n".join([HEAD, *lines]))
    project, messages = Project.load_good(folder / "pipelines.py")
    return [unit.name for unit in units(project)], list(messages)


@pytest.mark.parametrize(
    ("lines", "kept", "messages"),
    [
        (
            [
                "bad = load('bad', schedule='0 25 * * *')",
                "nightly = ematix.workflow('nightly', jobs=good, schedule='0 2 * * *')",
            ],
            ["nightly"],
            ["schedule='0 25 * * *' is no cron pattern: Bad hour (job bad)"],
        ),
        (
            [
                "bad = load('bad', mode='upsert')",
                "next = load('next', depends_on=bad)",
                "after = load('after', depends_on='next')",
                "first = ematix.workflow('first', jobs=[good, bad], schedule='0 2 * * *')",
                "second = ematix.workflow('second', jobs=good, triggered_by=[first, 'bad'])",
            ],
            ["second"],
            [
                "unknown mode 'upsert' (job bad)",
                "it refers to bad, which is left out (job next)",
                "it refers to bad, which is left out (workflow first)",
                "job after depends on 'next', which is left out",
            ],
        ),
        (
            [
                "@ematix.table(shema='crm')",
                "class Customers:",
                "    id: int",
                "bad = ematix.job(name='bad', target=Customers, target_connection='w')(lambda: 'SELECT 1')",
                "alone = load('alone', schedule='0 2 * * *')",
            ],
            ["alone"],
            ["@ematix.table has no option 'shema'", "it refers to something, which is left out (job bad)"],
        ),
        (
            [
                "import types",
                "one = load('one', schedule='0 1 * * *', mode=ematix.merge(kes='id'))",
                "two = load('two', schedule='0 1 * * *')",
            ],
            ["two"],
            ["mode 'merge' has no option 'kes'", "it refers to something, which is left out (job one)"],
        ),
        (
            [
                "a, b = load('a', depends_on='b'), load('b', depends_on='a')",
                "c = load('c', depends_on='a')",
                "w = ematix.workflow('w', jobs=good, triggered_by=['b', 'c'])",
                "x = ematix.workflow('x', jobs=[good, c], schedule='0 2 * * *')",
            ],
            ["w"],
            [
                "jobs depend on each other in a circle: a -> b -> a",
                "job c depends on 'a', which is left out",
                "workflow x has c, which is left out",
            ],
        ),
        (
            [
                "again = load('good')",
                "w = ematix.workflow('w', jobs=good, schedule='0 2 * * *')",
                "other = load('other', schedule='0 2 * * *')",
            ],
            ["other"],
            ["two jobs are named 'good' (pipelines)", "workflow w has good, which is left out"],
        ),
        (
            [
                "x, y = ematix.DuckDBConnection('x', path='1'), ematix.DuckDBConnection('x', path='2')",
                "bad = ematix.job(name='bad', target='t', target_connection='x', schedule='0 2 * * *')(lambda: '')",
                "w = ematix.workflow('w', jobs=good, on_message=ematix.inbox('in', connection=x))",
                "v = ematix.workflow('v', jobs=good, schedule='0 2 * * *')",
            ],
            ["v"],
            ["two connections are named 'x' (pipelines)"],
        ),
        (
            [
                "w = ematix.workflow('w', jobs=good, triggered_by='vv')",
                "v = ematix.workflow('v', jobs=good, triggered_by='v')",
                "u = ematix.workflow('u', jobs=good, schedule='0 2 * * *')",
            ],
            ["u"],
            [
                "workflow w waits for 'vv', which is no workflow or job. Did you mean 'v'? Known: good, u, v, w.",
                "workflows set each other off in a circle: v -> v",
            ],
        ),
    ],
)
def test_what_is_good_stays(folder_of_its_own: Path, lines: list[str], kept: list[str], messages: list[str]) -> None:
    units_kept, said = loaded(folder_of_its_own, *lines)
    assert units_kept == kept
    assert [message.partition("\n")[0] for message in said] == messages


def test_a_module_that_cannot_be_imported_leaves_out_that_module_only(folder_of_its_own: Path) -> None:
    shop = folder_of_its_own / "shop"
    shop.mkdir()
    (shop / "__init__.py").touch()
    (shop / "broken.py").write_text("raise SystemExit('no')")
    (shop / "works.py").write_text(
        HEAD + "w = ematix.workflow('w', jobs=good, triggered_by=['of_the_broken_module', 'good_too'])"
    )
    (folder_of_its_own / "too.py").write_text(HEAD.replace('"good"', '"good_too"'))
    project, messages = Project.load_good("shop", "too.py", "nowhere")
    assert sorted(project.jobs) == ["good", "good_too"]
    assert list(project.workflows) == ["w"], "what it waits for may well be in the broken module"
    assert [message.partition("\n")[0] for message in messages] == [
        f"cannot load shop.broken: SystemExit: no ({shop / 'broken.py'}, line 1)",
        f"there is no module 'nowhere' ({folder_of_its_own})",
    ]


def test_what_is_left_out_is_named_again_when_the_module_was_imported_before(folder_of_its_own: Path) -> None:
    again = loaded(folder_of_its_own, "bad = load('bad', schedule='0 25 * * *')")
    project, messages = Project.load_good(folder_of_its_own / "pipelines.py")
    assert ([unit.name for unit in units(project)], list(messages)) == again


def test_nothing_that_is_good_is_an_empty_project(folder_of_its_own: Path) -> None:
    project, messages = Project.load_good("nowhere")
    assert (units(project), len(messages), project.root) == ((), 1, folder_of_its_own)


def test_declarations_raise_again_afterwards(folder_of_its_own: Path) -> None:
    loaded(folder_of_its_own, "bad = load('bad', schedule='0 25 * * *')")
    import ematix_core as ematix

    with pytest.raises(DeclarationError):
        ematix.workflow("w", jobs=[], schedule="0 2 * * *")


def test_a_good_project_is_the_same_either_way(folder_of_its_own: Path) -> None:
    (folder_of_its_own / "pipelines.py").write_text(
        HEAD + "w = ematix.workflow('w', jobs=good, schedule='0 2 * * *', triggered_by='other')\nother = load('other')"
    )
    assert Project.load_good("pipelines.py") == (Project.load("pipelines.py"), ())
