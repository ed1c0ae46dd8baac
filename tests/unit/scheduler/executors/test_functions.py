"""Tasks that are sent to functions: behind HTTP, and AWS Lambda by boto3."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ematix_core.errors import ConfigError
from ematix_core.scheduler.executors.choice import executor_of
from ematix_core.scheduler.executors.perform import perform
from ematix_core.scheduler.protocols import Ending, Task
from ematix_core.store import Status
from tests.unit.scheduler.executors.fake_functions import Answer, Server, carry_out, ending, serving
from tests.unit.scheduler.executors.harness import Place, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ematix_core.store import RunStore

    Places = Callable[..., AbstractContextManager[Place]]


@pytest.fixture
def places(folder: Path, store: RunStore, url: str, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Make a place whose executor is named by a URL."""
    for name, value in (("ACCESS_KEY_ID", "id"), ("SECRET_ACCESS_KEY", "key"), ("DEFAULT_REGION", "eu-west-1")):
        monkeypatch.setenv(f"AWS_{name}", value)

    @contextmanager
    def make(executor: str) -> Iterator[Place]:
        place = Place(folder, store, url, executor_of(executor, store=store))
        try:
            yield place
        finally:
            place.executor.close()

    return make


def begin_later(server: Server, seconds: float) -> Callable[[dict[str, Any]], Answer]:
    """Return an answer that accepts the task, which is carried out somewhat later."""

    def accept(body: dict[str, Any]) -> Answer:
        def work() -> None:
            time.sleep(seconds)
            perform(Task.from_dict(body))

        server.tasks.append(threading.Thread(target=work))
        server.tasks[-1].start()
        return 202, b""

    return accept


def test_function_carries_the_task_out_and_answers_with_the_ending(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBS_TOKEN", "let-me-in")
    with serving(carry_out) as server, places(f"{server.url}/run?v=2#token=${{JOBS_TOKEN}}") as place:
        started = place.start("good", parameters={"n": 1})
        assert started.ending() == Ending(Status.SUCCEEDED)
        assert place.record(started).rows_read == 3
    assert server.paths == ["/run?v=2"]
    assert server.bodies == [started.task.to_dict() | {"directory": ""}]
    assert server.headers[0]["Authorization"] == "Bearer let-me-in"
    assert server.headers[0]["Content-Type"] == "application/json"
    assert server.headers[0]["Idempotency-Key"].startswith(f'"{started.task.workflow_run_id}/good/')


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ending("failed", "no luck"), Ending(Status.FAILED, "no luck")),
        (ending(None, "lost"), Ending(None, "lost")),
        ((200, b"fine"), Ending(None, "the function answered with no ending: fine")),
        ((404, b"nothing here"), Ending(None, "the function answered 404 Not Found: nothing here")),
        ((500, b""), Ending(None, "the function answered 500 Internal Server Error")),
    ],
)
def test_answer_of_a_function_is_told(places: Places, answer: Answer, expected: Ending) -> None:
    with serving(answer) as server, places(server.url) as place:
        assert place.run("good") == expected


def test_function_that_is_busy_is_asked_again_with_the_same_key(places: Places) -> None:
    with serving((503, b""), (429, b""), ending("succeeded")) as server, places(server.url) as place:
        assert place.run("good") == Ending(Status.SUCCEEDED)
    assert len({headers["Idempotency-Key"] for headers in server.headers}) == 1
    assert len(server.headers) == 3


def test_function_that_accepts_lets_the_store_tell_the_end(places: Places) -> None:
    with serving((202, b"")) as server:
        server.answers[0] = begin_later(server, 0.5)
        with places(f"{server.url}#poll=0.1") as place:
            started = place.start("broken")
            assert started.ending().status is Status.FAILED
            assert "no such luck" in started.ends[0].reason


def test_store_tells_of_the_new_attempt_and_not_of_the_lost_one(places: Places) -> None:
    with serving((202, b"")) as server:
        server.answers[0] = begin_later(server, 0.5)
        with places(f"{server.url}#poll=0.05") as place:
            place.store.begin("good", workflow_run_id="w")
            place.store.finish(place.store.runs()[0].run_id, Status.FAILED, seconds=0, error="the lost one")
            assert place.run("good", workflow_run_id="w") == Ending(Status.SUCCEEDED)


@pytest.mark.parametrize("answer", [(200, None), (409, b"")])
def test_answer_that_is_lost_on_the_way_lets_the_store_tell_the_end(places: Places, answer: Answer) -> None:
    def cut(body: dict[str, Any]) -> Answer:
        carry_out(body)
        return answer

    with serving(cut) as server, places(f"{server.url}#poll=0.1") as place:
        assert place.run("good") == Ending(Status.SUCCEEDED)
    assert len(server.bodies) == 1


def test_function_that_begins_nothing_is_given_up(places: Places) -> None:
    with serving((202, b"")) as server, places(f"{server.url}#poll=0.1&start_timeout=0.5") as place:
        assert place.run("good") == Ending(None, "the function began no run within 0.5 s")


def test_cancel_marks_the_run_as_soon_as_it_is_there(places: Places) -> None:
    with serving((202, b"")) as server, places(f"{server.url}#poll=0.05") as place:
        started = place.start("good")
        started.running.cancel()
        time.sleep(0.2)
        run = place.store.begin("good", workflow_run_id=started.task.workflow_run_id)
        until(lambda: place.store.run(run.run_id).cancel_requested)
        place.store.finish(run.run_id, Status.CANCELLED, seconds=0)
        assert started.ending().status is Status.CANCELLED


def test_killed_task_is_waited_for_no_longer(places: Places) -> None:
    with serving((202, b"")) as server, places(server.url) as place:
        started = place.start("good")
        started.running.kill()
        assert started.ending() == Ending(None, "given up; the function may still be at work")


def test_function_that_is_stuck_past_its_time_is_given_up(places: Places) -> None:
    with serving((202, b"")) as server, places(f"{server.url}#poll=0.1&start_timeout=0.5&grace=0.2") as place:
        started = place.start("good", timeout=0.5)
        place.store.begin("good", workflow_run_id=started.task.workflow_run_id)
        assert started.ending() == Ending(None, "timeout of 0.5 s")


def test_function_that_nobody_serves_is_told(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ematix_core.scheduler.executors.http_function._PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with places(f"http://127.0.0.1:{port}") as place:
        ending_ = place.run("good")
    assert ending_.status is None
    assert ending_.reason.startswith("the function cannot be reached: ")


def test_store_that_a_function_cannot_reach_is_refused(places: Places) -> None:
    for executor, store in (("https://jobs.example.com/run", "sqlite:///runs.db"), ("http://127.0.0.1:9", "memory:")):
        with places(executor) as place, pytest.raises(ConfigError, match="the function cannot reach the store"):
            place.start("good", store=store)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Callable[[Server], None]:
    """Let boto3 take a server for Lambda's endpoint."""
    return lambda server: monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", server.url)


def on_postgres(body: Callable[[dict[str, Any]], Answer], url: str) -> Callable[[dict[str, Any]], Answer]:
    """Return an answer to a task whose store's URL stands for the test's own."""
    return lambda event: body(event | {"store": url})


STORE = "postgresql://db/ematix"


def test_lambda_carries_the_task_out_and_returns_the_ending(
    places: Places, aws: Callable[[Server], None], url: str
) -> None:
    with serving(on_postgres(carry_out, url)) as server:
        aws(server)
        with places("lambda://shop-jobs:live?region=eu-central-1") as place:
            started = place.start("good", store=STORE)
            assert started.ending() == Ending(Status.SUCCEEDED)
            assert place.record(started).rows_read == 3
    assert server.paths == ["/2015-03-31/functions/shop-jobs%3Alive/invocations"]
    assert server.bodies == [started.task.to_dict() | {"directory": ""}]
    assert server.headers[0]["X-Amz-Invocation-Type"] == "RequestResponse"
    assert "/eu-central-1/lambda/" in server.headers[0]["Authorization"]


def test_lambda_that_ends_without_a_result_is_told(places: Places, aws: Callable[[Server], None]) -> None:
    text = {"errorMessage": "Task timed out after 900.00 seconds"}
    with serving((200, json.dumps(text).encode())) as server:
        server.answer_headers["X-Amz-Function-Error"] = "Unhandled"
        aws(server)
        with places("lambda://jobs") as place:
            ending_ = place.run("good", store=STORE)
    assert ending_ == Ending(None, "the function ended without a result: Task timed out after 900.00 seconds")


def test_lambda_that_is_throttled_is_asked_again_and_one_that_is_not_there_is_not(
    places: Places, aws: Callable[[Server], None]
) -> None:
    with serving((429, b"{}"), ending("succeeded"), (404, b"{}")) as server:
        aws(server)
        server.answer_headers["x-amzn-ErrorType"] = "TooManyRequestsException"
        with places("lambda://jobs") as place:
            assert place.run("good", store=STORE) == Ending(Status.SUCCEEDED)
            server.answer_headers["x-amzn-ErrorType"] = "ResourceNotFoundException"
            ending_ = place.run("good", store=STORE)
    assert ending_.status is None
    assert ending_.reason.startswith("the function was not called: ")
    assert "ResourceNotFoundException" in ending_.reason


def test_lambda_whose_answer_is_lost_lets_the_store_tell(
    places: Places, aws: Callable[[Server], None], url: str
) -> None:
    def cut(body: dict[str, Any]) -> Answer:
        carry_out(body | {"store": url})
        return 200, None

    with serving(cut) as server:
        aws(server)
        with places("lambda://jobs?poll=0.1") as place:
            assert place.run("good", store=STORE) == Ending(Status.SUCCEEDED)
    assert len(server.bodies) == 1
