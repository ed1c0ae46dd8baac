"""Which executor a name or URL means: one table of schemes."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ematix_core.config.secrets import resolve
from ematix_core.config.size import parse_size
from ematix_core.errors import ConfigError, near
from ematix_core.scheduler.executors.options import ExecutorUrl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ematix_core.model.project import Project
    from ematix_core.scheduler.executors.function import Waiting
    from ematix_core.scheduler.protocols import Executor
    from ematix_core.store import RunStore

_log = logging.getLogger(__name__)

_POD_OPTIONS = (
    "image", "cpu", "memory", "service_account", "context", "secrets", "directory", "grace", "start_timeout", "ttl",
)  # fmt: skip
_WAITING_OPTIONS = ("directory", "start_timeout", "grace", "poll")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What executors get beside their URL."""

    store: RunStore
    memory: str = ""
    project: Project | None = None
    modules: tuple[str, ...] = ()
    directory: str = ""


def executor_of(
    name: str,
    *,
    store: RunStore,
    memory: str | None = None,
    project: Project | None = None,
    modules: Sequence[str] = (),
    directory: str = "",
) -> Executor:
    """Return the executor that a name or URL means: `process`, `thread`, `kubernetes://...`, `https://...`, ...

    `store`: the scheduler's own. `memory`: what a job may take where the URL does not say, such as `512 MiB`.
    `project`: for threads, when it is loaded already. `modules` and `directory`: what processes load ahead. References
    in the URL are resolved. Raises ConfigError, SecretError, MissingDriverError.
    """
    url = ExecutorUrl.parse(name)
    make = EXECUTORS.get(url.scheme)
    if make is None:
        raise ConfigError(f"unknown executor {url.scheme!r}", hint=near(url.scheme, EXECUTORS))
    around = Surroundings(
        store=store, memory=memory or "", project=project, modules=tuple(modules), directory=directory
    )
    return make(url, around)


def _thread(url: ExecutorUrl, around: Surroundings) -> Executor:
    from ematix_core.scheduler.executors.thread import ThreadExecutor

    options = url.take(["grace"])
    if around.memory:
        _log.warning("the executor 'thread' cannot hold jobs to the memory limit of %s", around.memory)
    return ThreadExecutor(store=around.store, project=around.project, grace=url.number(options, "grace", 10.0))


def _process(url: ExecutorUrl, around: Surroundings) -> Executor:
    from ematix_core.scheduler.executors.process import ProcessExecutor

    options = url.take(["memory", "grace"])
    memory = options.get("memory") or around.memory
    return ProcessExecutor(
        store=around.store, modules=around.modules, directory=around.directory,
        memory=parse_size(memory, where=url.where) if memory else None, grace=url.number(options, "grace", 10.0),
    )  # fmt: skip


def _kubernetes(url: ExecutorUrl, around: Surroundings) -> Executor:
    from ematix_core.scheduler.executors.kubernetes import KubernetesExecutor
    from ematix_core.scheduler.executors.kubernetes_job import Pod

    options = url.take(_POD_OPTIONS, required=["image"])
    memory = options.get("memory") or (str(parse_size(around.memory)) if around.memory else "")
    pod = Pod(
        image=options["image"], cpu=options.get("cpu", ""), memory=memory,
        service_account=options.get("service_account", ""), directory=options.get("directory", ""),
        secrets=tuple(filter(None, options.get("secrets", "").split(","))), grace=url.number(options, "grace", 30.0),
        start_timeout=url.number(options, "start_timeout", 300.0), ttl=int(url.number(options, "ttl", 3600.0)),
    )  # fmt: skip
    return KubernetesExecutor(resolve(url.place) or "default", pod, context=options.get("context", ""))


def _http(url: ExecutorUrl, around: Surroundings) -> Executor:
    from ematix_core.scheduler.executors.function import FunctionExecutor
    from ematix_core.scheduler.executors.http_function import HttpFunction

    options = url.take(["token", "wait", *_WAITING_OPTIONS])
    address = resolve(url.text)
    host = urlsplit(address).hostname
    if not host or "@" in urlsplit(address).netloc:
        raise ConfigError(
            "the function's URL has no host, or a user before it", where=url.where,
            hint="Write https://host/path, and #token=${VARIABLE} behind it for a bearer token.",
        )  # fmt: skip
    if url.scheme == "http" and options.get("token") and host not in _LOOPBACK:
        raise ConfigError("a token would be sent in the clear", where=url.where, hint="Use https://.")
    function = HttpFunction(address, token=options.get("token", ""), wait=url.number(options, "wait", 3600.0))
    return FunctionExecutor(
        function, store=around.store, directory=options.get("directory", ""), waiting=_waiting(url, options),
        same_host=host in _LOOPBACK,
    )  # fmt: skip


def _lambda(url: ExecutorUrl, around: Surroundings) -> Executor:
    from ematix_core.scheduler.executors.aws_lambda import LambdaFunction
    from ematix_core.scheduler.executors.function import FunctionExecutor

    options = url.take(["region", *_WAITING_OPTIONS])
    name = resolve(url.place)
    if not name:
        raise ConfigError("the URL names no function", where=url.where, hint="Write lambda://name?region=eu-west-1.")
    return FunctionExecutor(
        LambdaFunction(name, region=options.get("region", "")), store=around.store,
        directory=options.get("directory", ""), waiting=_waiting(url, options),
    )  # fmt: skip


def _waiting(url: ExecutorUrl, options: Mapping[str, str]) -> Waiting:
    from ematix_core.scheduler.executors.function import Waiting

    return Waiting(
        start=url.number(options, "start_timeout", 120.0), grace=url.number(options, "grace", 30.0),
        poll=url.number(options, "poll", 2.0),
    )  # fmt: skip


EXECUTORS: Mapping[str, Callable[[ExecutorUrl, Surroundings], Executor]] = {
    "thread": _thread,
    "process": _process,
    "kubernetes": _kubernetes,
    "http": _http,
    "https": _http,
    "lambda": _lambda,
}
