"""The stream that the crash tests of changes kill: `python changes_scenario.py`, with `setup.json` in its folder.

By append every change becomes a row of the target, so that what is lost and what is there twice can be told; by merge
the target becomes what the table is, by scd2 what it has been.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ematix_core.model.connection import PostgresConnection
from ematix_core.model.mode import append, merge, scd2
from ematix_core.model.stream import stream
from ematix_core.streaming import consume_stream

if TYPE_CHECKING:
    from ematix_core.model.mode import Mode

TABLE, CHANGES = "accounts", "changes"
MODES: dict[str, Mode] = {
    "append": append(),
    "merge": merge(keys=["part", "id"], deleted_by="_deleted"),
    "scd2": scd2(keys=["part", "id"], deleted_by="_deleted", event_time="_event_ts"),
}
SQL = {"append": "SELECT id, part, balance, note, _op, _deleted, _offset FROM source"}


def main() -> None:
    """Consume for ever, or to the end with `until_idle` in the setup."""
    setup = json.loads(Path("setup.json").read_text(encoding="utf-8"))
    made = stream(
        "accounts", source=PostgresConnection("bank", url=setup["source"]), source_query=TABLE,
        target=PostgresConnection("target", url=setup["target"]), target_table=CHANGES,
        mode=MODES[setup["mode"]], transform_sql=SQL.get(setup["mode"], ""),
        batch_rows=setup["rows"], batch_seconds=0.1,
    )  # fmt: skip
    sys.stdout.write(f"{consume_stream(made, until_idle=setup['until_idle'])}\n")


if __name__ == "__main__":
    main()
