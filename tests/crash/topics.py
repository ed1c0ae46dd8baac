"""A topic with records, consumers of it that are killed, and the verdict: what was lost, and what is there twice."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.errors import MissingSourceError
from ematix_core.testing.crash import forked
from tests.crash import topics_scenario as consumed
from tests.servers.reach import database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.process import BaseProcess

    from tests.servers.kafka import KafkaCluster

RECORDS, PARTITIONS, SECONDS = 400, 4, 90


@dataclass
class Trial:
    """Records in a topic, and a stream of them into a target that is empty at the start."""

    cluster: KafkaCluster
    folder: Path
    setup: dict[str, Any]
    records: int = 0
    started: int = 0
    logs: list[Path] = field(default_factory=list)

    def start(self, slot: int | str = 0, point: str = "", trace: str = "", *, how: str = "KILL") -> BaseProcess:
        """Start a consumer, to die at `point` (`name#nth`), or to note in `trace` which ones it reaches.

        `how`: "STOP" stops it at the point, until it is sent SIGCONT.
        """
        self.started += 1
        self.logs.append(self.folder.parent / f"{self.folder.name}_{self.started}.log")
        given = {"EMATIX_FAILPOINT": point, "EMATIX_FAILPOINT_TRACE": trace, "EMATIX_FAILPOINT_SIGNAL": how}
        script = str(Path(consumed.__file__))
        return forked(
            [script, str(slot)], self.folder, self.logs[-1], {key: value for key, value in given.items() if value}
        )

    def died(self, process: BaseProcess) -> bool:
        """Wait for the end and say whether it was killed; an end by an error of its own fails the test."""
        process.join(SECONDS)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise AssertionError(f"still running after {SECONDS} s\n{self.told()}")
        assert process.exitcode in {0, -signal.SIGKILL}, f"ended with {process.exitcode}\n{self.told()}"
        return process.exitcode != 0

    def drain(self, slot: int = 0) -> None:
        """Consume to the end, undisturbed."""
        assert not self.died(self.start(slot))

    def declare(self, **changes: Any) -> None:  # noqa: ANN401 - goes into setup.json
        """Say to the consumers that are started from now on what is consumed, from where, into what and how."""
        self.setup |= changes
        (self.folder / "setup.json").write_text(json.dumps(self.setup), encoding="utf-8")

    def produce(self, records: int) -> None:
        """Add that many records to the topic."""
        numbers = range(self.records, self.records + records)
        self.cluster.produce(self.setup["topic"], [consumed.record(number) for number in numbers])
        self.records += records

    def landed(self) -> int:
        """Return how many rows and letters are in the target."""
        return self._found().total()

    def told(self) -> str:
        """Return what the last consumers printed."""
        return "\n".join(f"--- {log.name}\n{log.read_text()[-3000:]}" for log in self.logs[-3:] if log.exists())

    def wrong(self, seconds: float = 15) -> tuple[list[Any], list[Any]]:
        """Return what is missing in the target, and what is there too often. What is still open is waited for."""
        wanted, deadline = self._wanted(), time.monotonic() + seconds
        while True:
            found = self._found()
            lost, repeated = wanted - found, found - wanted
            if not lost or time.monotonic() > deadline:
                return sorted(lost.elements()), sorted(repeated.elements())
            time.sleep(0.5)

    def judge(self, seconds: float = 15) -> None:
        """Fail if anything was lost or is there twice. `seconds`: how long what is missing is waited for."""
        lost, repeated = self.wrong(seconds)
        assert (lost, repeated) == ([], []), f"lost {lost[:20]}, repeated {repeated[:20]}\n{self.told()}"

    def _wanted(self) -> Counter[Any]:
        """Return each version with how often it has to be there, and each letter by its bytes."""
        rows, letters = [], []
        for number in range(self.records):
            text = consumed.record(number)[1]
            if text.endswith("broken"):
                letters.append(("letter", text))
            else:
                rows.append(("row", number % consumed.KEYS, number))
        if self.setup["mode"] in {"merge", "changes"}:
            rows = list({row[1]: row for row in rows}.values())
        if self.setup["mode"] == "changes":
            rows = [row for row in rows if row[2] % consumed.GONE]
        return Counter([*rows, *letters])

    def landed_rows(self) -> tuple[list[dict[str, Any]], list[str]]:
        """Return the rows in the target, and the letters by their bytes."""
        out, dead = self.setup["out"], self.setup["dead"]
        if self.setup["kind"] == "kafka":
            return [json.loads(one) for one in self.messages(out)], [one.decode() for one in self.messages(dead)]
        return self.rows(out), [bytes(row["record_value"]).decode() for row in self.rows(dead)]

    def _found(self) -> Counter[Any]:
        rows, letters = self.landed_rows()
        return Counter([*(("row", row["id"], row["v"]) for row in rows), *(("letter", one) for one in letters)])

    def messages(self, topic: str) -> list[bytes]:
        """Return what is in a topic."""
        return [message.value() or b"" for message in self.cluster.consume(topic, 1_000_000)]

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return what is in a table of the target; nothing when there is none."""
        source = registry.source(consumed.connection(self.setup, self.folder))
        try:
            return source.read(Query(table=table)).read_all().to_pylist()
        except MissingSourceError:
            return []
        finally:
            source.close()


@contextmanager
def trial(
    cluster: KafkaCluster,
    folder: Path,
    kind: str,
    mode: str = "append",
    *,
    records: int = RECORDS,
    made: type[Trial] = Trial,
    **setup: Any,  # noqa: ANN401 - goes into setup.json
) -> Iterator[Trial]:
    """Yield a trial with its records in the topic; a database of its own is gone at the end."""
    folder.mkdir()
    name = f"s{uuid4().hex[:10]}"
    with ExitStack() as stack:
        setup |= {"name": name, "kind": kind, "mode": mode, "kafka": cluster.url, "out": name, "dead": f"{name}_dead"}
        setup["topic"] = cluster.topic("in", PARTITIONS)
        if kind == "kafka":
            setup |= {"out": cluster.topic("out", PARTITIONS), "dead": cluster.topic("dead")}
        elif kind == "postgres":
            setup["postgres"] = stack.enter_context(database("postgres"))
        run = made(cluster, folder, setup)
        run.declare()
        run.produce(records)
        yield run
