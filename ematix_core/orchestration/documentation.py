"""Jobs, streams and workflows in words, as Markdown that orchestrators show beside them."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING

from ematix_core.model.connection import mask
from ematix_core.model.mode import Merge, Scd2
from ematix_core.model.trigger import AnyOf

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ematix_core.model.job import Job, Target
    from ematix_core.model.mode import Mode
    from ematix_core.model.stream import Stream
    from ematix_core.model.unit import Unit
    from ematix_core.orchestration.compiled_project import CompiledTarget

_FENCE = re.compile("`{3,}")


def of_job(job: Job, source: str, targets: Iterable[CompiledTarget], sql: str) -> str:
    """Return what a job reads, where it goes, how, and what is checked; secrets masked.

    `source`: the connection that is read. `sql`: the query, empty when only a run can tell.
    """
    lines = [_source(job, source)]
    for declared, compiled in zip(job.targets, targets, strict=True):
        lines += _target(declared, compiled)
    return mask("\n\n".join(filter(None, [job.doc, "\n".join(lines), _query(job, sql)])))


def of_stream(stream: Stream, targets: Iterable[CompiledTarget]) -> str:
    """Return what a stream reads, where it goes, how, and what becomes of bad records; secrets masked."""
    lines = [f"- **source:** {_code([stream.source_name])}, `{stream.source_query}`, from the {stream.start}"]
    for declared, compiled in zip(stream.targets, targets, strict=True):
        lines += _target(declared, compiled)
    if stream.enrich:
        lines.append(f"- **enriched by:** {_code([step.name for step in stream.enrich])}")
    letters = f", `{stream.dead_letter}`" if stream.dead_letter else ""
    lines.append(f"- **bad records:** {stream.on_error}{letters}")
    sql = _fenced(stream.transform_sql) if stream.transform_sql else ""
    return mask("\n\n".join(filter(None, [stream.doc, "\n".join(lines), sql])))


def of_unit(unit: Unit, description: str) -> str:
    """Return what sets a workflow or job off, and the jobs of a workflow in their order."""
    lines = [f"- **{name}:** {text}" for name, text in _conditions(unit)]
    if not unit.single:
        lines += ["- **jobs:**", *(f"    - `{job.name}`{_after(job.depends_on)}" for job in unit.jobs)]
    return "\n\n".join(filter(None, [description, "\n".join(lines)]))


def _conditions(unit: Unit) -> Iterator[tuple[str, str]]:
    if unit.trigger is not None:
        yield "after any of" if isinstance(unit.trigger, AnyOf) else "after", f"`{unit.trigger}`"
    if unit.schedule is not None:
        yield "at", f"`{unit.schedule.cron}` {unit.schedule.timezone}"
        yield "ticks missed in a downtime", unit.catchup
    if unit.messages is not None:
        yield "on each message of", f"`{unit.messages}`"


def _after(names: tuple[str, ...]) -> str:
    return f" after {_code(names)}" if names else ""


def _source(job: Job, source: str) -> str:
    what = f", table `{job.source_table}`" if job.source_table else ""
    mark = f", incremental by `{job.watermark}`" if job.watermark else ""
    return f"- **source:** {_code([source])}{what}{mark}"


def _target(declared: Target, target: CompiledTarget) -> Iterator[str]:
    kind = f" ({target.kind})" if target.kind else ""
    keys = f" by {_code(target.keys)}" if target.keys else ""
    yield f"- **target:** `{target.name}` in {_code([target.connection])}{kind}"
    yield f"    - **mode:** {target.mode}{keys}{_options(declared.mode)}"
    if declared.on_drift != "error":
        yield f"    - **on drift:** {declared.on_drift}"
    if declared.transforms:
        yield f"    - **transforms:** {_code(map(repr, declared.transforms))}"
    if declared.checks:
        yield f"    - **checks:** {', '.join(f'`{check.name}` ({check.severity})' for check in declared.checks)}"
    if declared.after:
        yield f"    - **after the load:** {_code(step.name for step in declared.after)}"
    if declared.maintenance:
        yield f"    - **maintenance:** {_code(step.label() for step in declared.maintenance)}"


def _options(mode: Mode) -> str:
    """Return the options that are not as they are by default, but for the keys, which are told before."""
    if not isinstance(mode, Merge | Scd2):
        return ""
    chosen = {one.name: getattr(mode, one.name) for one in fields(mode) if one.name != "keys"}
    defaults = {one.name: one.default for one in fields(mode) if one.default is not MISSING}
    texts = (f", {name} {_code(_texts(value))}" for name, value in chosen.items() if value != defaults[name])
    return "".join(texts)


def _texts(value: object) -> Iterable[str]:
    return map(str, value) if isinstance(value, tuple) else [str(value)]


def _query(job: Job, sql: str) -> str:
    if job.source_table:
        return ""
    if not sql:
        return "The job's own function says when it runs what is read."
    return _fenced(sql)


def _fenced(sql: str) -> str:
    longest = max((len(found) for found in _FENCE.findall(sql)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}sql\n{_dedented(sql)}\n{fence}"


def _dedented(sql: str) -> str:
    """Return SQL without the indentation of the Python code that it stands in."""
    from inspect import cleandoc

    return cleandoc(sql)


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names if name)
