"""What a code location has of a project: assets, their order, jobs, a sensor; what is refused, with the remedy."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dagster import (
    AssetDep,
    AssetKey,
    AssetSpec,
    CodeReferencesMetadataValue,
    DailyPartitionsDefinition,
    DefaultSensorStatus,
    Definitions,
    HourlyPartitionsDefinition,
    LocalFileCodeReference,
    MultiPartitionsDefinition,
    StaticPartitionsDefinition,
    asset,
    define_asset_job,
)
from ematix_dagster import EmatixResource, EmatixTranslator, JobAsset, ematix_assets, to_definitions

from ematix_core.errors import ProjectError
from tests.adapters.dagster.shop import write

if TYPE_CHECKING:
    from collections.abc import Callable

ADAPTER = Path(__file__).parents[3] / "adapters" / "ematix_dagster"
DAILY = DailyPartitionsDefinition("2026-01-01")
NUMBERS = AssetKey(["warehouse", "analytics", "numbers"])

HEAD = """
import ematix_core as ematix

lake = ematix.SQLiteConnection("lake", path="lake.db")
job = ematix.job
"""


def specs_of(definitions: Definitions) -> dict[str, AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


def upstream(folder: Path, body: str) -> dict[str, set[str]]:
    """Return the keys that each asset of a project comes after, by its table."""
    write(folder, "pipelines", HEAD + body)
    specs = specs_of(to_definitions("pipelines", directory=folder))
    return {key.removeprefix("lake/"): {dep.asset_key.path[-1] for dep in one.deps} for key, one in specs.items()}


def test_each_table_that_a_job_loads_is_an_asset(folder: Path) -> None:
    specs = specs_of(to_definitions("shop", directory=folder))

    assert sorted(specs) == [
        "lake/alone", "lake/copies", "warehouse/analytics/numbers", "warehouse/copies", "warehouse/doubled",
    ]  # fmt: skip
    numbers = specs["warehouse/analytics/numbers"]
    assert (numbers.group_name, numbers.kinds, list(numbers.owners)) == ("nightly", {"duckdb"}, ["ann@example.com"])
    assert (numbers.tags["layer"], numbers.tags["nightly"]) == ("gold", "")
    assert (numbers.description or "").startswith("Numbers, each with its word.")
    assert numbers.freshness_policy is not None
    assert [column.name for column in numbers.metadata["dagster/column_schema"].columns] == ["n", "word"]
    assert (specs["lake/alone"].group_name, specs["lake/alone"].freshness_policy) == ("default", None)


def test_the_catalog_leads_to_the_code(folder: Path) -> None:
    found = specs_of(to_definitions("shop", directory=folder))["warehouse/doubled"].metadata["dagster/code_references"]

    assert isinstance(found, CodeReferencesMetadataValue)
    (code,) = found.code_references
    assert isinstance(code, LocalFileCodeReference)
    assert code.line_number is not None
    assert (Path(code.file_path), code.label) == (folder / "shop.py", "doubled")
    assert (
        Path(code.file_path).read_text().splitlines()[code.line_number - 1].startswith('@ematix.job(target="doubled"')
    )


def test_each_workflow_is_a_job_and_one_sensor_starts_them(folder: Path) -> None:
    definitions = to_definitions("shop", directory=folder, sensor_status=DefaultSensorStatus.STOPPED, interval=5)

    Definitions.validate_loadable(definitions)
    jobs = {name: definitions.resolve_job_def(name) for name in ("nightly", "after")}
    assert {key.to_user_string() for key in jobs["nightly"].asset_layer.executable_asset_keys} == {
        "warehouse/analytics/numbers", "warehouse/doubled",
    }  # fmt: skip
    sensor = definitions.resolve_sensor_def("ematix_triggers")
    assert (sensor.minimum_interval_seconds, sensor.default_status) == (5, DefaultSensorStatus.STOPPED)
    assert to_definitions("shop", directory=folder).resolve_sensor_def("ematix_triggers").default_status is (
        DefaultSensorStatus.RUNNING
    )


def test_a_step_has_its_jobs_retries_pool_and_priority(folder: Path) -> None:
    (numbers, _) = ematix_assets("nightly", "shop", directory=folder)

    step = numbers.op
    assert step.retry_policy is not None
    assert (step.name, step.pool, step.tags["dagster/priority"]) == ("numbers", "small", "2")
    assert (step.retry_policy.max_retries, step.retry_policy.delay) == (2, 0.05)
    checks = {check.name: check.blocking for check in numbers.check_specs}
    assert checks == {"not_null_word": False, "between_n": True}


def test_no_module_of_the_project_is_imported(folder: Path) -> None:
    to_definitions("shop", directory=folder)
    (folder / "shop.py").write_text("raise SystemExit")

    with pytest.raises(ProjectError, match="is stale"):
        to_definitions("shop", directory=folder, recompile="never")
    assert "shop" not in sys.modules


def test_an_imported_workflow_knows_its_module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder))
    shop = importlib.import_module("shop")

    assert [one.op.name for one in ematix_assets(shop.nightly, directory=folder)] == ["numbers", "doubled"]


def test_jobs_come_after_those_that_they_depend_on_and_whose_tables_they_read(folder: Path) -> None:
    found = upstream(
        folder,
        """
@job(target="a", target_connection=lake)
def one(): return "SELECT 1 AS n"

@job(target="b", target_connection=lake, depends_on=[one])
def two(): return "SELECT 2 AS n"

@job(target="c", target_connection=lake)
def three(): return "SELECT n FROM b"
""",
    )
    assert found == {"a": set(), "b": {"a"}, "c": {"b"}}


def test_a_table_orders_no_jobs_of_one_workflow_that_ematix_runs_at_once(folder: Path) -> None:
    found = upstream(
        folder,
        """
@job(target="a", target_connection=lake)
def one(): return "SELECT 1 AS n"

@job(target="b", target_connection=lake)
def beside(): return "SELECT n FROM a"

@job(target="c", target_connection=lake, depends_on=[one])
def middle(): return "SELECT 2 AS n"

@job(target="d", target_connection=lake, depends_on=[middle])
def later(): return "SELECT n FROM a"

flow = ematix.workflow("flow", jobs=[one, beside, middle, later], schedule="0 2 * * *")
""",
    )
    assert found == {"a": set(), "b": set(), "c": {"a"}, "d": {"a", "c"}}


def test_tables_that_jobs_read_of_each_other_make_no_circle(folder: Path) -> None:
    found = upstream(
        folder,
        """
@job(target="a", target_connection=lake)
def one(): return "SELECT n FROM b UNION SELECT n FROM a"

@job(target="b", target_connection=lake)
def two(): return "SELECT n FROM a"
""",
    )
    assert found in ({"a": set(), "b": {"a"}}, {"a": {"b"}, "b": set()})


def test_jobs_that_load_one_table_are_two_assets(folder: Path) -> None:
    write(
        folder,
        "pipelines",
        HEAD
        + """
@job(target="s.a", target_connection=lake)
def one(): return "SELECT 1 AS n"

@job(target="s.a", target_connection=lake)
def two(): return "SELECT 2 AS n"
""",
    )
    assert sorted(specs_of(to_definitions("pipelines", directory=folder))) == ["lake/s/a/one", "lake/s/a/two"]


class Renaming(EmatixTranslator):
    """Puts keys under `shop`, and shows the tables from outside."""

    def get_asset_spec(self, job: JobAsset) -> AssetSpec:
        spec = super().get_asset_spec(job)
        return spec.replace_attributes(key=spec.key.with_prefix("shop"), deps=[AssetDep(key) for key in job.outside])


def test_a_translator_says_the_keys_that_dependencies_go_by(folder: Path) -> None:
    definitions = to_definitions("shop", directory=folder, translator=Renaming())

    specs = specs_of(definitions)
    assert {dep.asset_key for dep in specs["shop/warehouse/doubled"].deps} == {NUMBERS.with_prefix("shop")}
    assert {dep.asset_key for dep in specs["shop/lake/alone"].deps} == {
        AssetKey(["warehouse", "elsewhere", "measures"])
    }
    Definitions.validate_loadable(definitions)


def test_definitions_of_ones_own_live_beside(folder: Path) -> None:
    @asset(deps=[NUMBERS])
    def mine() -> None: ...

    definitions = to_definitions("shop", directory=folder, others=Definitions(assets=[mine]))

    Definitions.validate_loadable(definitions)
    assert specs_of(definitions)["mine"].key == AssetKey("mine")


class Same(EmatixTranslator):
    def get_asset_spec(self, job: JobAsset) -> AssetSpec:
        return super().get_asset_spec(job).replace_attributes(key="same")


class Nothing(EmatixTranslator):
    def get_asset_spec(self, job: JobAsset) -> AssetSpec:  # noqa: ARG002 - the method's signature
        return None  # type: ignore[return-value]  # a slip of the user's


class Uneven(EmatixTranslator):
    def get_asset_spec(self, job: JobAsset) -> AssetSpec:
        daily = DAILY if job.target.connection == "lake" else None
        return super().get_asset_spec(job).replace_attributes(partitions_def=daily)


def clash(folder: Path) -> object:
    others = Definitions(assets=[AssetSpec(NUMBERS)])
    return to_definitions("shop", directory=folder, others=others)


def same_job(folder: Path) -> object:
    @asset
    def mine() -> None: ...

    return to_definitions(
        "shop", directory=folder, others=Definitions(assets=[mine], jobs=[define_asset_job("nightly")])
    )


@pytest.mark.parametrize(
    ("make", "what", "remedy"),
    [
        (clash, "the asset warehouse/analytics/numbers is there already", "Rename one of them; ours by a translator"),
        (same_job, "the job nightly is there already", "Rename one of them"),
        (lambda at: to_definitions("shpo", directory=at), "shpo", ""),
        (lambda at: ematix_assets("nihgtly", "shop", directory=at), "unknown workflow 'nihgtly'", "nightly"),
        (lambda _: ematix_assets("nightly"), "where is 'nightly'", "ematix_assets('nightly', 'my_pipelines')"),
        (
            lambda at: to_definitions("shop", directory=at, translator=Same()),
            "the translator gives 5 tables the key same (jobs alone, copies, doubled, numbers)",
            "a key of its own",
        ),
        (lambda at: to_definitions("shop", directory=at, translator=Nothing()), "has returned None", "an AssetSpec"),
        (
            lambda at: to_definitions("shop", directory=at, translator=Uneven()),
            "the targets of one job have different partitions (job copies)",
            "give them the same",
        ),
        (
            lambda at: to_definitions(
                "shop",
                directory=at,
                partitions={
                    "numbers": MultiPartitionsDefinition(
                        {"day": DAILY, "shop": StaticPartitionsDefinition(["a"])}
                    )
                },
            ),
            "a MultiPartitionsDefinition is no slice of a job's data (partitions of numbers)",
            "Time windows (daily, hourly, ...) become :slice_start and :slice_end",
        ),
        (
            lambda at: to_definitions("shop", directory=at, partitions={"nihgtly": DAILY}),
            "partitions of 'nihgtly': no workflow or job",
            "nightly",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_when_the_code_location_loads(
    folder: Path, make: Callable[[Path], object], what: str, remedy: str
) -> None:
    with pytest.raises(ProjectError) as caught:
        make(folder)
    assert what in str(caught.value)
    assert remedy in str(caught.value)


def test_a_broken_project_is_told_with_all_its_problems(folder: Path) -> None:
    write(
        folder,
        "pipelines",
        HEAD
        + """
@job(target="a", target_connection="nowhere", depends_on=["missing"])
def one(): return "SELECT 1 AS n"

flow = ematix.workflow("flow", jobs=[one], triggered_by=["nobody"])
""",
    )
    with pytest.raises(ProjectError) as caught:
        to_definitions("pipelines", directory=folder)
    assert "missing" in str(caught.value)
    assert "nobody" in str(caught.value)


def test_names_that_are_one_in_dagster_are_refused(folder: Path) -> None:
    write(
        folder,
        "pipelines",
        HEAD
        + """
one = job(name="a-b", target="a", target_connection=lake)(lambda: "SELECT 1 AS n")
two = job(name="a_b", target="b", target_connection=lake)(lambda: "SELECT 1 AS n")
""",
    )
    with pytest.raises(ProjectError, match="'a-b' and 'a_b' would be the same step in Dagster, 'a_b'"):
        to_definitions("pipelines", directory=folder)


def test_a_job_has_its_own_partitions_before_those_of_its_workflow(folder: Path) -> None:
    hourly = HourlyPartitionsDefinition("2026-01-01-00:00")
    specs = specs_of(to_definitions("shop", directory=folder, partitions={"nightly": DAILY, "doubled": hourly}))

    assert specs["warehouse/doubled"].partitions_def == hourly
    assert specs["warehouse/analytics/numbers"].partitions_def == DAILY
    assert specs["lake/copies"].partitions_def is None


def test_the_resource_says_where_the_store_and_the_connections_are(folder: Path) -> None:
    from ematix_dagster.source import read

    resource = EmatixResource(
        store="memory:", directory="below", connections={"crm": "sqlite:///crm.db"}, web_url="https://ematix.example/"
    )
    site = resource.site(read("shop", directory=folder))
    assert (site.store, site.directory, site.modules) == ("memory:", str(folder / "below"), ("shop",))
    assert site.connections["crm"].kind == "sqlite"
    assert resource.run_url("r1") == "https://ematix.example/runs/r1"
    assert EmatixResource().run_url("r1") == ""


def test_only_public_modules_of_dagster_are_imported() -> None:
    public = {"dagster", "dagster.components"}
    for file in ADAPTER.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            foreign = [name for name in names if name.split(".")[0].startswith("dagster") and name not in public]
            assert not foreign, f"{file.name} imports {foreign}"
