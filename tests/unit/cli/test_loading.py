"""Where the declarations come from, and the mistakes of the first hour."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ematix_core.cli.loading import load
from ematix_core.errors import ProjectError

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Flow

OTHER = "import ematix_core as ematix\n\n@ematix.job(target='t', target_connection='c')\ndef extra(): ...\n"


@pytest.mark.usefixtures("project")
def test_modules_of_the_settings_are_the_default() -> None:
    found, patterns = load(["customers"], [])
    assert (list(found.jobs), patterns) == (["customers", "orders", "revenue"], ("customers",))


@pytest.mark.parametrize("name", ["other.py", "./other.py", "other"])
def test_first_name_may_be_a_file_or_module(name: str, project: Path) -> None:
    (project / "other.py").write_text(OTHER, encoding="utf-8")
    found, patterns = load([name, "extra"], [])
    assert (list(found.jobs), patterns) == (["extra"], ("extra",))


def test_first_name_may_be_a_module_without_settings(folder: Path) -> None:
    (folder / "other.py").write_text(OTHER, encoding="utf-8")
    found, patterns = load(["other"], [])
    assert (list(found.jobs), patterns) == (["extra"], ())


def test_job_is_preferred_to_a_module_of_its_name(project: Path) -> None:
    (project / "customers.py").write_text(OTHER, encoding="utf-8")
    assert load(["customers"], [])[1] == ("customers",)


def test_module_option_replaces_the_settings_and_may_be_repeated(project: Path) -> None:
    (project / "other.py").write_text(OTHER, encoding="utf-8")
    assert list(load([], ["other"])[0].jobs) == ["extra"]
    assert list(load(["pipelines.py"], ["other"])[0].jobs) == ["extra", "customers", "orders", "revenue"]


@pytest.mark.usefixtures("folder")
def test_no_modules_says_the_three_ways_to_name_some() -> None:
    with pytest.raises(ProjectError) as caught:
        load([], [])
    assert str(caught.value) == (
        "no modules are configured\n"
        "Name a file (flow run pipelines.py), pass --module NAME, or write\n"
        '[project]\nmodules = ["pipelines"]\n'
        "into ematix.toml here. `flow init` makes a project that runs."
    )
    with pytest.raises(ProjectError, match="no modules are configured, so 'customers' is unknown"):
        load(["customers"], [])


@pytest.mark.usefixtures("folder")
def test_no_modules_names_the_command_that_was_meant(flow: Flow) -> None:
    assert "Name a file (flow dlq list pipelines.py clicks), " in flow("dlq", "list", "clicks").stderr


@pytest.mark.usefixtures("project")
def test_wrong_job_name_suggests_the_right_one(flow: Flow) -> None:
    result = flow("run", "custmers")
    assert result.exit_code == 2
    assert result.stderr == (
        "error: no job or workflow is named 'custmers'\n"
        "Did you mean 'customers'? Known: customers, nightly, orders, revenue.\n"
    )


def test_missing_file_is_named(folder: Path, flow: Flow) -> None:
    result = flow("run", "pipelnes.py", "customers")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: there is no module at {folder / 'pipelnes.py'}\n")


def test_misspelled_file_is_met_with_the_one_that_is_there(project: Path, flow: Flow) -> None:
    result = flow("run", "pipeline.py")
    assert result.exit_code == 2
    assert result.stderr == (
        f"error: there is no module at {project / 'pipeline.py'}\nDid you mean 'pipelines.py'? Known: pipelines.py.\n"
    )


def test_syntax_error_is_shown_with_its_line_and_without_our_frames(folder: Path, flow: Flow) -> None:
    (folder / "broken.py").write_text("import ematix_core\n\ndef f(:\n", encoding="utf-8")
    result = flow("list", "broken.py")
    assert result.exit_code == 2
    assert f'File "{folder / "broken.py"}", line 3' in result.stderr
    assert "ematix_core/" not in result.stderr
    assert "importlib" not in result.stderr


def test_exception_of_a_module_is_the_users_own_traceback(folder: Path, flow: Flow) -> None:
    (folder / "broken.py").write_text("def g():\n    return {}['x']\n\ng()\n", encoding="utf-8")
    result = flow("list", "broken.py")
    assert f'File "{folder / "broken.py"}", line 2, in g' in result.stderr
    assert "KeyError: 'x'" in result.stderr
    assert "ematix_core/" not in result.stderr


def test_wrong_declaration_is_shown_with_its_line_and_hint(folder: Path, flow: Flow) -> None:
    (folder / "broken.py").write_text(OTHER.replace("target='t'", "mode='mrge', target='t'"), encoding="utf-8")
    result = flow("list", "broken.py")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: unknown mode 'mrge' ({folder / 'broken.py'}, line 3, job extra)\n")
    assert "Did you mean 'merge'?" in result.stderr


def test_malformed_settings_are_named(folder: Path, flow: Flow) -> None:
    (folder / "ematix.toml").write_text("[project]\nmodule = ['x']\n", encoding="utf-8")
    result = flow("list")
    assert result.exit_code == 2
    assert "unknown key 'module'" in result.stderr
    assert "Did you mean 'modules'?" in result.stderr


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("command", ["run", "plan"])
def test_module_without_jobs_has_nothing_to_run(command: str, flow: Flow) -> None:
    Path("empty.py").write_text("", encoding="utf-8")
    result = flow(command, "empty.py")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: the modules declare no job\n")
