"""A task as a Kubernetes Job: how it is written, and what its pod and its own state say about the end."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ematix_core.errors import ConfigError
from ematix_core.scheduler.executors import exits
from ematix_core.scheduler.protocols import Ending
from ematix_core.store import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.scheduler.protocols import Task

OWNED = {"app.kubernetes.io/managed-by": "ematix"}
"""The label of every Job of ours, and of its pod."""
TASK = "ematix.dev/task"
"""The label that has the Job's name."""
ENDING_FILE = "/dev/termination-log"
"""What is written there is the pod's termination message:
https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/"""
_CONTAINER = "job"
_LARGEST = 100_000
"""Bytes of a task. Linux takes 131,072 of a single variable."""
_HOPELESS = frozenset({"ErrImageNeverPull", "InvalidImageName"})
"""Reasons to wait that no waiting mends."""
_SIGNALS = 128
"""The exit code of a process that a signal ended is this and the signal's number."""


@dataclass(frozen=True, kw_only=True)
class Pod:
    """What the URL says about the pods."""

    image: str
    cpu: str = ""
    memory: str = ""
    service_account: str = ""
    secrets: tuple[str, ...] = ()
    """Secrets whose keys become variables of the environment, against which `${...}` references are resolved."""
    directory: str = ""
    """The project's folder in the image; empty for the image's own working folder."""
    grace: float = 30.0
    """Seconds to roll back after SIGTERM."""
    start_timeout: float = 300.0
    """Seconds from the creation to the start of the container: for a node to be found, the image to be pulled."""
    ttl: int = 3600
    """Seconds after which a finished Job is deleted."""


def name_of(task: Task) -> str:
    """Return the Job's name: the same for the same job of the same workflow run, so that it is there once."""
    slug = re.sub(r"[^a-z0-9]+", "-", task.job.lower()).strip("-")[:36].rstrip("-") or _CONTAINER
    identity = json.dumps([task.workflow_run_id, task.job, task.slice])
    return f"ematix-{slug}-{sha256(identity.encode()).hexdigest()[:12]}"


def manifest(task: Task, pod: Pod) -> dict[str, Any]:
    """Return the Job. Raises ConfigError when the task is too large for it."""
    text = json.dumps(task.to_dict() | {"directory": pod.directory}, separators=(",", ":"))
    if len(text.encode()) > _LARGEST:
        raise ConfigError(
            f"the task is too large for a Kubernetes Job: {len(text.encode()):,} bytes of {_LARGEST:,}",
            where=f"job {task.job}", hint="Have the message name a place of the data instead of bringing them.",
        )  # fmt: skip
    name = name_of(task)
    labels = {**OWNED, TASK: name}
    spec: dict[str, Any] = {
        "backoffLimit": 0,  # the scheduler starts it again where that makes sense
        "ttlSecondsAfterFinished": pod.ttl,
        "template": {"metadata": {"labels": labels}, "spec": _pod(text, pod)},
    }
    if task.timeout is not None:
        spec["activeDeadlineSeconds"] = math.ceil(pod.start_timeout + task.timeout + pod.grace)
    annotations = {"ematix.dev/job": task.job, "ematix.dev/workflow-run": task.workflow_run_id}
    return {
        "apiVersion": "batch/v1", "kind": "Job", "spec": spec,
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
    }  # fmt: skip


def _pod(task: str, pod: Pod) -> dict[str, Any]:
    # Memory is limited, CPU is not: a limit of CPU slows down what nobody else would use.
    requests = {name: amount for name, amount in (("cpu", pod.cpu), ("memory", pod.memory)) if amount}
    container: dict[str, Any] = {
        "name": _CONTAINER, "image": pod.image, "command": ["flow", "perform-task"],
        "env": [{"name": "EMATIX_TASK", "value": task}, {"name": "EMATIX_ENDING", "value": ENDING_FILE}],
        "envFrom": [{"secretRef": {"name": name}} for name in pod.secrets],
        "resources": {"requests": requests, "limits": {"memory": pod.memory} if pod.memory else {}},
    }  # fmt: skip
    spec: dict[str, Any] = {
        "restartPolicy": "Never", "terminationGracePeriodSeconds": math.ceil(pod.grace), "containers": [container],
    }  # fmt: skip
    return spec | ({"serviceAccountName": pod.service_account} if pod.service_account else {})


def ending_of_pod(found: Any, pod: Pod) -> Ending | None:  # noqa: ANN401 - the client's V1Pod
    """Return how the task ended by what its pod says; None while it goes on."""
    status = found.status
    state = next((one.state for one in status.container_statuses or () if one.name == _CONTAINER), None)
    if state is not None and state.terminated is not None:
        return _ending_of_container(state.terminated, pod)
    if status.phase == "Failed":  # the node or the cluster ended it
        words = (status.reason or "its pod failed").lower() if status.reason == "Evicted" else status.reason
        return Ending(None, ": ".join(filter(None, [words or "its pod failed", status.message])))
    return None


def _ending_of_container(ended: Any, pod: Pod) -> Ending:  # noqa: ANN401 - the client's V1ContainerStateTerminated
    told = _told(ended.message)
    if told is not None:
        return told
    if ended.reason == "OOMKilled":
        return Ending(None, f"out of memory: {pod.memory or 'what the node has'} is allowed")
    if ended.exit_code > _SIGNALS:
        return Ending(None, exits.reason_of_code(_SIGNALS - ended.exit_code))
    if ended.exit_code == 0:
        return Ending(Status.SUCCEEDED)
    details = f": {ended.message}" if ended.message else ""
    return Ending(None, f"{exits.reason_of_code(ended.exit_code)}{details}")


def _told(message: str | None) -> Ending | None:
    try:
        data: Mapping[str, Any] = json.loads(message or "")
        return Ending.from_dict(data)
    except (ValueError, KeyError, TypeError):  # the container wrote something else, or nothing
        return None


def ending_of_job(found: Any, task: Task) -> Ending | None:  # noqa: ANN401 - the client's V1Job
    """Return how the task ended by what its Job alone says; None while it goes on. The pod knows more."""
    conditions = {one.type: one for one in found.status.conditions or () if one.status == "True"}
    if "Complete" in conditions:
        return Ending(Status.SUCCEEDED)
    if (failed := conditions.get("Failed")) is None:
        return None
    if failed.reason == "DeadlineExceeded":
        return Ending(None, f"timeout of {task.timeout or 0:g} s")
    return Ending(None, ": ".join(filter(None, [failed.reason, failed.message])) or "its Job failed")


def obstacle(found: Any) -> tuple[str, bool]:  # noqa: ANN401 - the client's V1Pod
    """Return what keeps a pod from starting, in words, and whether waiting is of no use; empty when it has started."""
    status = found.status
    for container in status.container_statuses or ():
        if container.state.waiting is not None:
            waiting = container.state.waiting
            words = ": ".join(filter(None, [waiting.reason, waiting.message])) or "its container waits"
            return words, waiting.reason in _HOPELESS
        return "", False
    for condition in status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return ": ".join(filter(None, [condition.reason, condition.message])), False
    return ("its pod waits", False) if status.phase == "Pending" else ("", False)
