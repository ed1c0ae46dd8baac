"""The component in YAML: what it makes of a project, what may be said in it, and what is refused."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from dagster import AssetKey, AssetSpec, DailyPartitionsDefinition, Definitions
from dagster.components.testing import DefsFolderSandbox, create_defs_folder_sandbox
from ematix_dagster import EmatixProject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ematix_dagster import JobAsset

pytestmark = [
    # Dagster reads its YAML by a function that pydantic has given up,
    pytest.mark.filterwarnings("ignore:`parse_obj_as` is deprecated:DeprecationWarning"),
    # and passes all that a component makes through what it calls beta: places in code, owners of sensors.
    # What we use ourselves is held to the rule by the other tests.
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning"),
]

PIPELINES = """
import ematix_core as ematix

warehouse = ematix.DuckDBConnection("warehouse", path="warehouse.duckdb")

@ematix.job(target="sales.orders", target_connection=warehouse, tags=["layer=raw"])
def orders():
    return "SELECT 1 AS n"

@ematix.job(target="report", target_connection=warehouse, depends_on=[orders])
def report():
    return "SELECT 2 AS n"

@ematix.job(target="alone", target_connection=warehouse)
def alone():
    return "SELECT 3 AS n"

nightly = ematix.workflow("nightly", jobs=[orders, report], schedule="0 2 * * *")
"""
STREAM = """
desk = ematix.ObjectStoreConnection("desk", path="desk", format="csv")
visits = ematix.stream("visits", source=desk, source_query="*.csv", target=warehouse, target_table="visits")
"""
ORDERS, REPORT, ALONE = (AssetKey(["warehouse", *key]) for key in (["sales", "orders"], ["report"], ["alone"]))


class Prefixed(EmatixProject):
    """What a user makes of it in Python."""

    def get_asset_spec(self, spec: AssetSpec, job: JobAsset) -> AssetSpec:
        """Put the mode in front of the key."""
        return super().get_asset_spec(spec, job).replace_attributes(key=spec.key.with_prefix(job.target.mode))


@pytest.fixture
def sandbox() -> Iterator[DefsFolderSandbox]:
    with create_defs_folder_sandbox() as one:
        yield one


@contextmanager
def loaded(
    sandbox: DefsFolderSandbox,
    kind: type[EmatixProject] = EmatixProject,
    text: str = PIPELINES,
    **attributes: Any,  # noqa: ANN401 - what YAML can say
) -> Iterator[Definitions]:
    """Yield the definitions of a component whose YAML says this, with the project beside it."""
    contents = {
        "type": f"{kind.__module__}.{kind.__qualname__}", "attributes": {"module": "pipelines.py", **attributes},
    }  # fmt: skip
    path = sandbox.scaffold_component(EmatixProject, defs_path="shop", defs_yaml_contents=contents)
    project = path / attributes.get("directory", ".") / "pipelines.py"
    project.parent.mkdir(parents=True, exist_ok=True)
    project.write_text(text)
    with sandbox.load_component_and_build_defs(path) as (_, definitions):
        yield definitions


def specs(definitions: Definitions) -> dict[AssetKey, AssetSpec]:
    return {spec.key: spec for spec in definitions.resolve_all_asset_specs()}


def message(error: pytest.ExceptionInfo[BaseException]) -> str:
    """Return the texts of an error and of what caused it."""
    found: list[str] = []
    one: BaseException | None = error.value
    while one is not None:
        found.append(str(one))
        one = one.__cause__ or one.__context__
    return "\n".join(found)


def test_a_component_makes_of_a_project_what_to_definitions_makes(sandbox: DefsFolderSandbox) -> None:
    with loaded(sandbox) as definitions:
        assert set(specs(definitions)) == {ORDERS, REPORT, ALONE}
        assert specs(definitions)[REPORT].group_name == "nightly"
        assert [sensor.name for sensor in definitions.sensors or ()] == ["ematix_triggers"]
        assert definitions.resolve_job_def("nightly").name == "nightly"


def test_streams_are_in_it_and_their_runs_go_as_it_says(sandbox: DefsFolderSandbox) -> None:
    with loaded(sandbox, text=PIPELINES + STREAM, streams={"seconds": 5}) as definitions:
        assert AssetKey(["warehouse", "visits"]) in specs(definitions)
        assert {sensor.name for sensor in definitions.sensors or ()} == {"ematix_triggers", "ematix_streams"}
        config = definitions.resolve_job_def("visits_job").run_config
    assert config is not None
    assert config["ops"] == {"visits": {"config": {"seconds": 5.0, "until_idle": False, "report_seconds": 60.0}}}


def test_a_directory_counts_from_the_folder_of_the_yaml(sandbox: DefsFolderSandbox) -> None:
    with loaded(sandbox, directory="../../pipelines") as definitions:
        assert ORDERS in specs(definitions)


def test_translation_is_put_over_what_the_translator_says(sandbox: DefsFolderSandbox) -> None:
    translation = {
        "key": "lake/{{ target.name }}",
        "group_name": "{{ workflow or 'single' }}_tables",
        "description": "Loaded by {{ job.name }}, {{ target.mode }}.",
        "tags": {"owner": "{{ spec.key.path[0] }}"},
        "kinds": ["table"],
        "owners": ["team:data"],
    }
    with loaded(sandbox, translation=translation) as definitions:
        found = specs(definitions)
    orders = found[AssetKey(["lake", "sales.orders"])]
    assert (orders.group_name, orders.description) == ("nightly_tables", "Loaded by orders, append.")
    assert orders.tags == {"layer": "raw", "owner": "warehouse", "dagster/kind/table": ""}
    assert list(orders.owners) == ["team:data"]
    assert found[AssetKey(["lake", "alone"])].group_name == "single_tables"
    assert [dep.asset_key for dep in found[AssetKey(["lake", "report"])].deps] == [orders.key]


def test_overrides_hold_for_their_workflow_or_job_only(sandbox: DefsFolderSandbox) -> None:
    workflows = {
        "nightly": {"group": "finance", "tags": {"cost": "low"}},
        "alone": {"partitions": "{{ dg.DailyPartitionsDefinition(start_date='2026-01-01') }}"},
    }
    with loaded(sandbox, workflows=workflows) as definitions:
        found = specs(definitions)
    assert (found[ORDERS].group_name, found[ORDERS].tags["cost"], found[ORDERS].tags["layer"]) == (
        "finance", "low", "raw",
    )  # fmt: skip
    assert (found[REPORT].partitions_def, found[ALONE].partitions_def) == (
        None,
        DailyPartitionsDefinition("2026-01-01"),
    )
    assert "cost" not in found[ALONE].tags


def test_a_subclass_says_in_python_what_becomes_of_an_asset(sandbox: DefsFolderSandbox) -> None:
    with loaded(sandbox, Prefixed) as definitions:
        assert ORDERS.with_prefix("append") in specs(definitions)


def test_an_override_of_an_unknown_workflow_is_refused_with_the_nearest_one(sandbox: DefsFolderSandbox) -> None:
    with pytest.raises(Exception, match=r".") as error, loaded(sandbox, workflows={"nihgtly": {"group": "finance"}}):
        pass
    assert "unknown workflow 'nihgtly'" in message(error)
    assert "Did you mean 'nightly'?" in message(error)


def test_a_translation_that_gives_two_tables_one_key_is_refused(sandbox: DefsFolderSandbox) -> None:
    with pytest.raises(Exception, match=r".") as error, loaded(sandbox, translation={"key": "same"}):
        pass
    assert "3 tables the key same" in message(error)


def test_a_module_that_is_not_there_is_named(sandbox: DefsFolderSandbox) -> None:
    with pytest.raises(Exception, match=r".") as error, loaded(sandbox, module="no_such_pipelines.py"):
        pass
    assert "no_such_pipelines.py" in message(error)


def test_the_component_is_made_in_python_too(tmp_path: Path) -> None:
    (tmp_path / "pipelines.py").write_text(PIPELINES)
    component = EmatixProject.from_attributes_dict(attributes={"module": "pipelines.py", "directory": str(tmp_path)})
    assert component == EmatixProject(module="pipelines.py", directory=str(tmp_path))


def test_a_starter_is_written_when_no_module_is_named_and_only_then(sandbox: DefsFolderSandbox) -> None:
    begun = sandbox.scaffold_component(EmatixProject, defs_path="begun")
    assert (begun / "pipelines.py").exists()
    (begun / "pipelines.py").write_text(PIPELINES)
    sandbox.scaffold_component(EmatixProject, defs_path="begun")
    assert (begun / "pipelines.py").read_text() == PIPELINES, "a project that is there is left alone"
    named = sandbox.scaffold_component(EmatixProject, defs_path="named", scaffold_params={"module": "shop.pipelines"})
    assert sorted(file.name for file in named.iterdir()) == ["defs.yaml"]
    with sandbox.load_component_and_build_defs(begun) as (component, _):
        assert isinstance(component, EmatixProject)
        assert component.module == "pipelines.py"
