"""Amazon MSK with IAM: the tokens that librdkafka asks for, without the brokers, which only AWS has."""

from __future__ import annotations

import base64
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from ematix_core.backends.kafka.client import Line, consumer
from ematix_core.backends.kafka.settings import settings_of
from ematix_core.errors import ConfigError
from ematix_core.model.connection import KafkaConnection


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    connection = KafkaConnection("msk", bootstrap="127.0.0.1:1", mechanism="AWS_MSK_IAM", region="eu-west-1")
    return Line(settings_of(connection))


def test_a_token_is_signed_for_the_region_and_says_when_it_ends(line: Line) -> None:
    configured = line.configured({})
    assert (configured["security.protocol"], configured["sasl.mechanism"]) == ("SASL_SSL", "OAUTHBEARER")
    token, ends = configured["oauth_cb"]("")
    asked = urlsplit(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode())
    query = parse_qs(asked.query)
    assert asked.hostname == "kafka.eu-west-1.amazonaws.com"
    assert query["Action"] == ["kafka-cluster:Connect"]
    assert query["X-Amz-Credential"][0].startswith("AKIAEXAMPLE/")
    assert 0 < ends - time.time() <= 900


def test_librdkafka_gets_a_token_when_a_client_is_first_asked(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    config = line.configured({"group.id": "ematix"})
    token = config["oauth_cb"]

    def watched(text: str) -> tuple[str, float]:
        asked.append(text)
        found: tuple[str, float] = token(text)
        return found

    monkeypatch.setattr(line, "configured", lambda _own: config | {"oauth_cb": watched})
    client = consumer(line, {"group.id": "ematix"})
    try:
        client.poll(0.5)
    finally:
        client.close()
    assert asked


def test_iam_needs_a_region() -> None:
    with pytest.raises(ConfigError, match="region"):
        settings_of(KafkaConnection("msk", bootstrap="127.0.0.1:1", mechanism="AWS_MSK_IAM"))
