"""What Airflow is told of the provider: https://airflow.apache.org/docs/apache-airflow-providers/howto/create-custom-providers.html.

Plain data, as every process of Airflow reads it when it starts. `conn-fields` and `ui-field-behaviour` are the form of
the connection; older versions of Airflow than 3.2 ask the hook's class for it.
"""

from __future__ import annotations

from typing import Any

_INTEGRATION = "ematix"

CONNECTION_FIELDS: dict[str, dict[str, Any]] = {
    "store": {
        "label": "Store (URL)",
        "description": "Where runs are recorded: postgresql://user:${STORE_PASSWORD}@host/ematix. Empty: made of host, "
        "login, password and schema below; these empty, too: what EMATIX_STORE or ematix.toml says.",
        "schema": {"type": ["string", "null"], "default": None},
    },
    "database": {
        "label": "Kind of the store's database",
        "description": "What the host is, when the store has no URL.",
        "schema": {"type": ["string", "null"], "enum": ["postgresql", "mysql", None], "default": None},
    },
    "directory": {
        "label": "Directory",
        "description": "The folder of the project: its modules and ematix.toml. Empty: that of the DAG's file.",
        "schema": {"type": ["string", "null"], "default": None},
    },
    "modules": {
        "label": "Modules",
        "description": "The project's modules, separated by commas. Empty: what [project] in ematix.toml says.",
        "schema": {"type": ["string", "null"], "default": None},
    },
    "web_url": {
        "label": "Web address",
        "description": "Where ematix's pages are; tasks link to their run there. Empty: no link.",
        "schema": {"type": ["string", "null"], "default": None},
    },
    "url": {
        "label": "Data connection (URL)",
        "description": "Makes this a connection of jobs instead: duckdb:////data/sales.duckdb, file:///landing, ...",
        "schema": {"type": ["string", "null"], "default": None},
    },
}
FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["extra"],
    "relabeling": {"host": "Store: host", "login": "Store: user", "schema": "Store: database", "port": "Store: port"},
    "placeholders": {"host": "db.example.com", "schema": "ematix", "port": "5432"},
}


def _named(*modules: str) -> list[dict[str, Any]]:
    return [{"integration-name": _INTEGRATION, "python-modules": [f"ematix_provider.{module}" for module in modules]}]


INFO: dict[str, Any] = {
    "package-name": "ematix",
    "name": "ematix",
    "description": "Moves and shapes data: jobs and workflows that are declared once, run by Airflow.",
    "integrations": [{"integration-name": _INTEGRATION, "tags": ["software"]}],
    "connection-types": [
        {
            "connection-type": "ematix",
            "hook-class-name": "ematix_provider.hooks.EmatixHook",
            "hook-name": "ematix",
            "conn-fields": CONNECTION_FIELDS,
            "ui-field-behaviour": FIELD_BEHAVIOUR,
        }
    ],
    "hooks": _named("hooks"),
    "operators": _named(
        "operators.close", "operators.gate", "operators.job", "operators.move", "operators.stream", "operators.workflow"
    ),
    "sensors": _named("sensors"),
    "triggers": _named("triggers", "messages", "streams"),
    "extra-links": ["ematix_provider.links.EmatixRunLink", "ematix_provider.links.EmatixStreamLink"],
    "queues": ["ematix_provider.messages.EmatixMessageQueueProvider"],
    "asset-uris": [
        {
            "schemes": ["ematix"],
            "handler": "ematix_provider.assets.sanitize_uri",
            "factory": "ematix_provider.assets.create_asset",
        }
    ],
}
