"""The stream that the crash tests of binary logs kill: it appends the changes of a table to a file of SQLite.

By scd2 the file has the table's history instead.

`setup.json` in the current folder says where the table is. It ends when all has come that the log had at its start.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ematix_core.model.connection import MySQLConnection, SQLiteConnection
from ematix_core.model.mode import append, scd2
from ematix_core.model.stream import stream
from ematix_core.streaming import consume_stream

if TYPE_CHECKING:
    from ematix_core.model.mode import Mode
    from ematix_core.model.stream import Stream

TABLE = "orders"
MODES: dict[str, Mode] = {
    "append": append(),
    "scd2": scd2(keys="code", deleted_by="_deleted", event_time="_event_ts"),
}
SQL = {"append": "SELECT code, v, note, _op, _offset AS place FROM source"}


def target(folder: Path) -> SQLiteConnection:
    """Return the connection of what is loaded."""
    return SQLiteConnection("target", path=str(folder / "target.sqlite"))


def declare(setup: dict[str, Any], folder: Path) -> Stream:
    """Return the stream."""
    made: Stream = stream(
        "changes", source=MySQLConnection("shop", url=setup["url"]), source_query=TABLE, target=target(folder),
        target_table="changes", mode=MODES[setup["mode"]], transform_sql=SQL.get(setup["mode"], ""),
        batch_rows=int(setup["rows"]), batch_seconds=0.2,
    )  # fmt: skip
    return made


def main() -> None:
    """Consume what there is."""
    setup = json.loads(Path("setup.json").read_text(encoding="utf-8"))
    sys.stdout.write(f"{consume_stream(declare(setup, Path.cwd()), until_idle=True)}\n")


if __name__ == "__main__":
    main()
