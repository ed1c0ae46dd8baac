"""Which place a path is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends.storage.local import LocalFolder

if TYPE_CHECKING:
    from ematix_core.backends.storage.access import Access
    from ematix_core.backends.storage.folder import Folder


def folder_of(path: str, access: Access | None) -> Folder:
    """Return the place; `access` is that of an object store. Raises MissingDriverError when its client is missing."""
    if access is None:
        return LocalFolder(path)
    from ematix_core.backends.storage.remote import RemoteFolder

    return RemoteFolder(access)
