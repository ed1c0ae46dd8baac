"""Each task as a Job of Kubernetes: the official client against an API server of ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ematix_core.errors import ConfigError
from ematix_core.scheduler.executors import kubernetes_api
from ematix_core.scheduler.executors.choice import executor_of
from ematix_core.scheduler.protocols import Ending
from ematix_core.store import Status
from tests.unit.scheduler.executors.fake_kubernetes import Cluster, cluster_on_a_port, kubeconfig
from tests.unit.scheduler.executors.harness import Place, Started, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ematix_core.store import RunStore

STORE = "postgresql://ematix:${STORE_PASSWORD}@db/ematix"
URL = "kubernetes://etl?image=shop:1&context=test&memory=512Mi&cpu=500m"


@pytest.fixture
def cluster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with cluster_on_a_port() as made:
        (folder / "kubeconfig").write_text(kubeconfig(made), encoding="utf-8")
        # The client reads the variable when it is imported, which another test may have done already.
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(folder / "kubeconfig"))
        yield made


@pytest.fixture
def places(folder: Path, store: RunStore, cluster: Cluster) -> Iterator[Callable[..., Place]]:
    """Make places whose executors are of this cluster, with these further options in their URLs."""
    made: list[Place] = []

    def make(options: str = "") -> Place:
        made.append(Place(folder, store, STORE, executor_of(f"{URL}{options}", store=store)))
        return made[-1]

    yield make
    cluster.stays_on_delete = False
    for one in made:
        one.executor.close()


@pytest.fixture
def place(places: Callable[..., Place]) -> Place:
    return places()


def started(place: Place, cluster: Cluster, job: str = "good", **options: object) -> tuple[Started, str]:
    """Start a task and return it with the name of its Job, once that is there."""
    before = len(cluster.created)
    one = place.start(job, **options)
    until(lambda: len(cluster.created) > before)
    return one, str(cluster.created[-1]["metadata"]["name"])


def test_job_is_created_as_the_url_says(places: Callable[..., Place], cluster: Cluster) -> None:
    place = places("&service_account=loader&secrets=store,shop&directory=/app&ttl=60&grace=20&start_timeout=90")
    one, name = started(place, cluster, "Load Orders!", timeout=60.5, workflow_run_id="20260101T0000-ab")
    job = cluster.created[0]
    assert cluster.jobs[name]["metadata"]["namespace"] == "etl"
    assert name.startswith("ematix-load-orders-")
    assert job["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "ematix", "ematix.dev/task": name}
    assert job["metadata"]["annotations"] == {
        "ematix.dev/job": "Load Orders!", "ematix.dev/workflow-run": "20260101T0000-ab",
    }  # fmt: skip
    spec = job["spec"]
    assert (spec["backoffLimit"], spec["ttlSecondsAfterFinished"], spec["activeDeadlineSeconds"]) == (0, 60, 171)
    pod = spec["template"]["spec"]
    assert (pod["restartPolicy"], pod["serviceAccountName"]) == ("Never", "loader")
    assert pod["terminationGracePeriodSeconds"] == 20
    (container,) = pod["containers"]
    assert (container["image"], container["command"]) == ("shop:1", ["flow", "perform-task"])
    assert container["resources"] == {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"memory": "512Mi"}}
    assert container["envFrom"] == [{"secretRef": {"name": "store"}}, {"secretRef": {"name": "shop"}}]
    variables = {variable["name"]: variable["value"] for variable in container["env"]}
    assert variables["EMATIX_ENDING"] == "/dev/termination-log"
    assert json.loads(variables["EMATIX_TASK"]) == one.task.to_dict() | {"directory": "/app"}
    assert "${STORE_PASSWORD}" in variables["EMATIX_TASK"]


def test_pod_carries_the_task_out_and_its_message_is_the_ending(place: Place, cluster: Cluster, url: str) -> None:
    for job, ending in (("good", Ending(Status.SUCCEEDED)), ("exits", None)):
        one, name = started(place, cluster, job)
        # What an image has, the test's folder has; the store is the test's.
        container = cluster.pods[name]["spec"]["containers"][0]
        container["env"][0]["value"] = json.dumps(one.task.to_dict() | {"directory": "", "store": url})
        cluster.run_container(name, place.folder)
        assert one.ending() == (ending or Ending(None, "ended with exit code 3 without a result"))
    assert place.store.runs(job="good")[0].status is Status.SUCCEEDED


@pytest.mark.parametrize(
    ("end", "ending"),
    [
        ((1, "Error", '{"status": "failed", "reason": "no luck"}'), Ending(Status.FAILED, "no luck")),
        ((1, "Error", '{"status": "cancelled", "reason": ""}'), Ending(Status.CANCELLED)),
        ((137, "OOMKilled", ""), Ending(None, "out of memory: 512Mi is allowed")),
        ((137, "Error", ""), Ending(None, "killed by signal 9 (SIGKILL)")),
        ((139, "Error", ""), Ending(None, "segmentation fault (signal 11)")),
        ((2, "Error", "no such option"), Ending(None, "ended with exit code 2 without a result: no such option")),
        ((0, "Completed", ""), Ending(Status.SUCCEEDED)),
    ],
)
def test_end_of_a_container_is_told(place: Place, cluster: Cluster, end: tuple[int, str, str], ending: Ending) -> None:
    one, name = started(place, cluster)
    cluster.set_container(name, running={})
    exit_code, reason, message = end
    cluster.end_container(name, exit_code, reason=reason, message=message)
    assert one.ending() == ending


def test_evicted_pod_is_told(place: Place, cluster: Cluster) -> None:
    one, name = started(place, cluster)
    cluster.set_pod(name, phase="Failed", reason="Evicted", message="The node was low on resource: memory.")
    assert one.ending() == Ending(None, "evicted: The node was low on resource: memory.")


def test_job_past_its_deadline_is_told_though_its_pod_is_gone(places: Callable[..., Place], cluster: Cluster) -> None:
    place = places("&start_timeout=1")  # so that everything is looked at every second
    one, name = started(place, cluster, timeout=60)
    cluster.set_container(name, running={})
    with cluster.changed:
        cluster.end_job(name, "Failed", "DeadlineExceeded")
        cluster.pods[name]["metadata"]["labels"] = {}
    assert one.ending() == Ending(None, "timeout of 60 s")


@pytest.mark.parametrize(
    ("waiting", "options", "reason"),
    [
        ({"reason": "InvalidImageName", "message": "bad"}, "", "InvalidImageName: bad"),
        ({"reason": "ImagePullBackOff", "message": "no shop:1"}, "&start_timeout=1", "ImagePullBackOff: no shop:1"),
    ],
)
def test_image_that_cannot_be_had_ends_the_task_and_deletes_the_job(
    places: Callable[..., Place], cluster: Cluster, waiting: dict[str, str], options: str, reason: str
) -> None:
    one, name = started(places(options), cluster)
    cluster.set_container(name, "Pending", waiting=waiting)
    ending = one.ending()
    assert ending.status is None
    assert ending.reason.startswith("not started after ")
    assert ending.reason.endswith(f" s: {reason}")
    until(lambda: [deleted for deleted, _ in cluster.deleted] == [name])


def test_pod_that_finds_no_node_ends_the_task(places: Callable[..., Place], cluster: Cluster) -> None:
    one, name = started(places("&start_timeout=1"), cluster)
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    cluster.set_pod(name, phase="Pending", conditions=[condition])
    assert one.ending().reason.endswith(" s: Unschedulable: 0/3 nodes")


def test_cancelled_task_has_its_job_deleted_and_ends_with_what_its_pod_says(place: Place, cluster: Cluster) -> None:
    cluster.stays_on_delete = True
    one, name = started(place, cluster)
    cluster.set_container(name, running={})
    one.running.cancel()
    one.running.cancel()
    until(lambda: cluster.deleted != [])
    # Twice when the task is cancelled while its Job is being created.
    assert {(deleted, options["propagationPolicy"]) for deleted, options in cluster.deleted} == {(name, "Foreground")}
    assert not one.over.is_set()
    cluster.end_container(name, 1, message='{"status": "cancelled", "reason": "stopped"}')
    assert one.ending() == Ending(Status.CANCELLED, "stopped")


def test_killed_task_ends_at_once(place: Place, cluster: Cluster) -> None:
    cluster.stays_on_delete = True
    one, name = started(place, cluster)
    cluster.set_container(name, running={})
    one.running.kill()
    assert one.ending().status is None
    assert cluster.deleted[0][1]["gracePeriodSeconds"] == 0


def test_job_that_somebody_deletes_is_told(places: Callable[..., Place], cluster: Cluster) -> None:
    one, name = started(places("&start_timeout=1"), cluster)  # so that everything is looked at every second
    cluster.set_container(name, running={})
    cluster.remove(name)
    assert one.ending() == Ending(None, "somebody deleted its Job or its pod")


def test_job_of_a_dead_scheduler_is_watched_and_not_made_again(places: Callable[..., Place], cluster: Cluster) -> None:
    first = places()
    _, name = started(first, cluster, workflow_run_id="w")
    successor = places()
    again = successor.start("good", workflow_run_id="w", token=2)
    cluster.set_container(name, running={})
    cluster.end_container(name, 0, message='{"status": "succeeded", "reason": ""}')
    assert again.ending() == Ending(Status.SUCCEEDED)
    assert len(cluster.created) == 1


def test_job_that_has_ended_is_replaced_when_the_task_is_started_again(place: Place, cluster: Cluster) -> None:
    one, name = started(place, cluster, workflow_run_id="w")
    cluster.end_container(name, 137, reason="OOMKilled")
    one.ending()
    again, second = started(place, cluster, workflow_run_id="w")
    assert second == name
    cluster.end_container(name, 0, message='{"status": "succeeded", "reason": ""}')
    assert again.ending() == Ending(Status.SUCCEEDED)


def test_server_without_an_answer_is_asked_again(place: Place, cluster: Cluster) -> None:
    cluster.failures += [503, 429, 500]
    one, name = started(place, cluster)
    cluster.end_container(name, 0)
    assert one.ending() == Ending(Status.SUCCEEDED)


def test_refused_job_is_told(place: Place, cluster: Cluster) -> None:
    cluster.failures.append(403)
    ending = place.run("good")
    assert ending.status is None
    assert ending.reason.startswith("its Job could not be created: 403")


def test_store_in_a_file_and_a_task_too_large_are_refused(place: Place, url: str) -> None:
    with pytest.raises(ConfigError, match="pods cannot reach the store"):
        place.start("good", store=url)
    with pytest.raises(ConfigError, match="the task is too large for a Kubernetes Job"):
        place.start("good", parameters={"payload": "x" * 100_000})


def test_cluster_that_nobody_knows_is_refused(store: RunStore, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(folder / "none"))
    with pytest.raises(ConfigError, match="there is no way to the cluster"):
        executor_of("kubernetes://etl?image=shop:1", store=store)
    assert kubernetes_api.words(ValueError("x")) == "ValueError: x"
