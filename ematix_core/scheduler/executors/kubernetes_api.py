"""The calls of the Kubernetes API that the executor makes, by the official client."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ematix_core.errors import ConfigError
from ematix_core.scheduler.executors.options import missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PATIENCE = 60.0
"""Seconds to go on trying when the API server does not answer."""
_SECONDS = 20
"""Seconds that one request may take."""
_LOOK_SECONDS = 0.2
_ENDED = {"Complete", "Failed"}
_CONFLICT, _NOT_FOUND, _TOO_MANY, _SERVER = 409, 404, 429, 500


class Api:
    """Jobs and pods with some labels in one namespace. Raises what the client raises, unless said otherwise."""

    def __init__(self, namespace: str, context: str, labels: str) -> None:
        """Read the kubeconfig or, in a pod, its service account. Raises MissingDriverError, ConfigError."""
        try:
            from kubernetes import client
        except ImportError as error:
            raise missing("kubernetes", "kubernetes") from error
        self._namespace = namespace
        self._labels = labels
        api = client.ApiClient(_configuration(context))
        # Any: the client's classes say that each of their fields may be missing.
        self._batch: Any = client.BatchV1Api(api)
        self._core: Any = client.CoreV1Api(api)

    def create(self, job: dict[str, Any]) -> bool:
        """Create the Job unless it is there; return False when it is there and has ended."""
        from kubernetes.client import ApiException

        try:
            self._retrying(self._batch.create_namespaced_job, self._namespace, job)
        except ApiException as error:
            if error.status != _CONFLICT:
                raise
            found = self._retrying(self._batch.read_namespaced_job, job["metadata"]["name"], self._namespace)
            return not {one.type for one in found.status.conditions or () if one.status == "True"} & _ENDED
        return True

    def replace(self, job: dict[str, Any]) -> None:
        """Create the Job after the one of its name is gone."""
        from kubernetes.client import ApiException

        name = job["metadata"]["name"]
        self.delete(name)
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            try:
                self._batch.read_namespaced_job(name, self._namespace, _request_timeout=_SECONDS)
            except ApiException as error:
                if error.status == _NOT_FOUND:
                    break
                raise
            time.sleep(_LOOK_SECONDS)
        self._retrying(self._batch.create_namespaced_job, self._namespace, job)

    def delete(self, name: str, *, at_once: bool = False) -> None:
        """Delete the Job after its pod, which has the time that it asks for to end, unless `at_once`."""
        from kubernetes.client import ApiException

        options = {"grace_period_seconds": 0} if at_once else {}
        try:
            self._batch.delete_namespaced_job(
                name, self._namespace, propagation_policy="Foreground", _request_timeout=_SECONDS, **options
            )
        except ApiException as error:
            if error.status != _NOT_FOUND:
                raise

    def jobs(self) -> list[Any]:
        """Return the Jobs."""
        found = self._batch.list_namespaced_job(self._namespace, label_selector=self._labels, _request_timeout=_SECONDS)
        return list(found.items)

    def pods(self) -> tuple[list[Any], str]:
        """Return the pods, and the version from which `events` goes on."""
        found = self._core.list_namespaced_pod(self._namespace, label_selector=self._labels, _request_timeout=_SECONDS)
        return list(found.items), found.metadata.resource_version

    def events(self, version: str, seconds: int) -> Iterator[tuple[str, Any]]:
        """Yield what happens to pods, `ADDED`, `MODIFIED` or `DELETED` with the pod, for so long."""
        from kubernetes import watch

        untyped: Any = watch
        stream = untyped.Watch().stream(
            self._core.list_namespaced_pod, self._namespace, label_selector=self._labels, resource_version=version,
            timeout_seconds=seconds, _request_timeout=seconds + _SECONDS,
        )  # fmt: skip
        for event in stream:
            yield event["type"], event["object"]

    def _retrying(self, call: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - what the call returns
        from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

        retrying = Retrying(
            stop=stop_after_delay(_PATIENCE), wait=wait_exponential(0.2, max=5), reraise=True,
            retry=retry_if_exception(_may_pass),
        )  # fmt: skip
        return retrying(call, *arguments, _request_timeout=_SECONDS)


def words(error: Exception) -> str:
    """Return an error of the client in one line."""
    status, reason = getattr(error, "status", None), getattr(error, "reason", None)
    body = str(getattr(error, "body", "") or "")
    return f"{status} {reason} {body}".strip() if status else f"{type(error).__name__}: {error}"


def _configuration(context: str) -> Any:  # noqa: ANN401 - the client's Configuration
    from kubernetes import client, config

    configuration = client.Configuration()
    untyped: Any = config
    try:
        if context:
            untyped.load_kube_config(context=context, client_configuration=configuration)
            return configuration
        try:
            untyped.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            untyped.load_kube_config(client_configuration=configuration)
    except config.ConfigException as error:
        raise ConfigError(
            f"there is no way to the cluster: {error}", where="executor kubernetes",
            hint="Set KUBECONFIG, name one of its contexts with context=, or run in a pod with a service account.",
        ) from error  # fmt: skip
    return configuration


def _may_pass(error: BaseException) -> bool:
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    if isinstance(error, ApiException):
        return error.status == _TOO_MANY or (error.status or 0) >= _SERVER
    return isinstance(error, HTTPError)
