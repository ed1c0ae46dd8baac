"""What a session has changed of a table and not yet committed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ematix_core.backends.objects.manifest import Manifest, now
from ematix_core.model.table import columns_from
from ematix_core.sql.widening import widens

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from ematix_core.backends.objects.manifest import DataFile, History
    from ematix_core.backends.objects.settings import Settings
    from ematix_core.backends.protocols import LoadRecord, SourceFile
    from ematix_core.model.table import Column


@dataclass
class TableChanges:
    """One table in one session: the version it began with, and what is added to it."""

    history: History
    base: Manifest | None
    settings: Settings
    lock: AbstractContextManager[None] | None = None
    cleared: bool = False
    added: list[DataFile] = field(default_factory=list)
    rows: int = 0
    schema: pa.Schema | None = None
    uniform: bool = True
    recorded: tuple[LoadRecord, tuple[SourceFile, ...]] | None = None

    @property
    def changed(self) -> bool:
        """Say whether there is something to commit."""
        return self.cleared or bool(self.added) or self.recorded is not None or self.schema is not None

    def kept(self) -> Manifest | None:
        """Return the version that rows are added to; None for a new or cleared table."""
        return None if self.cleared else self.base

    def columns(self) -> tuple[Column, ...] | None:
        """Return the table's columns as this session sees them."""
        if self.schema is not None:
            return columns_from(self.schema)
        return columns_from(self.base.schema) if self.base else None

    def clear(self) -> int:
        """Begin with no rows and return how many there were."""
        removed = (0 if self.cleared or self.base is None else self.base.rows) + self.rows
        self.cleared, self.rows, self.schema, self.uniform = True, 0, None, True
        self.added.clear()
        return removed

    def extend(self, columns: Sequence[Column]) -> tuple[Column, ...]:
        """Take in the columns of new rows and return all columns of the table: new ones last, wider types win."""
        kept = self.kept()
        before = self.schema if self.schema is not None else kept.schema if kept else None
        if before is None:
            fields = [pa.field(c.name, c.type.to_arrow(), nullable=c.nullable) for c in columns]
        else:
            fields = self._merged(before, columns)
        schema = pa.schema(fields)
        self.uniform = self.uniform and (before is None or schema.equals(before))
        if kept and (kept.format != self.settings.format or not kept.uniform):
            self.uniform = False
        if before is None or not schema.equals(before):
            self.schema = schema
        return columns_from(schema)

    @staticmethod
    def _merged(before: pa.Schema, columns: Sequence[Column]) -> list[pa.Field[Any]]:
        incoming = {column.name: column for column in columns}
        fields = []
        for own, field_ in zip(columns_from(before), before, strict=True):
            new = incoming.pop(own.name, None)
            wider = new is not None and new.type.to_arrow() != field_.type and widens(own.type, new.type)
            merged = field_.with_type(new.type.to_arrow()) if new is not None and wider else field_
            fields.append(merged.with_nullable(field_.nullable or new is None or new.nullable))
        return [*fields, *(pa.field(c.name, c.type.to_arrow(), nullable=True) for c in incoming.values())]

    def add(self, rows: int, files: Sequence[DataFile]) -> list[DataFile]:
        """Add written files and return those that are not wanted: empty ones, where there is another file."""
        self.rows += rows
        kept = self.kept()
        if rows == 0 and (self.added or (kept and kept.files and self.uniform)):
            return list(files)
        self.added += files
        return []

    def manifest(self) -> Manifest:
        """Return the version as this session would commit it."""
        kept, base = self.kept(), self.base
        schema = self.schema if self.schema is not None else base.schema if base else pa.schema([])
        uniform = self.uniform and (kept is None or kept.uniform)
        manifest = Manifest(
            version=base.version + 1 if base else 1,
            committed_at=now(),
            format=self.settings.format if self.added or base is None else base.format,
            format_settings=self.settings.written_as() if self.added or base is None else base.format_settings,
            schema=schema,
            files=(*(kept.files if kept else ()), *self.added),
            rows=(kept.rows if kept else 0) + self.rows,
            partition_by=self.settings.partition_by if self.added or base is None else base.partition_by,
            uniform=uniform,
            loads=base.loads if base else (),
            loaded_files=base.loaded_files if base else {},
            view=(kept.view or kept.version) if kept and len(self.added) <= 1 else 0,
        )
        if self.recorded is None:
            return manifest
        record, files = self.recorded
        return manifest.recorded(record, files)
