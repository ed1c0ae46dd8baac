"""What a commit is made of for delta-rs: files added and removed, and what is done after it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltalake import PostCommitHookProperties
    from deltalake.transaction import AddAction, RemoveAction

    from ematix_core.backends.delta.log import DataFile
    from ematix_core.backends.delta.writing import NewFile

_CLEANED_EVERY = 100
"""Versions, as many as lie between two checkpoints unless the table says otherwise: older entries need one."""


def add_action(new: NewFile, *, data_change: bool = True) -> AddAction:
    """Return what adds a file. Without `data_change` its rows were in the table before."""
    from deltalake.transaction import AddAction

    file = new.file
    return AddAction(
        path=file.path, size=file.size, partition_values=new.partition_values, data_change=data_change, stats=new.stats,
        modification_time=int(time.time() * 1000),
    )  # fmt: skip


def remove_action(file: DataFile, partition_by: Sequence[str], *, data_change: bool = True) -> RemoveAction:
    """Return what removes a file. Without `data_change` its rows stay in the table."""
    from deltalake.transaction import RemoveAction

    return RemoveAction(
        file.path, data_change=data_change, deletion_timestamp=int(time.time() * 1000), size=file.size,
        partition_values=texts(partition_by, file.partition),
    )  # fmt: skip


def texts(partition_by: Sequence[str], values: Sequence[Any]) -> dict[str, str | None]:
    """Return the values of a partition as the log has them."""
    return {
        name: None if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in zip(partition_by, values, strict=True)
    }


def afterwards(version: int) -> PostCommitHookProperties:
    """Have delta-rs write checkpoints when they are due, and clean the log of old entries with every hundredth version.

    To look for old entries it lists the whole log, which a stream of one commit a second makes long.
    """
    from deltalake import PostCommitHookProperties

    return PostCommitHookProperties(cleanup_expired_logs=False if version % _CLEANED_EVERY else None)
