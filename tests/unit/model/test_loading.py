"""Loading modules, packages and files as users lay them out, and their errors in the users' own terms."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from ematix_core import Project
from ematix_core.errors import DeclarationError, ProjectError
from ematix_core.model.loading import own_files
from ematix_core.model.sources import load

if TYPE_CHECKING:
    from pathlib import Path

JOB = """
import ematix_core as ematix

@ematix.job(target="{0}", target_connection="warehouse")
def {0}():
    return "SELECT 1"
"""


pytestmark = pytest.mark.usefixtures("folder_of_its_own")


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_module_is_found_by_name_in_the_working_directory(tmp_path: Path) -> None:
    write(tmp_path, pipelines=JOB.format("orders"))
    project = Project.load("pipelines")
    assert list(project.jobs) == ["orders"]
    assert project.root == tmp_path


@pytest.mark.parametrize(
    "kept", ["made", "tuple(made)", "set(made)", "{one.name: one for one in made}", "{'shop': [[one] for one in made]}"]
)
def test_declarations_in_containers_are_found(tmp_path: Path, kept: str) -> None:
    loop = """
import ematix_core as ematix

def copied(table):
    @ematix.job(name=table, target=table, target_connection="warehouse")
    def copy():
        return f"SELECT * FROM {table}"
    return copy
"""
    write(tmp_path, pipelines=f"{loop}\nkept = (lambda made: {kept})([copied('orders'), copied('stock')])")
    assert sorted(Project.load("pipelines").jobs) == ["orders", "stock"]


def test_a_container_may_hold_itself_and_anything_else(tmp_path: Path) -> None:
    write(tmp_path, pipelines=f"{JOB.format('orders')}\nkept = [1, None, print, orders]\nkept.append(kept)")
    assert list(Project.load("pipelines").jobs) == ["orders"]


def test_a_file_is_loaded_by_its_path_and_may_import_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path / "etl", names="TARGET = 'orders'", pipelines=f"from names import TARGET\n{JOB.format('orders')}")
    project = Project.load("etl/pipelines.py")
    assert list(project.jobs) == ["orders"]
    assert project.root == tmp_path / "etl"


def test_a_package_is_loaded_with_all_its_submodules(tmp_path: Path) -> None:
    (tmp_path / "shop" / "deep").mkdir(parents=True)
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "deep" / "__init__.py").touch()
    (tmp_path / "shop" / "__main__.py").write_text("raise SystemExit('started')")
    write(tmp_path / "shop", orders=JOB.format("orders"), deep__stock=JOB.format("stock"))
    for source in ("shop", tmp_path / "shop", tmp_path / "shop" / "__init__.py"):
        assert sorted(Project.load(source).jobs) == ["orders", "stock"]
    assert Project.load("shop").root == tmp_path


def test_a_file_inside_a_package_may_import_relatively(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    write(tmp_path / "shop", orders=JOB.format("orders"), all="from .orders import orders")
    project = Project.load(tmp_path / "shop" / "all.py")
    assert list(project.jobs) == ["orders"]
    assert project.root == tmp_path


def test_a_declaration_that_two_modules_import_counts_once(tmp_path: Path) -> None:
    write(tmp_path, orders=JOB.format("orders"), nightly="from orders import orders\nalias = orders")
    assert list(Project.load("orders.py", "nightly").jobs) == ["orders"]


def test_files_of_one_name_in_two_folders_do_not_hide_each_other(tmp_path: Path) -> None:
    write(tmp_path / "a", pipelines=JOB.format("orders"))
    write(tmp_path / "b", pipelines=JOB.format("stock"))
    assert sorted(Project.load("a/pipelines.py", "b/pipelines.py").jobs) == ["orders", "stock"]


def test_a_file_may_have_the_name_of_a_library_or_no_identifier(tmp_path: Path) -> None:
    write(tmp_path, json=JOB.format("orders"))
    (tmp_path / "01-load.v2.py").write_text(JOB.format("stock"))
    assert sorted(Project.load(tmp_path / "json.py", tmp_path / "01-load.v2.py").jobs) == ["orders", "stock"]
    assert sys.modules["json"] is json


def test_two_jobs_of_one_name_are_reported_with_their_modules(tmp_path: Path) -> None:
    write(tmp_path, one=JOB.format("orders"), two=JOB.format("orders"))
    with pytest.raises(ProjectError) as caught:
        Project.load("one", "two")
    assert str(caught.value) == "two jobs are named 'orders' (one and two)"


def test_a_module_that_raises_is_reported_with_file_line_and_the_users_frames(tmp_path: Path) -> None:
    write(tmp_path, helpers="def fail():\n    return 1 / 0\n", pipelines="import helpers\n\nhelpers.fail()\n")
    with pytest.raises(ProjectError) as caught:
        Project.load("pipelines")
    assert str(caught.value) == (
        f"cannot load pipelines: ZeroDivisionError: division by zero ({tmp_path}/helpers.py, line 2)\n"
        "Traceback (most recent call last):\n"
        f'  File "{tmp_path}/pipelines.py", line 3, in <module>\n'
        "    helpers.fail()\n"
        f'  File "{tmp_path}/helpers.py", line 2, in fail\n'
        "    return 1 / 0\n"
        "           ~~^~~\n"
        "ZeroDivisionError: division by zero"
    )
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_bad_declaration_is_reported_on_the_line_that_declares_it(tmp_path: Path) -> None:
    write(tmp_path, pipelines="import ematix_core as ematix\n\nematix.merge(deletes='all')\n")
    with pytest.raises(ProjectError) as caught:
        Project.load("pipelines.py")
    assert caught.value.where == f"{tmp_path}/pipelines.py, line 3"
    assert isinstance(caught.value.__cause__, DeclarationError)
    assert "ematix_core/model" not in caught.value.traceback


def test_a_syntax_error_is_reported_with_file_and_line(tmp_path: Path) -> None:
    write(tmp_path, pipelines="x = 1\ndef broken(:\n")
    with pytest.raises(ProjectError) as caught:
        Project.load("pipelines")
    assert caught.value.where == f"{tmp_path}/pipelines.py, line 2"


def test_a_module_that_exits_while_it_is_imported_is_reported(tmp_path: Path) -> None:
    write(tmp_path, pipelines="import sys\nsys.exit(3)\n")
    with pytest.raises(ProjectError, match="cannot load pipelines: SystemExit: 3"):
        Project.load("pipelines")


def test_a_missing_module_is_told_from_a_missing_import_in_it(tmp_path: Path) -> None:
    write(tmp_path, pipelines="import no_such_library\n")
    with pytest.raises(ProjectError) as missing:
        Project.load("pipeline")
    assert str(missing.value) == (
        f"there is no module 'pipeline' ({tmp_path})\nDid you mean 'pipelines'? Known: pipelines."
    )
    with pytest.raises(ProjectError) as failing:
        Project.load("pipelines")
    assert failing.value.what == "cannot load pipelines: ModuleNotFoundError: No module named 'no_such_library'"


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"there is no module at .*/nope\.py"):
        Project.load(tmp_path / "nope.py")


def test_nothing_to_load_is_an_error() -> None:
    with pytest.raises(ProjectError, match="there is nothing to load"):
        Project.load()


def own(*modules: str) -> list[str]:
    before = set(sys.modules)
    for module in modules:
        list(load(module))
    return own_files(modules, before)


def test_own_files_are_those_that_were_imported_and_the_folders_of_packages(tmp_path: Path) -> None:
    write(tmp_path, shop__jobs="import rules, json, xml.dom", rules="import ematix_core.engine.order", other="")
    write(tmp_path, shop__deep__more="")
    for folder in ("shop", "shop/deep"):
        (tmp_path / folder / "__init__.py").touch()
    found = ["rules.py", "shop", "shop/__init__.py", "shop/deep", "shop/deep/__init__.py", "shop/deep/more.py"]
    assert own("shop") == [str(tmp_path / name) for name in [*found, "shop/jobs.py"]]


def test_own_files_of_a_folder_without_init_are_known_too(tmp_path: Path) -> None:
    write(tmp_path, loose__jobs="")
    assert own("loose") == [str(tmp_path / "loose"), str(tmp_path / "loose" / "jobs.py")]


def test_of_what_is_installed_only_the_project_itself_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "lib" / "site-packages"
    write(packages, shipped="import library", library="")
    write(tmp_path, mine="import library")
    monkeypatch.syspath_prepend(packages)
    assert own("mine") == [str(tmp_path / "mine.py")]
    assert own("shipped") == [str(packages / "shipped.py")]


def test_a_project_below_the_prefix_of_python_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))  # as where AIRFLOW_HOME is /usr/local/airflow
    write(tmp_path, airflow__dags__jobs="")
    assert own("airflow/dags/jobs.py") == [str(tmp_path / "airflow" / "dags" / "jobs.py")]


def test_a_refused_declaration_is_told_with_the_line_that_makes_it(tmp_path: Path) -> None:
    (tmp_path / "pipelines.py").write_text(
        "import ematix_core as ematix\n"
        "files = ematix.ObjectStoreConnection('files', path='in')\n"
        "ematix.stream('x', source=files, source_query='*', target=files, target_table='t', format='protobuff')\n",
        encoding="utf-8",
    )
    with pytest.raises(ProjectError, match="unknown format 'protobuff'") as caught:
        Project.load(tmp_path / "pipelines.py")
    assert f"{tmp_path}/pipelines.py, line 3" in str(caught.value)
