"""The store on a SQL database: `SchedulerStore` in portable SQLAlchemy Core, put together from its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from ematix_core.store.consumers import Consumers
from ematix_core.store.control import Control
from ematix_core.store.event_log import EventLog
from ematix_core.store.history import History
from ematix_core.store.leases import Leases
from ematix_core.store.pruning import Pruning
from ematix_core.store.run_records import RunRecords

if TYPE_CHECKING:
    from types import TracebackType


class SqlStore(RunRecords, Control, Consumers, History, EventLog, Leases, Pruning):
    """Implements `SchedulerStore`."""

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
