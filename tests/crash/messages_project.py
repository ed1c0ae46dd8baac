"""A project whose workflows run for each file and for each version of a table; each load notes what it ran for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

import ematix_core as ematix

if TYPE_CHECKING:
    from ematix_core.engine.body import RunContext

files = ematix.ObjectStoreConnection("files", path="files")
lake = ematix.DeltaConnection("lake", path="lake")
seen = ematix.SQLiteConnection("seen", path="seen.db")
patient = ematix.Retry(retries=20, delay=0.2, backoff="fixed")


@ematix.job(target="seen_files", target_connection=seen, retries=patient)
def note_file(run: RunContext) -> pa.Table:
    """Return a row for the file."""
    return pa.table({"what": [run.parameters["path"]], "run": [run.run_id]})


@ematix.job(target="seen_versions", target_connection=seen, retries=patient)
def note_version(run: RunContext) -> pa.Table:
    """Return a row for the version."""
    return pa.table({"what": [run.parameters["version"]], "run": [run.run_id]})


new_files = ematix.inbox("new_files", connection=files, path="in/*.json", after="keep")
new_versions = ematix.versions("new_versions", connection=lake, table="orders")
on_file = ematix.workflow("on_file", jobs=[note_file], on_message=new_files)
on_version = ematix.workflow("on_version", jobs=[note_version], on_message=new_versions)
