"""One load for the crash test: `python mysql_crash_script.py URL MODE`, with its store in the working directory."""

from __future__ import annotations

import sys

import pyarrow as pa

from ematix_core.engine import run_job
from ematix_core.model.check import not_null
from ematix_core.model.connection import MySQLConnection
from ematix_core.model.job import job
from ematix_core.store import open_store

URL, MODE = sys.argv[1:]


@job(
    name="crash",
    target="t",
    target_connection=MySQLConnection("m", url=URL),
    mode={"name": MODE, "keys": ["k"]} if MODE in {"merge", "scd2"} else MODE,
    checks=[not_null("v", severity="quarantine")],
)
def crash() -> pa.Table:
    return pa.table({"k": [1, 2, 3, 4], "v": ["a", "B", None, "d"]})


with open_store("sqlite:///store.db") as store:
    run_job(crash, store=store)
