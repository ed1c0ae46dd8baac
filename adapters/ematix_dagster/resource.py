"""Where the store and the connections are, for every asset and sensor of a code location."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dagster import ConfigurableResource
from pydantic import Field

if TYPE_CHECKING:
    from ematix_core.orchestration import Site
    from ematix_dagster.source import Source


class EmatixResource(ConfigurableResource[None]):
    """The resource `ematix`. Whatever is left empty, `ematix.toml` and the environment say.

    `store`: URL of the control store. `directory`: the project's folder, default the one in which the code location
    found it. `connections`: name -> URL, looked up after the project's own. `web_url`: where the pages of `flow web`
    are, for links to runs.
    """

    store: str = ""
    directory: str = ""
    connections: dict[str, str] = Field(default_factory=dict)
    web_url: str = ""

    def site(self, source: Source) -> Site:
        """Return where a process finds the project, settings and store. Raises ConfigError for what is no URL."""
        from ematix_core.orchestration import Site, connection_from_url

        return Site(
            modules=source.modules,
            directory=str(Path(source.directory, self.directory)),
            store=self.store,
            connections={
                name: connection_from_url(name, url, where=f"resource ematix, connections[{name!r}]")
                for name, url in self.connections.items()
            },
        )

    def run_url(self, run_id: str) -> str:
        """Return the address of a run's page; empty when `web_url` does not say where the pages are."""
        return f"{self.web_url.rstrip('/')}/runs/{run_id}" if self.web_url else ""
