"""`import ematix_core` is cheap, complete, and one namespace under each of its names."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import ematix_core

HEAVY = ("pyarrow", "duckdb", "sqlglot", "sqlalchemy", "polars", "pandas", "cronsim", "zoneinfo", "adbc_driver_manager")


def modules_after(statement: str) -> set[str]:
    command = [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_importing_ematix_core_loads_nothing_but_itself() -> None:
    loaded = {name for name in modules_after("import ematix_core") if name.startswith("ematix_core")}
    assert loaded == {"ematix_core"}


def test_declaring_a_project_loads_no_driver() -> None:
    declare = """
import ematix_core as ematix
from ematix_core.types import BigInt, Numeric
wh = ematix.DuckDBConnection("wh", path="wh.duckdb")
@ematix.table()
class Orders:
    id: BigInt
    price: Numeric[12, 2]
@ematix.job(target=Orders, target_connection=wh, checks=[ematix.expect.not_null("id")])
def orders(): return "SELECT 1"
ematix.Project.of(ematix.workflow("nightly", jobs=[orders], on_message=ematix.inbox("in", connection=wh)))
"""
    assert not modules_after(declare) & set(HEAVY)


def test_ematix_is_the_same_namespace() -> None:
    from ematix_core import ematix

    assert ematix is ematix_core


def test_pipeline_is_another_word_for_job() -> None:
    assert ematix_core.pipeline is ematix_core.job


def test_version_is_the_one_that_is_installed() -> None:
    assert ematix_core.__version__ == version("ematix")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'ematix_core' has no attribute 'pipelin'"):
        _ = ematix_core.pipelin


def test_dir_lists_the_public_names() -> None:
    assert set(dir(ematix_core)) == {*ematix_core.__all__, "__version__"}
