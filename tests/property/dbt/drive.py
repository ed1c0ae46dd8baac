"""Runs in the environment of dbt: one `dbt snapshot` a day over the days in days.json; prints the versions as JSON.

`python drive.py FOLDER`. Started by test_dbt_snapshot.py; nothing of ematix is importable here.
"""

import json
import sys
from pathlib import Path

import duckdb
from dbt.cli.main import dbtRunner  # type: ignore[import-not-found]  # dbt lives in an environment of its own

PROJECT = "name: parity\nversion: '1.0'\nprofile: parity\nflags: {send_anonymous_usage_stats: false}\n"
PROFILES = "parity: {target: here, outputs: {here: {type: duckdb, path: dbt.duckdb, threads: 1}}}\n"
SNAPSHOTS = """
snapshots:
  - name: by_check
    relation: source('days', 'today')
    config: {strategy: check, unique_key: k, check_cols: [a, b], hard_deletes: invalidate}
  - name: by_timestamp
    relation: source('days', 'today')
    config: {strategy: timestamp, unique_key: k, updated_at: changed, hard_deletes: invalidate}
sources:
  - {name: days, schema: main, tables: [{name: today}]}
"""
VERSIONS = "SELECT k, a, b, dbt_valid_from, dbt_valid_to FROM {} ORDER BY k, dbt_valid_from"


def main(folder: Path) -> None:
    """Make the project, load each day, snapshot it, and print the versions of both strategies."""
    (folder / "snapshots").mkdir()
    (folder / "dbt_project.yml").write_text(PROJECT)
    (folder / "profiles.yml").write_text(PROFILES)
    (folder / "snapshots" / "snapshots.yml").write_text(SNAPSHOTS)
    runner = dbtRunner()
    starts = []
    for day in json.loads((folder / "days.json").read_text()):
        with duckdb.connect(str(folder / "dbt.duckdb")) as connection:
            connection.execute("CREATE OR REPLACE TABLE today (k BIGINT, a BIGINT, b VARCHAR, changed TIMESTAMP)")
            for row in day:
                connection.execute("INSERT INTO today VALUES (?, ?, ?, ?)", row)
            starts.append(str(connection.execute("SELECT now()::TIMESTAMP").fetchall()[0][0]))
        command = ["--quiet", "snapshot", "--project-dir", str(folder), "--profiles-dir", str(folder)]
        result = runner.invoke(command)
        if not result.success:
            sys.exit(f"dbt snapshot failed: {result.exception or result.result}")
    found: dict[str, object] = {"starts": starts}
    with duckdb.connect(str(folder / "dbt.duckdb")) as connection:
        for name in ("by_check", "by_timestamp"):
            found[name] = connection.execute(VERSIONS.format(name)).fetchall()
    (folder / "versions.json").write_text(json.dumps(found, default=str))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
