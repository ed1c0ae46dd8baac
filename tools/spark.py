"""`python -m tools.spark`: Delta tables between ematix and Spark, each way.

Spark and Delta Lake come from PyPI and Maven Central into `.spark/`, and need Java 17. The gate reads the tables that
Spark wrote once, in tests/data/delta; this runs Spark itself. With `--write` it writes those tables anew.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import IO, Self

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".spark"
# The newest Spark for which Maven Central has Delta Lake's program: https://docs.delta.io/releases/
PACKAGES = ("pyspark==4.1.*", "delta-spark==4.4.0")
ARTIFACT = "io.delta:delta-spark_4.1_2.13:4.4.0"
TESTS = "tests/e2e/lake_spark.py"
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>ematix</groupId><artifactId>spark</artifactId><version>1</version><dependencies><dependency>
<groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version>
<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>
</dependency>{}</dependencies></project>
"""
# What it needs beyond what pyspark has.
_BESIDE = """<dependency><groupId>io.delta</groupId><artifactId>{}</artifactId><version>{}</version>
<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>"""
_OWN = ("delta-storage", "delta-kernel-api", "delta-kernel-defaults", "delta-kernel-unitycatalog")


def main(arguments: list[str] | None = None) -> int:
    """Run the tests with Spark, or have it write the tables of the gate."""
    parser = argparse.ArgumentParser(prog="python -m tools.spark", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write tests/data/delta anew instead")
    asked = parser.parse_args(arguments)
    prepare()
    if asked.write:
        _write()
        return 0
    return subprocess.run([sys.executable, "-m", "pytest", "-q", "-n", "0", TESTS], cwd=ROOT, check=False).returncode  # noqa: S603 - our own command


def prepare() -> None:
    """Make the environment and fetch the jars, unless they are there."""
    made_of, mark = "\n".join((*PACKAGES, ARTIFACT, *_OWN)), HOME / "made-of"
    if mark.exists() and mark.read_text(encoding="utf-8") == made_of:
        return
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}") or "uv"
    _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(HOME / "venv"))
    _run(uv, "pip", "install", "--quiet", "--python", str(HOME / "venv" / "bin" / "python"), *PACKAGES)
    group, artifact, version = ARTIFACT.split(":")
    beside = "".join(_BESIDE.format(name, version) for name in _OWN)
    (HOME / "pom.xml").write_text(_POM.format(group, artifact, version, beside), encoding="utf-8")
    shutil.rmtree(HOME / "jars", ignore_errors=True)
    _run(
        "mvn",
        "-q",
        "-B",
        "-f",
        str(HOME / "pom.xml"),
        "dependency:copy-dependencies",
        f"-DoutputDirectory={HOME / 'jars'}",
    )
    mark.write_text(made_of, encoding="utf-8")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, cwd=ROOT)  # noqa: S603 - our own commands


class SparkError(Exception):
    """Spark refused a statement; its words are the message."""


@dataclass
class Spark:
    """A Spark session in a process of its own, from `with Spark(log)` until it ends."""

    log: Path
    """Where its log goes."""
    _process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Start it; the first statement waits until it is up."""
        command = [str(HOME / "venv" / "bin" / "python"), str(ROOT / "tools" / "spark_session.py"), str(HOME / "jars")]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=self.log.parent
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it by the end of its input."""
        if self._process is not None:
            self._process.communicate()

    def run(self, sql: str, into: Path | None = None) -> None:
        """Run a statement; its rows go `into` a folder of Parquet. Raises SparkError."""
        request, answer = self._pipes()
        request.write(json.dumps({"sql": sql, "into": str(into) if into else None}) + "\n")
        request.flush()
        line = answer.readline()
        if not line:
            raise SparkError(f"Spark has ended: {self.log.read_text(errors='replace')[-2000:]}")
        if error := json.loads(line)["error"]:
            raise SparkError(error)

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            raise SparkError("there is no session: use `with Spark(log)`")
        return self._process.stdin, self._process.stdout


def _write() -> None:
    from tests.e2e.spark_tables import FOLDER, TABLES

    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with Spark(HOME / "log") as spark:
        for table in TABLES:
            for statement in table.statements:
                spark.run(statement.replace("{table}", f"delta.`{FOLDER / table.name}`"))
    for file in FOLDER.rglob("*.crc"):  # checksums of Hadoop, which no other reader knows
        file.unlink()


if __name__ == "__main__":
    sys.exit(main())
