"""Vault and AWS over HTTP, Google over gRPC: the real clients against small servers that speak the real protocol."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from ematix_core.config.secret_sources import missing, read_gcp
from ematix_core.config.secrets import resolve
from ematix_core.errors import SecretError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow


class JsonServer(BaseHTTPRequestHandler):
    """Answers with JSON; subclasses say what."""

    def answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Keep the test's output clean."""


class Vault(JsonServer):
    """A key-value engine of version 2 at `secret/` and one of version 1 at `old/`."""

    paths: ClassVar[dict[str, Any]] = {
        "/v1/sys/internal/ui/mounts/secret/shop": {"path": "secret/", "type": "kv", "options": {"version": "2"}},
        "/v1/sys/internal/ui/mounts/secret/none": {"path": "secret/", "type": "kv", "options": {"version": "2"}},
        "/v1/secret/data/shop": {"data": {"password": "hunter2", "port": 5432}, "metadata": {"version": 3}},
        "/v1/sys/internal/ui/mounts/old/shop": {"path": "old/", "type": "kv", "options": None},
        "/v1/old/shop": {"password": "hunter1"},
    }

    def do_GET(self) -> None:
        if self.headers["X-Vault-Token"] != "root":
            self.answer(403, {"errors": ["permission denied"]})
        elif self.path in self.paths:
            self.answer(200, {"request_id": "1", "data": self.paths[self.path]})
        else:
            self.answer(404, {"errors": []})


class SecretsManager(JsonServer):
    """AWS JSON 1.1, as Secrets Manager speaks it."""

    secrets: ClassVar[dict[str, dict[str, str]]] = {
        "shop": {"SecretString": '{"password": "hunter2", "user": "reader"}'},
        "plain": {"SecretString": "hunter3"},
        "binary": {"SecretBinary": "aHVudGVyNA=="},
    }

    def do_POST(self) -> None:
        assert self.headers["X-Amz-Target"] == "secretsmanager.GetSecretValue"
        name = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["SecretId"]
        if name in self.secrets:
            self.answer(200, {"Name": name, **self.secrets[name]})
        else:
            error = "Secrets Manager can't find the specified secret."
            self.answer(400, {"__type": "ResourceNotFoundException", "Message": error})


@contextmanager
def serving(handler: type[JsonServer]) -> Iterator[str]:
    """Serve on loopback and yield the URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    pytest.importorskip("hvac")
    with serving(Vault) as url:
        monkeypatch.setenv("VAULT_ADDR", url)
        monkeypatch.setenv("VAULT_TOKEN", "root")
        yield


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    pytest.importorskip("boto3")
    with serving(SecretsManager) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        yield


@pytest.mark.usefixtures("vault")
def test_vault_gives_a_field_of_either_version_of_its_engine() -> None:
    assert resolve("${vault:secret/shop#password}:${vault:secret/shop#port}") == "hunter2:5432"
    assert resolve("${vault:old/shop#password}") == "hunter1"


@pytest.mark.usefixtures("vault")
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("secret/shop#pasword", "no field 'pasword'.*\n.*Did you mean 'password'"),
        ("secret/none#password", "no secret at secret/none"),
        ("secret/shop", "a path and a field"),
    ],
)
def test_vault_says_what_is_missing(body: str, message: str) -> None:
    with pytest.raises(SecretError, match=message) as error:
        resolve(f"${{vault:{body}}}")
    assert f"${{vault:{body}}} cannot be resolved" in str(error.value)
    assert "hunter2" not in str(error.value)


@pytest.mark.usefixtures("vault")
def test_vault_refuses_a_token_and_it_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "hvs.wrong-token")
    with pytest.raises(SecretError, match="refused the token") as error:
        resolve("${vault:secret/shop#password}")
    assert "wrong-token" not in str(error.value)


@pytest.mark.usefixtures("vault")
def test_vault_needs_an_address_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:1")
    with pytest.raises(SecretError, match="did not answer"):
        resolve("${vault:secret/shop#password}")
    monkeypatch.delenv("VAULT_ADDR")
    with pytest.raises(SecretError, match="VAULT_ADDR is not set"):
        resolve("${vault:secret/shop#password}")


@pytest.mark.usefixtures("aws")
def test_aws_gives_a_field_the_whole_text_or_bytes() -> None:
    assert resolve("${aws:shop#password}") == "hunter2"
    assert resolve("${aws:plain}") == "hunter3"
    assert resolve("${aws:binary}") == "hunter4"


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("body", "message"),
    [("none", "ResourceNotFoundException"), ("plain#x", "not a JSON object"), ("shop#usr", "Did you mean 'user'")],
)
def test_aws_says_what_is_missing(body: str, message: str) -> None:
    with pytest.raises(SecretError, match=message) as error:
        resolve(f"${{aws:{body}}}")
    assert "hunter" not in str(error.value)


def test_gcp_gives_the_latest_version_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    secretmanager = pytest.importorskip("google.cloud.secretmanager_v1")
    grpc = pytest.importorskip("grpc")
    from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
        SecretManagerServiceGrpcTransport,
    )

    def access(request: Any, context: Any) -> Any:  # noqa: ANN401 - protobuf messages, untyped
        if request.name == "projects/shop/secrets/pw/versions/latest":
            return secretmanager.AccessSecretVersionResponse(payload={"data": b"hunter2"})
        context.abort(grpc.StatusCode.NOT_FOUND, f"Secret [{request.name}] not found")
        raise AssertionError

    handler = grpc.method_handlers_generic_handler(
        "google.cloud.secretmanager.v1.SecretManagerService",
        {
            "AccessSecretVersion": grpc.unary_unary_rpc_method_handler(
                access,
                request_deserializer=secretmanager.AccessSecretVersionRequest.deserialize,
                response_serializer=secretmanager.AccessSecretVersionResponse.serialize,
            )
        },
    )
    server = grpc.server(ThreadPoolExecutor(2), handlers=(handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            client = secretmanager.SecretManagerServiceClient(
                transport=SecretManagerServiceGrpcTransport(channel=channel)
            )
            monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "shop")
            assert read_gcp("pw", client) == "hunter2"
            assert read_gcp("projects/shop/secrets/pw", client) == "hunter2"
            with pytest.raises(SecretError, match="versions/3"):
                read_gcp("pw/versions/3", client)
            monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
            with pytest.raises(SecretError, match="GOOGLE_CLOUD_PROJECT is not set"):
                read_gcp("pw", client)
    finally:
        server.stop(None).wait()


def test_a_missing_package_is_named_with_its_extra() -> None:
    assert 'pip install "ematix[vault]"' in str(missing("vault", "hvac"))
