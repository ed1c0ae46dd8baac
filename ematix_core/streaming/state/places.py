"""Where segments are kept: below a folder, in an object store, or in a table of a PostgreSQL database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ematix_core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ematix_core.backends.storage.folder import Folder
    from ematix_core.engine.environment import Environment
    from ematix_core.model.job import Target
    from ematix_core.model.stream import Stream


class Place(Protocol):
    """Keeps the segments of one stream's target by name. What is kept has survived when a method returns."""

    @property
    def shown(self) -> str:
        """Where it is, for people."""
        ...

    def names(self) -> list[str]:
        """Return the names of all that is kept, in order."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return one; None when it is not there."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Keep one, in place of one with the same name."""
        ...

    def remove(self, names: Iterable[str]) -> None:
        """Forget them; those that are not there are no error."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...


def open_place(env: Environment, stream: Stream, target: Target) -> Place:
    """Open where the target's state is kept: the stream's `state=`, else a folder beside the store's default file.

    Raises UnsupportedError for a connection of a kind that keeps none.
    """
    # With the connection: targets of one name in two databases are each at a place of their own.
    scope = f"{stream.name}:{target.connection_name}:{target.name}"
    if stream.state is None:
        from ematix_core.backends.storage.local import LocalFolder

        return FolderPlace(LocalFolder(env.settings.directory / ".ematix" / "state"), scope)
    connection = env.connection(stream.state)
    if connection.kind == "postgres":
        from ematix_core.store.state_table import StateTable

        return StateTable(str(connection.settings().get("url") or ""), scope)
    if connection.kind != "objects":
        raise UnsupportedError(
            f"connection {connection.name} ({connection.kind}) keeps no state", where=f"stream {stream.name}",
            hint="state= takes a folder or prefix (ObjectStoreConnection), or a PostgresConnection.",
        )  # fmt: skip
    from ematix_core.backends.objects.settings import settings_of

    return FolderPlace(settings_of(connection).folder(), scope)


class FolderPlace:
    """Implements `Place` with a file each."""

    def __init__(self, folder: Folder, scope: str) -> None:
        self._folder, self._below = folder, scope

    @property
    def shown(self) -> str:
        return f"{self._folder.shown.rstrip('/')}/{self._below}"

    def names(self) -> list[str]:
        return self._folder.names(self._below)

    def read(self, name: str) -> bytes | None:
        return self._folder.read(f"{self._below}/{name}")

    def write(self, name: str, content: bytes) -> None:
        self._folder.make_folder(self._below)
        self._folder.put(f"{self._below}/{name}", content)
        self._folder.sync([f"{self._below}/{name}"])

    def remove(self, names: Iterable[str]) -> None:
        self._folder.remove(f"{self._below}/{name}" for name in names)

    def close(self) -> None:
        """Do nothing: there is nothing open."""
