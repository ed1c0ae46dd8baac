"""What the provider says of itself, checked by Airflow's own schemas and by what Airflow makes of it."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import airflow
import ematix_provider
import jsonschema  # type: ignore[import-untyped]  # its stubs are a package of their own
import pytest
from airflow.providers_manager import ProvidersManager
from airflow.sdk import Asset, Connection
from ematix_provider.assets import create_asset
from ematix_provider.hooks import EmatixHook
from ematix_provider.info import CONNECTION_FIELDS


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(airflow.__file__).with_name(name).read_text())
    return found


def test_the_info_is_valid_by_airflow_s_schema_and_the_form_by_that_of_providers() -> None:
    info = ematix_provider.get_provider_info()
    jsonschema.validate(info, schema("provider_info.schema.json"))
    of_providers = schema("provider.yaml.schema.json")["properties"]["connection-types"]
    jsonschema.validate(info["connection-types"], of_providers)


def test_every_module_and_class_that_the_info_names_is_there() -> None:
    info = ematix_provider.get_provider_info()
    groups = (*info["hooks"], *info["operators"], *info["sensors"], *info["triggers"])
    modules = [module for group in groups for module in group["python-modules"]]
    classes = [*info["extra-links"], *info["queues"], info["connection-types"][0]["hook-class-name"]]
    classes += [place for uris in info["asset-uris"] for place in (uris["handler"], uris["factory"])]
    for module in modules:
        import_module(module)
    for name in classes:
        module, _, attribute = name.rpartition(".")
        assert callable(getattr(import_module(module), attribute))


def test_airflow_shows_the_form_of_the_connection() -> None:
    manager = ProvidersManager()  # type: ignore[no-untyped-call]  # Airflow gives it no types
    assert manager.providers["ematix"].data["name"] == "ematix"
    widgets = manager.connection_form_widgets
    assert {f"extra__ematix__{name}" for name in CONNECTION_FIELDS} <= set(widgets)
    behaviour = manager.field_behaviours["ematix"]
    assert behaviour["hidden_fields"] == ["extra"]
    assert behaviour["relabeling"]["host"] == "Store: host"
    assert "ematix_provider.links.EmatixRunLink" in manager.extra_links_class_names
    assert "ematix_provider.messages.EmatixMessageQueueProvider" in manager.queue_class_names


def test_a_connection_of_the_type_gives_the_hook() -> None:
    hook = Connection(conn_id="runs", conn_type="ematix").get_hook()  # type: ignore[no-untyped-call]  # Airflow gives it no types
    assert isinstance(hook, EmatixHook)
    assert hook.ematix_conn_id == "runs"


@pytest.mark.parametrize(
    ("uri", "normal"),
    [
        ("ematix://workflow/nightly", "ematix://workflow/nightly"),
        ("ematix://workflow/nightly/", "ematix://workflow/nightly"),
        ("EMATIX://job/orders", "ematix://job/orders"),
        ("ematix://warehouse/analytics.orders", "ematix://warehouse/analytics.orders"),
        ("ematix://lake/silver%2Forders", "ematix://lake/silver%2Forders"),
    ],
)
def test_an_asset_of_ours_is_valid_and_normal(uri: str, normal: str) -> None:
    assert Asset(uri=uri).uri == normal


@pytest.mark.parametrize("uri", ["ematix://nightly", "ematix:///nightly", "ematix://a/b/c", "ematix://a/b?c=d"])
def test_an_asset_that_can_be_none_of_ours_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match=r"is no asset of ematix\. Write ematix://workflow/nightly"):
        Asset(uri=uri)


def test_the_factory_makes_an_asset() -> None:
    assert create_asset(kind="workflow", name="nightly").uri == "ematix://workflow/nightly"
