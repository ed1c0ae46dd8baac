"""Conformance suites and the crash harness, for our own backends and for those of third parties. Needs pytest.

```
class TestMine(SourceConformance, TargetConformance, TransactionConformance, LedgerConformance, StrategyConformance,
               TypeConformance):
    @staticmethod
    def connection(folder):  # a folder of the test's own, for systems that keep files
        return make_connection("mine", "mine", {"url": "mine://localhost"})
```
"""

from __future__ import annotations

import pytest

# Before the suites are imported: their bare asserts then say what differs, as in any test file.
pytest.register_assert_rewrite(
    "ematix_core.testing.pruning_store",
    "ematix_core.testing.scheduler_store",
    "ematix_core.testing.shared_scheduler_store",
    "ematix_core.testing.source",
    "ematix_core.testing.store",
    "ematix_core.testing.strategy",
    "ematix_core.testing.stream",
    "ematix_core.testing.target",
    "ematix_core.testing.types",
)

from ematix_core.testing.reach import Conformance, Reached  # noqa: E402 - see above
from ematix_core.testing.source import SourceConformance  # noqa: E402 - see above
from ematix_core.testing.store import StoreConformance  # noqa: E402 - see above
from ematix_core.testing.strategy import StrategyConformance  # noqa: E402 - see above
from ematix_core.testing.stream import StreamConformance  # noqa: E402 - see above
from ematix_core.testing.target import (  # noqa: E402 - see above
    LedgerConformance,
    TargetConformance,
    TransactionConformance,
)
from ematix_core.testing.types import TypeConformance  # noqa: E402 - see above

__all__ = [
    "Conformance",
    "LedgerConformance",
    "Reached",
    "SourceConformance",
    "StoreConformance",
    "StrategyConformance",
    "StreamConformance",
    "TargetConformance",
    "TransactionConformance",
    "TypeConformance",
]
