"""An API server of Kubernetes on a port of this machine, as far as Jobs and pods go: real paths, real documents.

Nothing runs by itself: a test says what becomes of a pod, or has its container's command run here.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "let-me-in"  # noqa: S105 - of a server that lives as long as a test
Document = dict[str, Any]


class Cluster:
    """The state behind the API."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.jobs: dict[str, Document] = {}
        self.pods: dict[str, Document] = {}
        self.events: list[tuple[int, str, Document]] = []
        self.created: list[Document] = []
        self.deleted: list[tuple[str, Document]] = []
        self.failures: list[int] = []
        """Statuses with which the next requests are refused."""
        self.stays_on_delete = False
        """Whether a deleted Job's pod goes on until a test ends it."""
        self._versions = itertools.count(100)
        self.port = 0

    def create(self, namespace: str, body: Document) -> Document | None:
        """Add a Job and its pod; None when there is one of this name."""
        name = body["metadata"]["name"]
        with self.changed:
            if name in self.jobs:
                return None
            self.created.append(body)
            metadata = body["metadata"] | {"namespace": namespace, "uid": f"uid-{next(self._versions)}"}
            self.jobs[name] = body | {"metadata": metadata, "status": {}}
            template = body["spec"]["template"]
            self.pods[name] = {
                "apiVersion": "v1", "kind": "Pod", "spec": template["spec"], "status": {"phase": "Pending"},
                "metadata": {"name": f"{name}-x1y2z", "namespace": namespace, "labels": template["metadata"]["labels"]},
            }  # fmt: skip
            self._tell("ADDED", name)
            return self.jobs[name]

    def delete(self, name: str, options: Document) -> bool:
        """Delete a Job, and its pod."""
        with self.changed:
            if name not in self.jobs:
                return False
            self.deleted.append((name, options))
            if not self.stays_on_delete or options.get("gracePeriodSeconds") == 0:
                self.remove(name)
            return True

    def remove(self, name: str) -> None:
        """Make Job and pod vanish."""
        with self.changed:
            del self.jobs[name]
            self._tell("DELETED", name)
            del self.pods[name]

    def set_pod(self, name: str, **status: Any) -> None:  # noqa: ANN401 - fields of a PodStatus
        """Change what a pod says about itself."""
        with self.changed:
            self.pods[name]["status"] = status
            self._tell("MODIFIED", name)

    def set_container(self, name: str, phase: str = "Running", **state: Any) -> None:  # noqa: ANN401 - a ContainerState
        """Change what a pod says about its container."""
        container = {
            "name": "job", "image": "shop:1", "imageID": "", "ready": False, "restartCount": 0, "state": state,
        }  # fmt: skip
        self.set_pod(name, phase=phase, containerStatuses=[container])

    def end_container(self, name: str, exit_code: int, *, reason: str = "Error", message: str = "") -> None:
        """Let a pod's container have ended, and its Job too."""
        terminated: Document = {"exitCode": exit_code, "reason": reason}
        if message:
            terminated["message"] = message
        self.set_container(name, "Succeeded" if exit_code == 0 else "Failed", terminated=terminated)
        self.end_job(name, "Failed" if exit_code else "Complete", "BackoffLimitExceeded" if exit_code else "")

    def end_job(self, name: str, kind: str, reason: str = "") -> None:
        """Let a Job say that it has ended."""
        with self.changed:
            self.jobs[name]["status"] = {"conditions": [{"type": kind, "status": "True", "reason": reason}]}

    def run_container(self, name: str, folder: Path, **environ: str) -> None:
        """Run the container's command here, in the folder of its image, and let the pod tell how it ended."""
        (container,) = self.pods[name]["spec"]["containers"]
        self.set_container(name, running={})
        variables = {one["name"]: one["value"] for one in container["env"]}
        with tempfile.NamedTemporaryFile() as message:
            command = [str(Path(sys.executable).with_name(container["command"][0])), *container["command"][1:]]
            environment = {**os.environ, **environ, **variables, "EMATIX_ENDING": message.name}
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
            text = Path(message.name).read_text(encoding="utf-8")
        self.end_container(name, done.returncode, message=text)

    def _tell(self, kind: str, name: str) -> None:
        version = next(self._versions)
        self.pods[name]["metadata"]["resourceVersion"] = str(version)
        self.events.append((version, kind, json.loads(json.dumps(self.pods[name]))))
        self.changed.notify_all()

    @property
    def version(self) -> int:
        """The version of the latest event."""
        return self.events[-1][0] if self.events else 1


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self._body()
        if self._refuses():
            return
        made = self.cluster.create(self._parts()[-2], body)
        if made is None:
            self._fail(409, "AlreadyExists")
        else:
            self._answer(201, made)

    def do_GET(self) -> None:
        if self._refuses():
            return
        parts = self._parts()
        if parts[-1] == "jobs":
            self._list("JobList", "batch/v1", self.cluster.jobs)
        elif parts[-1] == "pods":
            query = self._query()
            if query.get("watch"):
                with suppress(BrokenPipeError):  # whoever watches may leave
                    self._watch(int(query["resourceVersion"]), float(query["timeoutSeconds"]))
            else:
                self._list("PodList", "v1", self.cluster.pods)
        elif (found := self.cluster.jobs.get(parts[-1])) is not None:
            self._answer(200, found)
        else:
            self._fail(404, "NotFound")

    def do_DELETE(self) -> None:
        options = self._query() | self._body()
        if "gracePeriodSeconds" in options:
            options["gracePeriodSeconds"] = int(options["gracePeriodSeconds"])
        if self._refuses():
            return
        if self.cluster.delete(self._parts()[-1], options):
            self._answer(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})
        else:
            self._fail(404, "NotFound")

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _watch(self, version: int, seconds: float) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with self.cluster.changed:
                news = [event for event in self.cluster.events if event[0] > version]
                if not news:
                    self.cluster.changed.wait(0.05)
            for _, kind, pod in news:
                self._chunk(json.dumps({"type": kind, "object": pod}).encode() + b"\n")
            version = max([version, *(event[0] for event in news)])
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _list(self, kind: str, version: str, found: dict[str, Document]) -> None:
        wanted = dict(pair.split("=") for pair in self._query().get("labelSelector", "").split(",") if pair)
        with self.cluster.changed:
            items = [one for one in found.values() if wanted.items() <= one["metadata"]["labels"].items()]
            metadata = {"resourceVersion": str(self.cluster.version)}
        self._answer(200, {"kind": kind, "apiVersion": version, "metadata": metadata, "items": items})

    def _refuses(self) -> bool:
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._fail(401, "Unauthorized")
            return True
        if self.cluster.failures:
            self._fail(self.cluster.failures.pop(0), "Refused")
            return True
        return False

    def _fail(self, status: int, reason: str) -> None:
        self._answer(
            status, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": status}
        )

    def _answer(self, status: int, document: Document) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _body(self) -> Document:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return dict(json.loads(data)) if data else {}

    def _parts(self) -> list[str]:
        return urlsplit(self.path).path.strip("/").split("/")

    def _query(self) -> Document:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}


@contextmanager
def cluster_on_a_port() -> Iterator[Cluster]:
    """Serve a cluster while the block lasts."""
    cluster = Cluster()
    handler = type("Handler", (_Handler,), {"cluster": cluster})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    cluster.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield cluster
    finally:
        server.shutdown()
        server.server_close()


def kubeconfig(cluster: Cluster) -> str:
    """Return a kubeconfig that knows the cluster under the context `test`, which is not the current one."""
    return json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "elsewhere",
        "clusters": [
            {"name": "here", "cluster": {"server": f"http://127.0.0.1:{cluster.port}"}},
            {"name": "elsewhere", "cluster": {"server": "http://127.0.0.1:9"}},
        ],
        "users": [{"name": "me", "user": {"token": TOKEN}}],
        "contexts": [
            {"name": "test", "context": {"cluster": "here", "user": "me"}},
            {"name": "elsewhere", "context": {"cluster": "elsewhere", "user": "me"}},
        ],
    })  # fmt: skip
