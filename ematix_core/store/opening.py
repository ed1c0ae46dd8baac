"""Opens the store that a URL names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ematix_core.config.redact import Redactor
    from ematix_core.store.protocol import SchedulerStore


def open_store(
    url: str, *, redactor: Redactor | None = None, now: Callable[[], datetime] | None = None
) -> SchedulerStore:
    """Open the store at `url`, creating or updating its tables as needed; `memory:` is one for tests.

    References in the URL are resolved, and what the redactor knows is masked in every text that is written. `now`
    gives the time in UTC, default this machine's; leases go by the clock of the database server where there is one.
    Raises StoreError, SecretError.
    """
    from ematix_core.config.redact import Redactor
    from ematix_core.config.secrets import resolve
    from ematix_core.store.database import Database
    from ematix_core.store.part import utc_now
    from ematix_core.store.sql_store import SqlStore

    redactor = redactor or Redactor()
    url = resolve(url, redactor=redactor)
    redactor.learn_setting("url", url)
    database = Database(url)
    try:
        database.upgrade()
    except BaseException:
        database.close()
        raise
    return SqlStore(database, redactor.mask, now or utc_now)
