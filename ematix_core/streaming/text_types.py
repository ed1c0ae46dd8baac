"""The types by which text of a stream is read, files and JSON: those that its columns have where they go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.engine.target_types import target_types
from ematix_core.errors import UnsupportedError
from ematix_core.query.local import hands_on
from ematix_core.sql.widening import widens
from ematix_core.types import Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ematix_core.backends.protocols import WantedType
    from ematix_core.codecs.protocols import ReadAs
    from ematix_core.model.job import Target
    from ematix_core.model.stream import Stream
    from ematix_core.sql.dialect import Dialect
    from ematix_core.streaming.landing import Landing
    from ematix_core.types import ColumnType

_WITHOUT_JSON = frozenset({"bytes", "duration", "interval"})
"""Kinds of types whose values have several forms in JSON, or none."""


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


def read_as(types: Mapping[str, WantedType], dialect: Dialect) -> ReadAs:
    """Return what tells as which type a field of JSON is read: that of its column, unless drift takes the one found."""

    def tell(name: str, found: type[ColumnType]) -> type[ColumnType]:
        wanted = types.get(name)
        if wanted is None or _is_taken(name, found, wanted, dialect) or not _has_place(found, wanted.type):
            return found
        return wanted.type

    return tell


def _is_taken(name: str, found: type[ColumnType], wanted: WantedType, dialect: Dialect) -> bool:
    """Say whether a table's column takes values of the type as they are, or would be widened for them."""
    if found is Unknown or widens(found, wanted.type) or (wanted.evolves and widens(wanted.type, found)):
        return True
    try:
        own = {dialect.sql_type(found, column=name), dialect.key_type(found, column=name)}
    except UnsupportedError:  # objects, where the database has none
        return False
    return dialect.sql_type(wanted.type, column=name) in own


def _has_place(found: type[ColumnType], wanted: type[ColumnType]) -> bool:
    """Say whether values of the type have a form in JSON, and each field of the objects found has a place in them."""
    if wanted.kind in _WITHOUT_JSON:
        return False
    if found.kind == wanted.kind == "array":
        return _has_place(found.parameters["item"], wanted.parameters["item"])
    if found.kind == wanted.kind == "struct":
        places = dict(wanted.parameters["fields"])
        return all(name in places and _has_place(kind, places[name]) for name, kind in found.parameters["fields"])
    return True
