"""Spark with Delta Lake as a process: a request a line on standard input, an answer a line on standard output.

Run in the environment of `tools.spark`: `python spark_session.py JARS`. A request is JSON with `sql` and, if its rows
are wanted, the folder `into`, to which they go as Parquet. An answer is JSON with `error`, null when all went well.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pyspark.sql import SparkSession  # type: ignore[import-not-found]  # only in the environment of tools.spark

SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.databricks.delta.snapshotPartitions": "1",
}


def main() -> None:
    """Answer until the input ends."""
    builder = SparkSession.builder.master("local[1]")
    builder = builder.config("spark.jars", ",".join(map(str, Path(sys.argv[1]).glob("*.jar"))))
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    for line in sys.stdin:
        request = json.loads(line)
        error = None
        try:
            found = session.sql(request["sql"])
            if request.get("into"):
                found.coalesce(1).write.parquet(request["into"])
        except Exception as problem:  # noqa: BLE001 - whatever it is, the other side says so
            error = f"{type(problem).__name__}: {problem}"[:2000]
        sys.stdout.write(json.dumps({"error": error}) + "\n")
        sys.stdout.flush()
    session.stop()


if __name__ == "__main__":
    main()
