"""A query with its types settled, and its rows as Arrow batches by COPY."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ematix_core.backends.postgres.catalog import quote
from ematix_core.backends.postgres.native import native, require_readable
from ematix_core.backends.postgres.parameters import Bound, bind, bind_settings, setting
from ematix_core.errors import SqlError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    import pyarrow as pa

    from ematix_core.backends.postgres.catalog import Catalog
    from ematix_core.backends.postgres.decoding import Decoder
    from ematix_core.backends.postgres.link import Link
    from ematix_core.backends.postgres.native import Native
    from ematix_core.backends.protocols import Query

CHUNK = 2 * 1024 * 1024
"""Bytes of CSV that are turned into Arrow at a time."""
_WITH_MODIFIER = re.compile(r"\(.*\)")


class TypedQuery:
    """A query as the server understands it. Raises SqlError, UnsupportedError naming the column."""

    def __init__(self, link: Link, catalog: Catalog, sql: str, query: Query) -> None:
        self.link = link
        self._bound = bind(sql, query.parameters)
        shape = link.shape(self._bound.sent, self._bound.written, self._bound.position)
        if not shape.fields:
            raise SqlError("the statement returns no rows", statement=self._bound.written)
        self.kinds = shape.parameters
        self.fields = shape.fields
        self._require_names()
        types = catalog.types(field.oid for field in shape.fields)
        self.natives: tuple[Native, ...] = tuple(native(f.oid, f.typmod, types) for f in shape.fields)
        for field, found in zip(self.fields, self.natives, strict=True):
            require_readable(found, field.name)
        self._refuse_text_marks(shape.parameters)

    def _require_names(self) -> None:
        names = [field.name for field in self.fields]
        doubled = next((name for name in names if names.count(name) > 1), None)
        if doubled is not None:
            raise SqlError(
                f"the query has two columns named {doubled!r}", statement=self._bound.written,
                hint="Give one of them another name, with AS.",
            )  # fmt: skip

    def _refuse_text_marks(self, kinds: Sequence[str]) -> None:
        """Refuse to compare a number with a mark that is text: numbers without a precision are read as text."""
        for name, kind in zip(self._bound.names, kinds, strict=True):
            if kind == "numeric" and isinstance(self._bound.parameters[name], str) and name == "watermark":
                raise UnsupportedError(
                    "the watermark's column is numeric without a precision, which is read as text and not in order",
                    hint="Cast it in the query, for example: id::numeric(38, 0) AS id.",
                )

    @property
    def decoder(self) -> Decoder:
        """What turns the rows into batches."""
        from ematix_core.backends.postgres.decoding import Decoder, Output

        outputs = [Output(f.name, n.column_type) for f, n in zip(self.fields, self.natives, strict=True)]
        return Decoder(outputs, self.link.address)

    def copied(self) -> tuple[str, Bound]:
        """Return the query for COPY, whose parameters are settings, in the form in which its values travel."""
        names = [f"c{number}" for number in range(len(self.fields))]
        return self.selected([found.expression(f"q.{name}") for name, found in zip(names, self.natives, strict=True)])

    def selected(self, expressions: Sequence[str]) -> tuple[str, Bound]:
        """Return the query for COPY with one expression a column, over `q.c0`, `q.c1`, ..."""
        kinds = dict(zip(self._bound.names, self.kinds, strict=True))
        bound = bind_settings(self._bound.written, self._bound.parameters, kinds)
        names = [f"c{number}" for number in range(len(self.fields))]
        if list(expressions) == [f"q.{name}" for name in names]:
            return bound.sent, bound
        return f"SELECT {', '.join(expressions)} FROM (\n{bound.sent}\n) AS q({', '.join(names)})", bound  # noqa: S608 - around the user's own query

    def set_parameters(self, link: Link) -> None:
        """Bind the values to settings of the transaction; the server turns each into text by its own type."""
        given = [(i, name) for i, name in enumerate(self._bound.names) if self._bound.parameters[name] is not None]
        for number, name in given:
            kind = self.kinds[number]
            value = Bound("", "", (name,), self._bound.parameters).value(name, kind)
            link.rows(f"SELECT set_config('{setting(number)}', $1::{kind}::text, true)", value)

    def copy(self, selected: tuple[str, Bound], *, form: str) -> Generator[list[bytes]]:
        """Run `COPY (...) TO STDOUT` and yield its chunks."""
        self.set_parameters(self.link)
        return self.link.copy_out(selected[0], form=form, **self.told(selected))

    def told(self, selected: tuple[str, Bound]) -> dict[str, Any]:
        """Return what errors of that COPY say: the statement as written, and how to find a position in it."""
        sql, bound = selected
        before = sql.find(bound.sent) + len("COPY (")
        return {"written": bound.written, "at": lambda sent: bound.position(sent - before)}

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Run the query and yield its rows."""
        decoder = self.decoder
        for data in joined(self.copy(self.copied(), form="csv")):
            yield from decoder.batches(data)


def joined(chunks: Iterable[list[bytes]], size: int = CHUNK) -> Iterator[bytes]:
    """Yield the chunks put together to at least `size` bytes each, the last apart."""
    waiting: list[bytes] = []
    length = 0
    for several in chunks:
        for chunk in several:
            waiting.append(chunk)
            length += len(chunk)
            if length >= size:
                yield b"".join(waiting)
                waiting.clear()
                length = 0
    if waiting:
        yield b"".join(waiting)


def text_of(query: Query) -> str:
    """Return the query's SQL; for a whole table, SELECT * of it."""
    if query.sql:
        return query.sql
    schema, _, name = query.table.rpartition(".")
    table = f"{quote(schema)}.{quote(name)}" if schema else quote(name)
    return f"SELECT * FROM {table}"  # noqa: S608 - quoted names
