"""A compiled project: it is read as it was written, has no secret in it, and costs next to nothing to read."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ematix_core as ematix
from ematix_core.errors import ProjectError, SecretError
from ematix_core.model.connection import make_connection
from ematix_core.model.message import MessageSource
from ematix_core.model.retry import Retry
from ematix_core.model.schedule import Schedule
from ematix_core.model.trigger import AllOf, AnyOf, Event
from ematix_core.model.unit import Unit, UnitJob
from ematix_core.orchestration.compiled_project import (
    CompiledJob,
    CompiledProject,
    CompiledStream,
    CompiledTarget,
    CompiledWorkflow,
)
from ematix_core.orchestration.unit_data import from_data, to_data

HEAVY = ("adbc_driver_manager", "alembic", "duckdb", "pyarrow", "sqlalchemy", "sqlglot", "cronsim")

texts = st.text(max_size=8)
names = st.text(min_size=1, max_size=8)
lists = st.lists(texts, max_size=3).map(tuple)
seconds = st.none() | st.floats(0, 1e9) | st.integers(0, 10**9)
triggers = st.recursive(
    names.map(Event),
    lambda parts: st.builds(
        lambda kind, some: kind(tuple(some)), st.sampled_from([AllOf, AnyOf]), st.lists(parts, min_size=1, max_size=3)
    ),
    max_leaves=6,
)
schedules = st.builds(
    Schedule,
    st.sampled_from(["0 2 * * *", "*/30 * * * MON-FRI", "5 4 1 * *"]),
    st.sampled_from(["UTC", "Europe/Paris"]),
)
settings = st.sampled_from([
    "", "drops", "${DROPS}", "${DROPS:-here}/in", "postgres://ann:${PASSWORD}@${HOST:-db}/lake?sslmode=require",
    "${vault:lake#url}", "$${literal}",
])  # fmt: skip
values = st.recursive(
    st.text(st.characters(exclude_characters="$"), max_size=8) | st.integers() | st.booleans() | st.none() | settings,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=2),
)
connections = st.builds(
    lambda kind, name, where, options: make_connection(
        name, kind, {"url" if kind in {"postgres", "mysql"} else "path": where, "options": options}
    ),
    st.sampled_from(["postgres", "mysql", "sqlite", "duckdb", "objects", "elsewhere"]),
    names, settings, st.dictionaries(st.sampled_from(["chunk", "size"]), values, max_size=2),
)  # fmt: skip
message_sources = st.builds(
    MessageSource, name=names, connection=names | connections, path=texts, table=texts, id_column=texts,
    payload_column=texts, after=st.sampled_from(["delete", "move", "keep"]),
)  # fmt: skip
priorities = st.integers(-5, 5)
unit_jobs = st.builds(UnitJob, names, lists, texts, priorities, seconds)
units = st.builds(
    Unit, name=names, jobs=st.lists(unit_jobs, max_size=3).map(tuple), single=st.booleans(),
    trigger=st.none() | triggers, schedule=st.none() | schedules, messages=st.none() | message_sources,
    catchup=st.sampled_from(["latest", "all", "none"]), pool=texts, priority=priorities, freshness=seconds,
    long_run=seconds, alerts=lists, tags=lists, owner=texts,
)  # fmt: skip
pairs = st.lists(st.tuples(texts, texts), max_size=3).map(tuple)
targets = st.builds(
    CompiledTarget, name=names, connection=texts, kind=texts, mode=texts, keys=lists,
    columns=st.dictionaries(texts, texts, max_size=3).map(lambda columns: tuple(columns.items())),
    checks=st.dictionaries(texts, texts, max_size=3).map(lambda checks: tuple(checks.items())),
)  # fmt: skip
retries = st.builds(Retry, st.integers(0, 9), st.floats(0, 99), st.sampled_from(["fixed", "linear", "exponential"]))
jobs = st.builds(
    CompiledJob, name=names, depends_on=lists, targets=st.lists(targets, max_size=2).map(tuple), source=texts,
    tables=lists, retry=retries, timeout=seconds, pool=texts, priority=priorities, tags=lists, owner=texts,
    description=texts, doc=texts, lineage=st.dictionaries(texts, pairs, max_size=3), file=texts,
    line=st.integers(0, 999),
)  # fmt: skip
streams = st.builds(
    CompiledStream, name=names, targets=st.lists(targets, max_size=2).map(tuple), source=texts, kind=texts,
    query=texts, tags=lists, owner=texts, description=texts, doc=texts, file=texts, line=st.integers(0, 999),
)  # fmt: skip


@st.composite
def projects(draw: st.DrawFn) -> CompiledProject:
    """Return a project whose units have some of its jobs."""
    known = draw(st.lists(jobs, max_size=4, unique_by=lambda job: job.name))
    workflows = []
    for unit in draw(st.lists(units, max_size=3, unique_by=lambda unit: unit.name)):
        some = draw(st.lists(st.sampled_from(known), max_size=3, unique_by=lambda job: job.name)) if known else []
        own = replace(unit, jobs=tuple(UnitJob(job.name) for job in some))
        workflows.append(CompiledWorkflow(unit=own, jobs=tuple(some), description=draw(texts), doc=draw(texts)))
    return CompiledProject.of(
        version=draw(texts), modules=draw(lists), files=draw(st.dictionaries(names, texts, max_size=3)),
        problems=draw(lists), workflows=workflows, jobs=known,
        streams=draw(st.lists(streams, max_size=3, unique_by=lambda stream: stream.name)),
    )  # fmt: skip


def project(count: int = 3, *, size: int = 20) -> CompiledProject:
    """Return a project of jobs in workflows of `size`."""
    made = [
        CompiledJob(
            name=f"job_{i:04}", depends_on=(f"job_{i - 1:04}",) if i % size else (), source="shop",
            tables=("crm.orders",), targets=(
                CompiledTarget(
                    name=f"analytics.table_{i}", connection="warehouse", kind="duckdb", mode="merge", keys=("id",),
                    columns=tuple((f"column_{k}", "BigInt") for k in range(10)),
                ),
            ),
            doc="SELECT a, b, c FROM crm.orders " * 20,
            lineage={f"column_{k}": (("crm.orders", f"column_{k}"),) for k in range(10)},
        )
        for i in range(count)
    ]  # fmt: skip
    workflows = [
        CompiledWorkflow(
            unit=Unit(
                name=f"workflow_{n:02}", jobs=tuple(UnitJob(job.name, job.depends_on) for job in made[n : n + size]),
                schedule=Schedule(f"{n // size % 60} 2 * * *", "Europe/London"),
            ),
            jobs=tuple(made[n : n + size]),
        )
        for n in range(0, count, size)
    ]  # fmt: skip
    return CompiledProject.of(
        version="1", modules=("shop",), files={"shop.py": "0" * 64}, workflows=workflows, jobs=made
    )


@given(units)
def test_a_unit_comes_back_as_it_was(unit: Unit) -> None:
    assert from_data(json.loads(json.dumps(to_data(unit)))) == unit


@given(projects())
def test_a_project_comes_back_as_it_was_from_the_same_text(made: CompiledProject) -> None:
    text = made.to_json()
    again = CompiledProject.from_json(text)
    assert again == made
    assert again.to_json() == text


def test_the_hash_is_of_what_is_declared_alone() -> None:
    made = project()
    (first, *others) = made.jobs
    parts: dict[str, Any] = {"workflows": [], "jobs": made.jobs}
    one = CompiledProject.of(version="1", modules=("a",), files={"a.py": "1"}, **parts)
    other = CompiledProject.of(version="2", modules=("b",), files={"b.py": "2"}, **parts | {"jobs": made.jobs[::-1]})
    changed = CompiledProject.of(
        version="1", modules=("a",), files={"a.py": "1"}, workflows=[], jobs=[replace(first, pool="night"), *others]
    )
    streaming = CompiledProject.of(version="1", modules=("a",), files={}, streams=[CompiledStream(name="s")], **parts)
    assert one.hash == other.hash
    assert len({one.hash, changed.hash, streaming.hash}) == 3


def test_a_name_that_is_not_there_is_answered_with_the_near_one() -> None:
    made = project()
    assert made.job("job_0001").name == "job_0001"
    streams = [CompiledStream(name="clicks")]
    made = CompiledProject.of(
        version="1", modules=(), files={}, workflows=made.workflows, jobs=made.jobs, streams=streams
    )
    assert made.stream("clicks") is streams[0]
    with pytest.raises(ProjectError, match=r"unknown stream 'click'\nDid you mean 'clicks'\?"):
        made.stream("click")
    assert made.workflow("workflow_00").unit.name == "workflow_00"
    with pytest.raises(ProjectError, match=r"unknown job 'jib_0001'\nDid you mean 'job_0001'\?"):
        made.job("jib_0001")
    with pytest.raises(ProjectError, match=r"unknown workflow 'workflow'\nDid you mean 'workflow_00'\?"):
        made.workflow("workflow")


def test_a_target_has_a_uri() -> None:
    assert CompiledTarget(name="crm.orders", connection="lake").uri == "ematix://lake/crm.orders"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"format": 2', '"format": 3'), "the format is 3, and this ematix reads 2"),
        (lambda text: text.replace("job_0000", "job_9999"), "it was changed after it was compiled"),
        (lambda text: text.replace('"jobs"', '"jops"'), "it was changed after it was compiled"),
        (lambda text: json.dumps(json.loads(text), indent=2), "it is no compiled project"),
        (lambda text: text[:-20], "it is no compiled project"),
        (lambda _: "", "it is no compiled project"),
        (lambda _: "[]", "it is no compiled project"),
        (lambda _: "{}", "it is no compiled project"),
        (lambda _: '"format"', "it is no compiled project"),
    ],
)
def test_a_text_that_is_none_is_refused_with_the_remedy(change: Any, message: str) -> None:  # noqa: ANN401 - a function of the text
    with pytest.raises(ProjectError) as caught:
        CompiledProject.from_json(change(project().to_json()))
    assert str(caught.value) == f"{message}\nMake it anew: flow compile"


def _unit(connection: Any) -> Unit:  # noqa: ANN401 - any kind of connection
    source = ematix.queue("orders", connection=connection, table="orders_in")
    return Unit(name="load", jobs=(), messages=source)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("postgres", {"url": "postgres://ann:swordfish@db/lake"}),
        ("postgres", {"url": "postgres://ann:${PASSWORD:-swordfish}@db/lake"}),
        ("postgres", {"url": "postgres://ann:sword${FISH}@db/lake"}),
        ("postgres", {"url": "${LAKE:-postgres://ann:swordfish@db/lake}"}),
        ("postgres", {"url": "postgres://db/lake?password=swordfish"}),
        ("mysql", {"url": "mysql://db/lake", "options": {"token": "swordfish"}}),
        ("elsewhere", {"api_key": "swordfish"}),
        ("elsewhere", {"auth": {"password": "swordfish"}}),
        ("elsewhere", {"urls": ["https://ann:swordfish@host"]}),
    ],
)
def test_a_secret_in_clear_is_refused_and_not_repeated(kind: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ProjectError) as caught:
        to_data(_unit(make_connection("lake", kind, settings)))
    assert str(caught.value).startswith(
        "the connection has a secret in clear, which is not written into a file (workflow load, connection lake)\n"
        "Write a reference in its place: ${NAME}"
    )
    assert "swordfish" not in str(caught.value)


def test_references_are_written_as_they_are() -> None:
    lake = make_connection("lake", "postgres", {"url": "postgres://ann:${PASSWORD}@${HOST:-db}/lake"})
    data = to_data(_unit(lake))
    assert data["messages"]["connection"]["url"] == "postgres://ann:${PASSWORD}@${HOST:-db}/lake"
    with pytest.raises(SecretError, match="workflow load, connection lake"):
        to_data(_unit(make_connection("lake", "postgres", {"url": "${OPEN"})))


@pytest.mark.parametrize(
    ("connection", "message"),
    [
        (ematix.MemoryConnection("here"), "messages from a connection of kind 'memory' live in one process"),
        (make_connection("x", "elsewhere", {"since": (1, 2)}), "the connection has settings that JSON has no form for"),
        (make_connection("x", "elsewhere", {"key": b"1"}), "the connection has settings that JSON has no form for"),
    ],
)
def test_a_connection_that_no_file_can_hold_is_refused(connection: Any, message: str) -> None:  # noqa: ANN401 - any kind of connection
    with pytest.raises(ProjectError, match=message):
        to_data(_unit(connection))


def test_reading_loads_no_library_for_databases_and_sql() -> None:
    text = CompiledProject.of(version="1", modules=(), files={}, workflows=[], jobs=project().jobs).to_json()
    program = (
        "import sys; from ematix_core.orchestration.compiled_project import CompiledProject\n"
        f"CompiledProject.from_json({text!r})\n"
        "print(*(name for name in sys.argv[1:] if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program, *HEAVY], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_reading_a_thousand_jobs_takes_far_less_than_100_ms() -> None:
    text = project(1_000).to_json()

    def seconds() -> float:
        begin = time.process_time()
        assert len(CompiledProject.from_json(text).jobs) == 1_000
        return time.process_time() - begin

    assert min(seconds() for _ in range(5)) < 0.100
