"""A run of changes as rows: the table's columns, what was done to each, when, and its number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ematix_core.backends.postgres.catalog import Catalog, quote
from ematix_core.backends.postgres.native import native
from ematix_core.backends.postgres.opening import begin_reading
from ematix_core.backends.postgres.replication.overlap import fresh, parts_of_keys
from ematix_core.backends.postgres.replication.tuples import DELETE, rows_of
from ematix_core.backends.postgres.replication.values import typed
from ematix_core.errors import BadRowError
from ematix_core.types import to_field

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ematix_core.backends.postgres.link import Link
    from ematix_core.backends.postgres.native import Native
    from ematix_core.backends.postgres.replication.followed import Followed
    from ematix_core.backends.postgres.replication.place import Place
    from ematix_core.backends.postgres.replication.runs import Run
    from ematix_core.backends.postgres.replication.tuples import Rows
    from ematix_core.backends.postgres.replication.wire import Relation

_OPS = pa.array(["insert", "update", "delete"])


@dataclass(frozen=True)
class _Shape:
    """A table as its changes announce it: the types of its columns, and the numbers of those of the key."""

    names: tuple[str, ...]
    natives: tuple[Native, ...]
    keys: tuple[int, ...]


class Decoding:
    """Makes rows of runs. Looks types up, and long values that the log leaves out."""

    def __init__(self, link: Link, table: Followed, where: str) -> None:
        self._link, self._table, self._where = link, table, where
        self._catalog = Catalog(link)
        self._shapes: dict[int, tuple[Relation, _Shape]] = {}

    def rows(self, run: Run, place: Place) -> pa.RecordBatch | None:
        """Return the rows of the run that come after a place; None when the snapshot has all of them already."""
        assert run.relation is not None  # noqa: S101 - pgoutput announces a table before its changes
        shape = self._shape(run.relation)
        lsn, _, at, xids = run.places()
        found = rows_of(run.messages, len(shape.names), shape.keys)
        keep = np.ones(len(found.message), bool)
        if place.parts:
            keep = fresh(
                place.parts, lsn[found.message], xids[found.message],
                lambda rows: self._parts(found.take(rows), place, shape),
            )  # fmt: skip
        if place.since is not None:
            keep &= np.maximum.accumulate(at[found.message] >= place.since)  # commits are not quite in order of time
        if not keep.all():
            found = found.take(np.flatnonzero(keep))
        texts: list[Any] = [found.texts(number) for number in range(len(shape.names))]
        found, texts = self._completed(found, texts, shape)
        if not len(found.message):
            return None
        arrays = [
            typed(text, kind, name, self._where)
            for text, kind, name in zip(texts, shape.natives, shape.names, strict=True)
        ]
        fields = [to_field(name, kind.column_type) for name, kind in zip(shape.names, shape.natives, strict=True)]
        return with_added(pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields)), place.count, {
            "_op": _OPS.take(pa.array(found.op)), "_deleted": pa.array(found.op == DELETE),
            "_event_ts": pa.array(at[found.message]).cast(pa.timestamp("us", "UTC")),
        }, self._where)  # fmt: skip

    def _shape(self, relation: Relation) -> _Shape:
        known = self._shapes.get(relation.oid)
        if known is not None and known[0] is relation:
            return known[1]
        names = tuple(attribute.name for attribute in relation.attributes)
        types = self._catalog.types(attribute.oid for attribute in relation.attributes)
        key = (
            set(self._table.key) if relation.full else {one.name for one in relation.attributes if one.key}
        )  # with the whole row as its identity, a table may have a key all the same
        shape = _Shape(
            names, tuple(native(one.oid, one.typmod, types) for one in relation.attributes),
            tuple(number for number, name in enumerate(names) if name in key),
        )  # fmt: skip
        self._shapes[relation.oid] = (relation, shape)
        return shape

    def _keys(self, rows: Rows, shape: _Shape) -> list[list[str | None]]:
        """Return the texts of the key columns, in the order of the key."""
        return [rows.texts(shape.names.index(name)).to_pylist() for name in self._table.key]

    def _parts(self, rows: Rows, place: Place, shape: _Shape) -> Any:  # noqa: ANN401 - a numpy array
        """Return in which part of the snapshot each row's key was read."""
        return parts_of_keys(self._link, place.parts, self._table.types, self._keys(rows, shape))

    def _completed(self, rows: Rows, texts: list[Any], shape: _Shape) -> tuple[Rows, list[Any]]:
        """Put in long values that the log leaves out, as they are in the table now.

        A row that is gone from there is left out: its deletion, or its new key, comes later in the log.
        """
        lacking = [number for number, column in enumerate(rows.columns) if column.untold.any()]
        if not lacking:
            return rows, texts
        of = np.flatnonzero(np.logical_or.reduce([rows.columns[number].untold for number in lacking]))
        there = self._values_now(self._keys(rows.take(of), shape), [shape.names[number] for number in lacking])
        gone = [row for place, row in enumerate(of) if place not in there]
        for i, number in enumerate(lacking):
            values, untold = texts[number].to_pylist(), rows.columns[number].untold
            for place, row in enumerate(of):
                if untold[row] and place in there:
                    values[row] = there[place][i]
            texts[number] = pa.array(values, pa.string())
        if gone:
            kept = np.setdiff1d(np.arange(len(rows.message)), gone)
            rows, texts = rows.take(kept), [text.take(pa.array(kept)) for text in texts]
        return rows, texts

    def _values_now(self, keys: list[list[str | None]], names: Sequence[str]) -> Mapping[int, Sequence[str | None]]:
        """Return the texts of columns, by the number of the row among the keys; those that are there."""
        types = list(self._table.types.items())
        values = ", ".join(
            f"CASE WHEN t.{quote(name)} IS NOT NULL THEN pg_catalog.format('%s', t.{quote(name)}) END" for name in names
        )
        given = ", ".join(f"${i + 1}::text[]" for i in range(len(types)))
        columns = ", ".join(f"k{i}" for i in range(len(types)))
        same = " AND ".join(f"t.{quote(name)} = r.k{i}::{kind}" for i, (name, kind) in enumerate(types))
        begin_reading(self._link)
        try:
            found = self._link.rows(
                f"SELECT r.number - 1, {values} FROM unnest({given}) WITH ORDINALITY AS r({columns}, number)"  # noqa: S608 - quoted names
                f" JOIN {self._table.sql} t ON {same}",
                *keys,
            )
        finally:
            self._link.execute("ROLLBACK")
        return {row[0]: tuple(row)[1:] for row in found}


def with_added(rows: pa.RecordBatch, first: int, added: Mapping[str, pa.Array[Any]], where: str) -> pa.RecordBatch:
    """Return the rows with these columns beside theirs, and their numbers from `first` on as `_offset`."""
    columns = {**added, "_offset": pa.array(np.arange(first, first + rows.num_rows))}
    for name in columns:
        if name in rows.schema.names:
            raise BadRowError(
                f"the table has a column {name!r}, and so has what the source adds", where=where,
                hint="Rename the column at the source, or leave it out by a publication of your own.",
            )  # fmt: skip
    fields = [*rows.schema, *(pa.field(name, column.type) for name, column in columns.items())]
    return pa.RecordBatch.from_arrays([*rows.columns, *columns.values()], schema=pa.schema(fields))
