"""By which type a column of text is read: the one that a sample of the files looks like, or the target's."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ematix_core.backends.objects.dialect import DIALECT
from ematix_core.backends.objects.guards import pattern_of
from ematix_core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.backends.protocols import WantedType

_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT")
_FRACTIONS = ("FLOAT", "DOUBLE")
_NUMBERS = frozenset({*_WHOLE, *_FRACTIONS})
_COARSE = frozenset({"TIMESTAMP_S", "TIMESTAMP_MS"})
_DAYS = frozenset({"DATE", "TIMESTAMP"})
_INSTANTS = frozenset({"TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE"})
_SCALARS = frozenset({"BOOLEAN", "BIGNUM", "UHUGEINT", "TIME", "UUID", "VARCHAR"}).union(
    _NUMBERS, _DAYS, _COARSE, _INSTANTS
)
_DECIMAL = re.compile(r"DECIMAL\(.*\)")


@dataclass(frozen=True)
class Reading:
    """How the columns of one read are to be read where the target has types for them.

    `kinds`: those types by column, in DuckDB's words. `exact`: of these no value may be rounded. `evolving`: the
    target follows the rows, so that its type counts only where it holds more.
    """

    kinds: tuple[tuple[str, str], ...] = ()
    exact: frozenset[str] = frozenset()
    evolving: frozenset[str] = frozenset()

    @classmethod
    def of(cls, wanted: Mapping[str, WantedType]) -> Reading:
        """Return how to read columns that reach a target which wants these types."""
        kinds = []
        for name, one in sorted(wanted.items()):
            with suppress(UnsupportedError):  # a type that DuckDB lacks: what is found goes through the target's cast
                kinds.append((name, DIALECT.sql_type(one.type, column=name)))
        exact = frozenset(name for name, one in wanted.items() if not one.declared)
        return cls(tuple(kinds), exact, frozenset(name for name, one in wanted.items() if one.evolves))

    def of_column(self, name: str, found: str) -> str:
        """Return the type to read a column by that a sample says is `found`.

        The target's, where each line either has a value of it or is malformed; as found, where the target's own
        conversion takes more than that, such as a timestamp at midnight for a date.
        """
        wanted = dict(self.kinds).get(name, found)
        if wanted == "JSON":  # which objects and lists are too
            return wanted
        if found not in _SCALARS | {"JSON"} or wanted == found:
            return found
        fits = _holds(wanted, found) if name in self.evolving else _reads(wanted, found, exact=name in self.exact)
        return wanted if fits else found

    def texts(self) -> dict[str, str]:
        """Return the columns that the target has as text: a folder `code=007` is no number there."""
        return {name: kind for name, kind in self.kinds if kind == "VARCHAR"}

    def guards(self, name: str, kind: str, found: str) -> bool:
        """Say whether DuckDB might bend values of a column that is read by another type than it was found to have."""
        if _DECIMAL.fullmatch(kind):
            return name in self.exact
        return kind != found and pattern_of(kind) != ""


AS_FOUND = Reading()
"""Nothing is known of where the rows go."""


def _holds(wanted: str, found: str) -> bool:
    """Say whether one type has a value for each of another one."""
    if wanted == "VARCHAR":
        return True
    if found == "DATE":
        return wanted in _DAYS | _INSTANTS
    return found == "BIGINT" and wanted in {"DOUBLE", "HUGEINT"}


def _reads(wanted: str, found: str, *, exact: bool) -> bool:
    decimal = _DECIMAL.fullmatch(wanted) is not None
    if wanted == "VARCHAR":
        return True
    if found in {"VARCHAR", "JSON"}:  # also of a column without values, or with some of several types
        return decimal or wanted in _SCALARS
    if found in _WHOLE:
        return decimal or wanted in _NUMBERS
    if found in _FRACTIONS:
        return decimal or wanted in (_NUMBERS if exact else _FRACTIONS)
    return found in _DAYS and wanted in _COARSE | (_INSTANTS if found == "TIMESTAMP" else _INSTANTS | _DAYS)
