"""OPTIMIZE: the small files of a partition put together, or all files written anew in the order of a Z curve.

delta-rs has it, but two of them that begin with one version both commit, and each row is there twice: its check of
conflicts passes over files that another commit has removed without a change of data. So DuckDB writes the files here,
and the commit is made to a version that was seen to have every file it replaces, or refused (`max_commit_retries=0`).
"""

# ruff: noqa: S608 - statements are built from quoted names and numbers
from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ematix_core.backends.delta.actions import add_action, afterwards, remove_action, texts
from ematix_core.backends.delta.log import opened, translated
from ematix_core.backends.delta.scan import Layout, Piece, scan
from ematix_core.backends.delta.settings import require_partition
from ematix_core.backends.delta.writing import write
from ematix_core.backends.duck.connection import open_duck, quote
from ematix_core.backends.duck.connection import translated as duck_translated
from ematix_core.backends.duck.groups import largest_group
from ematix_core.backends.duck.memory import WORKING, make_room, room_to_read
from ematix_core.config.size import parse_size
from ematix_core.errors import ConflictError, EmatixError
from ematix_core.failpoint import failpoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deltalake.transaction import AddAction, RemoveAction
    from duckdb import DuckDBPyConnection

    from ematix_core.backends.delta.log import DataFile, Snapshot
    from ematix_core.backends.delta.settings import Settings
    from ematix_core.backends.delta.writing import NewFile
    from ematix_core.model.maintenance import Optimize

_COMMITS = 20
"""Versions of writers who only added rows that a commit may meet, one after the other."""
_SAMPLE, _BITS = 50_000, 6
"""Rows by which the values of a column are divided into ranges, and the bits of a range's number: 64 ranges."""
_BOUNDS = "_ematix_bounds"
_CURVE_COLUMNS = 20
"""More than 120 bits are no number of DuckDB; beyond some columns the curve has little to give anyway."""


def chosen(base: Snapshot, step: Optimize, settings: Settings) -> list[list[DataFile]]:
    """Return the files to write anew, those that become one together; for a Z curve all of each partition."""
    partitions: dict[str, list[DataFile]] = {}
    for file in reversed(base.files()):  # delta-rs tells the newest first
        partitions.setdefault(repr(file.partition), []).append(file)
    if step.z_order:
        return list(partitions.values())
    size = parse_size(str(settings.target_file_size), where="option target_file_size")
    groups = (group for files in partitions.values() for group in _groups(files, size))
    return [group for group in groups if len(group) > 1]


def _groups(files: Sequence[DataFile], size: int) -> list[list[DataFile]]:
    """Put files that lie side by side together as long as they are no larger than one may be."""
    groups: list[list[DataFile]] = [[]]
    held = 0
    for file in files:
        if file.size >= size:
            continue
        if held + file.size > size:
            groups.append([])
            held = 0
        groups[-1].append(file)
        held += file.size
    return groups


def optimize(base: Snapshot, step: Optimize, settings: Settings) -> Mapping[str, int]:
    """Write files anew and commit them in the place of the old ones.

    Rows that others add meanwhile stay beside them. Raises ConflictError, and nothing is committed, when another writer
    has removed one of the files, by an OPTIMIZE or otherwise, or has changed the columns.
    """
    groups = chosen(base, step, settings)
    old = [file for group in groups for file in group]
    if not old:
        return {"files_removed": 0, "files_added": 0}
    for column in base.columns:
        if column.name in base.partition_by:
            require_partition(column, base.place.shown)
    new: list[NewFile] = []
    try:
        with closing(_duck(base, old, step, settings)) as duck:
            for group in groups:
                new += _written(duck, base, group, step, settings)
    except BaseException:
        _remove(base, new)
        raise
    failpoint("delta.optimize.written")
    try:
        _commit(base, old, new, step)
    except ConflictError:
        _remove(base, new)
        raise
    return {"files_removed": len(old), "files_added": len(new)}


def _duck(base: Snapshot, files: Sequence[DataFile], step: Optimize, settings: Settings) -> DuckDBPyConnection:
    given = {"preserve_insertion_order": False, "memory_limit": f"{WORKING}MB", **settings.duckdb}
    if not step.z_order:
        given["threads"] = 1  # rows keep their order, and so their nearness
    duck = open_duck(**given)
    try:
        base.place.mount(duck)
        base.note_files()
        group = largest_group(duck, ((base.place.location(file.path), file.size) for file in files))
        beside = room_to_read(duck, group)
        if not settings.limited:
            make_room(duck, len(base.columns), least=WORKING, beside=beside)
    except BaseException:
        duck.close()
        raise
    return duck


def _written(
    duck: DuckDBPyConnection, base: Snapshot, files: Sequence[DataFile], step: Optimize, settings: Settings
) -> list[NewFile]:
    """Write the rows of files of one partition into new ones beside them."""
    rows = scan(Layout(base.place, base.columns, base.partition_by), [Piece(0, file) for file in files])
    if step.z_order:
        rows = _in_order(duck, f"SELECT * FROM ({rows})", step.z_order)
    folder, _, _ = files[0].path.rpartition("/")
    stored = tuple(column for column in base.columns if column.name not in base.partition_by)
    layout = Layout(base.place.at(folder) if folder else base.place, stored)
    partition = files[0].partition
    _, written = write(duck, rows, {}, layout, settings)
    return [
        replace(
            new,
            file=replace(new.file, path=f"{folder}/{new.file.path}" if folder else new.file.path, partition=partition),
            partition_values=texts(base.partition_by, partition),
        )
        for new in written
    ]


def _in_order(duck: DuckDBPyConnection, rows: str, names: Sequence[str]) -> str:
    """Return the query for the rows by a Z curve over the columns: the bits of their ranges, one column after another.

    https://en.wikipedia.org/wiki/Z-order_curve. Ranges hold as many rows each, whatever the values are.
    """
    columns = ", ".join(map(quote, names))
    if len(names) == 1:
        return f"{rows} ORDER BY {columns}"
    names = names[:_CURVE_COLUMNS]
    places = [f"_ematix_place_{number}" for number in range(len(names))]
    found = f"SELECT *, {', '.join(f'CAST(0 AS BIGINT) AS {place}' for place in places)} FROM ({rows})"
    _note_bounds(duck, rows, names)
    for bit in reversed(range(_BITS)):  # how many bounds are below the value, by halves
        steps = (
            f"{place} + CASE WHEN list_element((SELECT {place} FROM {_BOUNDS}), {place} + {1 << bit}) < {quote(name)}"
            f" THEN {1 << bit} ELSE 0 END AS {place}"
            for place, name in zip(places, names, strict=True)
        )
        found = f"SELECT * REPLACE ({', '.join(steps)}) FROM ({found})"
    terms = [
        f"(CAST(({place} >> {bit}) & 1 AS HUGEINT) << {bit * len(places) + len(places) - 1 - number})"
        for number, place in enumerate(places)
        for bit in range(_BITS)
    ]
    return f"SELECT * EXCLUDE ({', '.join(places)}) FROM ({found}) ORDER BY {' + '.join(terms)}, {columns}"


def _note_bounds(duck: DuckDBPyConnection, rows: str, names: Sequence[str]) -> None:
    """Note for each column the values that divide a sample of the rows into ranges, in a table of one row."""
    ends = ", ".join(str(number / (1 << _BITS)) for number in range(1, 1 << _BITS))
    bounds = (f"quantile_disc({quote(name)}, [{ends}]) AS _ematix_place_{at}" for at, name in enumerate(names))
    sample = f"SELECT {', '.join(map(quote, names))} FROM ({rows})"
    sql = (
        f"CREATE OR REPLACE TEMP TABLE {_BOUNDS} AS SELECT {', '.join(bounds)} "
        f"FROM ({sample}) USING SAMPLE reservoir({_SAMPLE} ROWS) REPEATABLE (1)"
    )
    with duck_translated(sql):
        duck.execute(sql)


def _commit(base: Snapshot, old: Sequence[DataFile], new: Sequence[NewFile], step: Optimize) -> None:
    from deltalake import CommitProperties

    actions: list[AddAction | RemoveAction] = [
        *(add_action(one, data_change=False) for one in new),
        *(remove_action(file, base.partition_by, data_change=False) for file in old),
    ]
    current = base
    for attempt in range(1, _COMMITS + 1):
        try:
            with translated(base.place):
                current.raw.create_write_transaction(
                    actions, "append", current.raw.schema(), partition_by=list(base.partition_by),
                    commit_properties=CommitProperties({"ematix": {"maintenance": step.label()}}, max_commit_retries=0),
                    post_commithook_properties=afterwards(current.version + 1),
                )  # fmt: skip
            break
        except ConflictError:
            current = opened(base.place)
            if _is_ours(current, new):
                break
            if attempt == _COMMITS or not _still_has(current, base, old):
                raise
    with translated(base.place):
        base.raw.update_incremental()


def _is_ours(current: Snapshot, new: Sequence[NewFile]) -> bool:
    """Say whether the version in the way is our own: its answer was lost, and delta-rs sent it again."""
    listed = {file.path for file in current.files()}
    return any(one.file.path in listed for one in new)


def _still_has(current: Snapshot, base: Snapshot, old: Sequence[DataFile]) -> bool:
    """Say whether a version has all the files, and they mean what they did."""
    same = (current.columns, current.partition_by) == (base.columns, base.partition_by)
    return same and {file.path for file in old} <= {file.path for file in current.files()}


def _remove(base: Snapshot, new: Sequence[NewFile]) -> None:
    with suppress(EmatixError):  # the error that led here is the one to tell; what is left is for VACUUM to remove
        base.place.remove((one.file.path for one in new), emptied=True)
