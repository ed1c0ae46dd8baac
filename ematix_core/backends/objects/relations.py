"""Files as a DuckDB query: one SELECT over the right reader for each format, columns joined by name."""

# ruff: noqa: S608 - statements are built from quoted names and literals
from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as encoded
from urllib.parse import unquote

from ematix_core.backends.duck.connection import driver, quote
from ematix_core.backends.objects.csv_files import CsvDialect, CsvGroup, csv_groups, require_delimited
from ematix_core.backends.objects.csv_sample import literal
from ematix_core.backends.objects.dialect import DIALECT
from ematix_core.backends.objects.jsonl_files import JsonlGroup, jsonl_group
from ematix_core.backends.objects.reading import AS_FOUND, Reading
from ematix_core.backends.objects.records import CSV_ROOM, JSON_ROOM, any_long, give_memory
from ematix_core.backends.objects.settings import Settings, format_of
from ematix_core.backends.objects.text_files import decompress
from ematix_core.errors import SourceError, UnsupportedError
from ematix_core.model.table import columns_from

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from duckdb import DuckDBPyConnection

    from ematix_core.backends.objects.listing import Listing
    from ematix_core.backends.objects.manifest import Manifest
    from ematix_core.backends.storage.folder import StoredFile

FILE_COLUMN = "_file"
_LOCATION = "_ematix_location"
_HIVE_PART = re.compile(r"^([^=?\\\n]+)=[^=?\\\n]*$")
"""A folder that DuckDB takes as a column: it cuts names at question marks and backslashes, and wants one `=`."""
_DECIMAL_DIGITS = 38
_NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass
class Relations:
    """Makes queries over files for one DuckDB connection, and remembers what it read, for error reports."""

    connection: DuckDBPyConnection
    settings: Settings
    quarantine: bool = False
    text_groups: list[CsvGroup | JsonlGroup] = field(default_factory=list)
    portable: bool = True
    """False once a query needs this very connection (ORC, long records) or a temporary file (bz2)."""
    sampled: dict[object, Sequence[CsvGroup | JsonlGroup]] = field(default_factory=dict)
    """What text files were found to hold, by what they were: the schema and the query take one sample, not two."""
    parquet: list[StoredFile] = field(default_factory=list)
    """The Parquet files that are read."""
    reading: Reading = AS_FOUND
    """How columns of text are read, of files that no manifest has types for."""
    _folder: Path | None = None
    _objects: int = 0

    def completed(self, listing: Listing, *, only: Sequence[str], file_column: bool = False) -> str:
        """Return `query(...)` with the columns that only other files of the listing have, as NULL."""
        chosen = self.query(listing, only=only, file_column=file_column)
        groups, parquet = list(self.text_groups), list(self.parquet)
        every = self._described(self.query(listing, file_column=file_column))
        self.text_groups, self.parquet = groups, parquet
        had = self._described(chosen)
        lacked = [f"CAST(NULL AS {kind}) AS {quote(name)}" for name, kind in every.items() if name not in had]
        return f"SELECT {', '.join(['*', *lacked])} FROM ({chosen})" if lacked else chosen

    def _described(self, query: str) -> dict[str, str]:
        return {row[0]: row[1] for row in self.connection.execute(f"DESCRIBE {query}").fetchall()}

    def query(self, listing: Listing, *, only: Sequence[str] | None = None, file_column: bool = False) -> str:
        """Return a SELECT over the listing's files, or `only` those of these paths, with `_file` when asked for."""
        chosen = listing.only(only)
        if listing.files and not chosen.files:  # watermark="_file" and no new file: the columns are still the files'
            groups = list(self.text_groups)
            columns = self.query(listing, file_column=file_column)
            self.text_groups = groups
            return f"SELECT * FROM ({columns}) LIMIT 0"
        listing = chosen
        manifest = listing.manifest
        parts = []
        for (form, hive, prefix, shown), files in self._grouped(listing).items():
            extra, kept = _hive_arguments(hive, manifest, self.reading)
            if file_column:
                extra, kept = f"{extra}, filename={literal(_LOCATION)}", [*kept, _LOCATION]
            for part in self._selects(form, files, (extra, kept), manifest):
                named = _with_decoded_names(part, hive)
                parts += [_with_file_column(named, prefix, shown) if file_column else named]
        if not parts:
            return self._empty(listing, file_column=file_column)
        if manifest and not manifest.uniform and len(listing.files) == 1:  # it may be older than a column
            parts.append(self._empty(listing, file_column=file_column))
        joined = parts[0] if len(parts) == 1 else " UNION ALL BY NAME ".join(f"({part})" for part in parts)
        return _as_declared(joined, manifest, file_column=file_column) if manifest else joined

    def close(self) -> None:
        """Remove the temporary files."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _grouped(self, listing: Listing) -> dict[tuple[str, tuple[str, ...], str, str], list[StoredFile]]:
        groups: dict[tuple[str, tuple[str, ...], str, str], list[StoredFile]] = {}
        for listed in listing.files:
            form, compression = format_of(listed.path)
            file = self._unpacked(listed) if compression == "bz2" else listed
            hive = tuple(m[1] for part in listed.path.split("/")[:-1] if (m := _HIVE_PART.match(part)))
            prefix, shown = _split(file)
            groups.setdefault((form or self.settings.format, hive, prefix, shown), []).append(file)
        _require_readable_folders(listing, {key for _, hive, *_ in groups for key in hive})
        return groups

    def _unpacked(self, file: StoredFile) -> StoredFile:
        self.portable = False
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="ematix_unpacked_"))
        return decompress(file, self._folder)

    def _selects(
        self, form: str, files: list[StoredFile], added: tuple[str, list[str]], manifest: Manifest | None
    ) -> list[str]:
        extra, kept = added
        types = _declared_types(manifest, without=[unquote(name) for name in kept]) if manifest else None
        if form == "parquet":
            return [self._parquet(files, extra, manifest)]
        if form == "orc":
            return self._orc(files, kept)
        dialect = self._csv_dialect(files[0], manifest) if form == "csv" else None
        key = (tuple(files), dialect, types and tuple(types.items()), self.reading)
        if key not in self.sampled:
            room = self._room(form, files)
            self.sampled[key] = (
                csv_groups(self.connection, files, dialect, types, room=room, reading=self.reading)
                if dialect
                else jsonl_group(self.connection, files, types, room=room, reading=self.reading)
            )
            if dialect and not manifest and not self.settings.delimiter:
                require_delimited(group for group in self.sampled[key] if isinstance(group, CsvGroup))
        self.text_groups += self.sampled[key]
        return [group.relation(extra, kept, quarantine=self.quarantine) for group in self.sampled[key]]

    def _room(self, form: str, files: list[StoredFile]) -> str:
        """Return the reader's further arguments for long records, and give the connection memory for them."""
        if not any_long(form, files):
            return ""
        self.portable = False
        give_memory(self.connection, self.settings)
        return CSV_ROOM if form == "csv" else JSON_ROOM

    def _parquet(self, files: list[StoredFile], extra: str, manifest: Manifest | None) -> str:
        self.parquet += files
        if manifest is None:
            _check_decimals(self.connection, files[0])
        by_name = len(files) > 1 and not (manifest and manifest.uniform)
        listed = ", ".join(literal(file.location) for file in files)
        return f"SELECT * FROM read_parquet([{listed}], union_by_name={str(by_name).lower()}{extra})"

    def _orc(self, files: list[StoredFile], kept: list[str]) -> list[str]:
        self.portable = False
        batches = [[file] for file in files] if kept else [files]
        return [self._orc_part(batch, kept) for batch in batches]

    def _orc_part(self, files: list[StoredFile], kept: list[str]) -> str:
        import pyarrow as pa
        import pyarrow.dataset as ds

        try:
            form: Any = ds.OrcFileFormat()
            place = files[0].folder.filesystem()
            every = [ds.dataset(file.location, format=form, filesystem=place).schema for file in files]
            schema = pa.unify_schemas(every, promote_options="permissive")
            dataset = ds.dataset([file.location for file in files], schema=schema, format=form, filesystem=place)
        except (OSError, pa.ArrowException) as error:
            raise SourceError(f"cannot read {files[0].path} as ORC: {error}") from error
        self._objects += 1
        name = f"_ematix_orc_{self._objects}"
        self.connection.register(name, dataset)
        pairs = (part.split("=", 1) for part in files[0].path.split("/")[:-1] if "=" in part)
        values = {key: unquote(value) for key, value in pairs}
        values[_LOCATION] = files[0].location
        added = [f"NULLIF({literal(values[key])}, {literal(_NO_PARTITION)}) AS {quote(key)}" for key in kept]
        return f"SELECT {', '.join(['*', *added])} FROM {name}"

    def _csv_dialect(self, file: StoredFile, manifest: Manifest | None) -> CsvDialect:
        if manifest:
            written = dict(manifest.format_settings)
            return CsvDialect(**{**written, "null": tuple(written["null"])})
        settings = self.settings
        usual = "\t" if ".tsv" in file.path.rpartition("/")[2].lower() else ","
        return CsvDialect(
            settings.delimiter or usual, settings.header, settings.quote, settings.escape, settings.encoding,
            settings.null, settings.sample_size,
        )  # fmt: skip

    def _empty(self, listing: Listing, *, file_column: bool) -> str:
        if listing.manifest is None:
            raise SourceError(
                f"the files of {listing.name!r} are empty: they do not even name columns",
                hint="Write a header line, or at least one object, or leave the file away.",
            )
        types = _declared_types(listing.manifest, without=())
        columns = [f"CAST(NULL AS {kind}) AS {quote(name)}" for name, kind in types.items()]
        columns += [f"CAST(NULL AS VARCHAR) AS {quote(FILE_COLUMN)}"] if file_column else []
        return f"SELECT {', '.join(columns)} WHERE false"


def _as_declared(query: str, manifest: Manifest, *, file_column: bool) -> str:
    """Return the query with the table's columns in their order; converted where the files' own types may differ."""
    exact = manifest.format == "parquet" and manifest.uniform
    columns = [
        quote(name) if exact and name not in manifest.partition_by else f"{_cast(quote(name), kind)} AS {quote(name)}"
        for name, kind in _declared_types(manifest, without=()).items()
    ]
    columns += [quote(FILE_COLUMN)] if file_column else []
    return f"SELECT {', '.join(columns)} FROM ({query})"


def _cast(column: str, kind: str) -> str:
    # DuckDB has no cast from TIMESTAMP_NS, which times in ORC are read as, to TIMESTAMP_S.
    return f"CAST(CAST({column} AS TIMESTAMP) AS {kind})" if kind == "TIMESTAMP_S" else f"CAST({column} AS {kind})"


def _declared_types(manifest: Manifest, *, without: Sequence[str]) -> dict[str, str]:
    columns = columns_from(manifest.schema)
    return {c.name: DIALECT.sql_type(c.type, column=c.name) for c in columns if c.name not in without}


def _hive_arguments(hive: tuple[str, ...], manifest: Manifest | None, reading: Reading) -> tuple[str, list[str]]:
    if not hive:
        return ", hive_partitioning=false", []
    types = _declared_types(manifest, without=()) if manifest else reading.texts()
    declared = ", ".join(f"{literal(key)}: {types[unquote(key)]}" for key in hive if unquote(key) in types)
    return ", hive_partitioning=true" + (f", hive_types={{{declared}}}" if declared else ""), list(hive)


def _require_readable_folders(listing: Listing, columns: Collection[str]) -> None:
    """Raise SourceError for a folder that is a column by its key, as others are, but whose value cannot be read."""
    for file in listing.files if columns else ():
        for part in file.path.split("/")[:-1]:
            key, found, value = part.partition("=")
            if found and key in columns and not _HIVE_PART.match(part):
                raise SourceError(
                    f"the folder {part!r} of {file.path} cannot be read as a value of the column {key!r}",
                    hint=f"Name it {key}={encoded(value)}: `=`, `?`, `\\` and line breaks are encoded there.",
                )


def _with_decoded_names(query: str, hive: tuple[str, ...]) -> str:
    """Return the query with the names of folders as columns decoded: DuckDB encodes them, but decodes values only."""
    names = [f"{quote(key)} AS {quote(unquote(key))}" for key in hive if unquote(key) != key]
    return f"SELECT * RENAME ({', '.join(names)}) FROM ({query})" if names else query


def _with_file_column(query: str, prefix: str, shown: str) -> str:
    column = quote(_LOCATION)
    path = f"{literal(shown)} || substr({column}, {len(prefix) + 1})"
    return f"SELECT * EXCLUDE ({column}), {path} AS {quote(FILE_COLUMN)} FROM ({query})"


def _split(file: StoredFile) -> tuple[str, str]:
    """Return what of location and path differs, up to their common end: `location[len(prefix):]` goes after `shown`."""
    pairs = zip(reversed(file.location.split("/")), reversed(file.path.split("/")), strict=False)
    same = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
    common = len("/".join(same))
    return file.location[: len(file.location) - common], file.path[: len(file.path) - common]


def _check_decimals(connection: DuckDBPyConnection, file: StoredFile) -> None:
    """Look into the footer by DuckDB: importing pyarrow.parquet takes longer than loading 100,000 rows."""
    try:
        found = connection.execute(
            f"SELECT name, precision, scale FROM parquet_schema({literal(file.location)})"
            f" WHERE precision > {_DECIMAL_DIGITS} LIMIT 1"
        ).fetchone()
    except driver().Error as error:
        if "Permission denied" in str(error):
            raise
        cause = str(error).splitlines()[0].partition(": ")[2]
        raise SourceError(f"cannot read {file.path} as Parquet: {cause}") from error
    if found is not None:
        name, precision, scale = found
        raise UnsupportedError(
            f"column {name!r} of {file.path} is a decimal({precision}, {scale}): DuckDB would read it inexactly",
            hint="Write the file with at most 38 digits.",
        )
