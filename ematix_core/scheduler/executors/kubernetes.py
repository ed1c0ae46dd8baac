"""The executor `kubernetes://NAMESPACE?image=...`: each task as a Job of a cluster."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ematix_core.errors import ConfigError
from ematix_core.scheduler.executors.kubernetes_api import Api, words
from ematix_core.scheduler.executors.kubernetes_job import (
    OWNED,
    TASK,
    ending_of_job,
    ending_of_pod,
    manifest,
    name_of,
    obstacle,
)
from ematix_core.scheduler.protocols import Ending

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core.scheduler.executors.kubernetes_job import Pod
    from ematix_core.scheduler.protocols import Running, Task

_log = logging.getLogger(__name__)

_CALLS = 8
"""Requests at one time that create or delete Jobs."""
_WATCH_SECONDS = 15
"""Seconds after which everything is looked at anew, whatever was told meanwhile."""
_DELETED = Ending(None, "somebody deleted its Job or its pod")


class KubernetesExecutor:
    """Starts tasks as Jobs in a namespace; implements `Executor`. `context`: of the kubeconfig, default the current.

    A Job's name is made of the workflow run and the job. One that is there already is watched instead of made again,
    so that a scheduler that takes over finds what its predecessor started; one that ended without a result is replaced.
    """

    def __init__(self, namespace: str, pod: Pod, *, context: str = "") -> None:
        """Find out how to reach the cluster. Raises MissingDriverError, ConfigError."""
        self._api = Api(namespace, context, ",".join(f"{key}={value}" for key, value in OWNED.items()))
        self._pod = pod
        self._tasks: dict[str, _JobTask] = {}
        self._calls = ThreadPoolExecutor(_CALLS, thread_name_prefix="ematix-kubernetes")
        self._some = threading.Event()
        self._closed = False
        threading.Thread(target=self._watch, name="ematix-kubernetes-watch", daemon=True).start()

    def start(self, task: Task, ended: Callable[[Ending], None]) -> Running:
        """Have the Job created. Raises ConfigError when it could not reach the store, or is too large."""
        if task.store.startswith(("memory:", "sqlite:")):
            raise ConfigError(
                "pods cannot reach the store: it is a file, or in memory", where=f"job {task.job}",
                hint="Set EMATIX_STORE to a PostgreSQL or MySQL database.",
            )  # fmt: skip
        running = _JobTask(task, ended, self._delete)
        self._calls.submit(self._create, running, manifest(task, self._pod))
        return running

    def reload(self) -> None:
        """Do nothing: every pod loads the project of its image."""

    def close(self) -> None:
        """Delete the Jobs that are at work, and end the threads."""
        for running in list(self._tasks.values()):
            running.kill()
        self._calls.shutdown()
        self._closed = True
        self._some.set()

    def _create(self, running: _JobTask, job: dict[str, Any]) -> None:
        try:
            if not self._api.create(job):
                ending = self._ending_of_ended(running)
                if ending is not None and ending.status is not None:
                    running.end(ending)
                    return
                self._api.replace(job)
        except Exception as error:  # noqa: BLE001 - of the client and of its libraries; whoever waits must get an ending
            running.end(Ending(None, f"its Job could not be created: {words(error)}"))
            return
        self._tasks[running.name] = running
        self._some.set()
        if running.cancelled:
            self._delete(running)

    def _ending_of_ended(self, running: _JobTask) -> Ending | None:
        """Return the ending of a Job that was there already and has ended; it may have done so this very moment."""
        pods, _ = self._api.pods()
        for pod in pods:
            if pod.metadata.labels.get(TASK) == running.name:
                return ending_of_pod(pod, self._pod)
        jobs = {job.metadata.name: job for job in self._api.jobs()}
        return ending_of_job(jobs[running.name], running.task) if running.name in jobs else None

    def _delete(self, running: _JobTask) -> None:
        self._calls.submit(self._delete_now, running)

    def _delete_now(self, running: _JobTask) -> None:
        try:
            self._api.delete(running.name, at_once=running.killed)
        except Exception as error:  # noqa: BLE001 - as above
            _log.warning("the Job %s could not be deleted: %s", running.name, words(error))
        if running.killed:
            self._end(running, Ending(None, "killed"))

    def _watch(self) -> None:
        while not self._closed:
            if not self._tasks:
                self._some.wait()
                self._some.clear()
                continue
            try:
                version = self._look()
                seconds = max(1, min(_WATCH_SECONDS, int(self._pod.start_timeout)))
                for kind, pod in self._api.events(version, seconds):
                    self._look_at(pod, deleted=kind == "DELETED")
                    if not self._tasks:
                        break
            except Exception as error:  # noqa: BLE001 - a watch breaks in many ways, and then begins anew
                _log.warning("the Kubernetes API is asked again: %s", words(error))
                time.sleep(1)

    def _look(self) -> str:
        """Look at every task's Job and pod; return the version from which the watch goes on."""
        known = list(self._tasks.items())
        jobs = {job.metadata.name: job for job in self._api.jobs()}
        pods, version = self._api.pods()  # after the Jobs: when one has failed, its pod says why
        for pod in pods:
            self._look_at(pod)
        with_pods = {pod.metadata.labels.get(TASK) for pod in pods}
        for name, running in known:
            if name in jobs:
                if ending := ending_of_job(jobs[name], running.task):
                    self._end(running, ending)
                elif name not in with_pods:
                    self._wait_for_start(running, "it has no pod", hopeless=False)
            elif name not in with_pods:
                self._end(running, _DELETED)
        return version

    def _look_at(self, pod: Any, *, deleted: bool = False) -> None:  # noqa: ANN401 - the client's V1Pod
        running = self._tasks.get((pod.metadata.labels or {}).get(TASK, ""))
        if running is None:
            return
        if ending := ending_of_pod(pod, self._pod):
            self._end(running, ending)
        elif deleted:
            self._end(running, _DELETED)
        else:
            reason, hopeless = obstacle(pod)
            if reason:
                self._wait_for_start(running, reason, hopeless=hopeless)

    def _wait_for_start(self, running: _JobTask, reason: str, *, hopeless: bool) -> None:
        if not running.cancelled and (hopeless or running.age > self._pod.start_timeout):
            running.kill()
            self._end(running, Ending(None, f"not started after {running.age:.0f} s: {reason}"))

    def _end(self, running: _JobTask, ending: Ending) -> None:
        self._tasks.pop(running.name, None)
        running.end(ending)


class _JobTask:
    """A task that is a Job; implements `Running`."""

    def __init__(self, task: Task, ended: Callable[[Ending], None], delete: Callable[[_JobTask], None]) -> None:
        self.task = task
        self.name = name_of(task)
        self.cancelled = False
        self.killed = False
        self._delete = delete
        self._ended: Callable[[Ending], None] | None = ended
        self._lock = threading.Lock()
        self._began = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since it was submitted."""
        return time.monotonic() - self._began

    def cancel(self) -> None:
        """Delete the Job; its pod gets SIGTERM, and time to roll back."""
        if not self.cancelled:
            self.cancelled = True
            self._delete(self)

    def kill(self) -> None:
        """Delete the Job and its pod at once."""
        if not self.killed:
            self.cancelled = self.killed = True
            self._delete(self)

    def end(self, ending: Ending) -> None:
        """Tell the end, once."""
        with self._lock:
            ended, self._ended = self._ended, None
        if ended is not None:
            ended(ending)
