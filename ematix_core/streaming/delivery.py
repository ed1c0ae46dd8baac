"""Which delivery a source and a target make together, and why."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from ematix_core.backends import registry
from ematix_core.backends.stream_protocols import StreamQuery
from ematix_core.errors import UnsupportedError
from ematix_core.streaming.opening import open_source
from ematix_core.streaming.pairing import sides_of
from ematix_core.streaming.positions import no_transaction

if TYPE_CHECKING:
    from typing import Protocol

    from ematix_core.backends.stream_protocols import StreamSource
    from ematix_core.engine.environment import Environment
    from ematix_core.model.job import Target
    from ematix_core.model.stream import Stream

    class _Clustered(Protocol):
        def cluster_id(self) -> str: ...


@dataclass(frozen=True)
class Delivery:
    """How often a record has its effect in the target, whatever fails, and what makes it so."""

    name: str
    why: str


EFFECTIVELY_ONCE = Delivery(
    "effectively once",
    "positions are noted in the target, in the transaction of the rows before them: after a crash, a lost answer or a "
    "change of consumers, reading goes on from there",
)
_WITH_STATE = (
    f"{EFFECTIVELY_ONCE.why}; the state of open windows, or of rows that wait, is written before each of these "
    "transactions, which notes its name"
)
EXACTLY_ONCE = Delivery(
    "exactly once",
    "rows and the positions behind them are one transaction of the cluster; readers see them under read_committed",
)
AT_LEAST_ONCE = Delivery(
    "at least once",
    "source and target are two clusters: positions are committed after the rows, and a crash in between repeats those",
)


def delivery_of(env: Environment, stream: Stream, target: Target) -> Delivery:
    """Return the delivery into one target. Asks both clusters for their ids where the target is a topic."""
    connection = env.connection(target.connection or stream.source)
    if connection.kind != "kafka":
        return EFFECTIVELY_ONCE if not stream.keeps_state else replace(EFFECTIVELY_ONCE, why=_WITH_STATE)
    with closing(open_source(env, stream)) as source:
        require_positions(source, stream, target)
        clusters = _clusters(source)
    with closing(registry.stream_source(connection, StreamQuery(str(target.name)))) as written:
        together = clusters == _clusters(written)
    if stream.keeps_state and not together:
        raise no_transaction(stream.name)
    return EXACTLY_ONCE if together else AT_LEAST_ONCE


def _clusters(source: StreamSource) -> set[str]:
    return {cast("_Clustered", one).cluster_id() for one in sides_of(source)}


def require_positions(source: StreamSource, stream: Stream, target: Target) -> None:
    """Raise UnsupportedError for a source whose positions a topic cannot keep."""
    for one, read in zip(sides_of(source), stream.sides or (stream,), strict=True):
        if not hasattr(one, "cluster_id"):
            raise UnsupportedError(
                f"topic {target.name} cannot keep the positions of {read.source_query}, which is no topic: "
                "after each restart all of it would be written again",
                where=f"stream {stream.name}", hint="Load it into a table, or write the topic by a job.",
            )  # fmt: skip
