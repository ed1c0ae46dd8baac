"""The types by which text of a stream is read, files and JSON: those that its columns have where they go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.engine.target_types import target_types
from ematix_core.query.local import hands_on

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ematix_core.backends.protocols import WantedType
    from ematix_core.model.job import Target
    from ematix_core.model.stream import Stream
    from ematix_core.streaming.landing import Landing


def types_of_target(stream: Stream, target: Target, landing: Landing) -> Callable[[], Mapping[str, WantedType]] | None:
    """Return what tells the types of columns that reach the target untouched; None where rows are made of others."""
    if stream.keeps_state or stream.enrich or landing.by_offsets:
        return None

    def found() -> Mapping[str, WantedType]:
        taken = landing.target
        with taken.inspect() as session:
            types = target_types([(target, session, taken.dialect)])
        if not stream.transform_sql:
            return types
        return {name: types[name] for name in hands_on(stream.transform_sql, types)}

    return found
