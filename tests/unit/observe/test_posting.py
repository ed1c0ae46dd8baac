"""POST of JSON: what the receiver gets, and what its answers mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ematix_core.errors import AlertError, ReceiverError
from ematix_core.observe.posting import post
from tests.unit.observe.receivers import closed_port, http_receiver, trust

if TYPE_CHECKING:
    from tests.unit.observe.receivers import Receiver
    from tools.servers.tls import Tls


def test_the_document_arrives_as_json_with_the_headers(receiver: Receiver) -> None:
    post(receiver.url, {"text": "café \ud800"}, headers={"Authorization": "Bearer x", "content-type": "text/json"})
    ((path, headers, document),) = receiver.requests
    assert path == "/services/T0/B0/xyzzy"
    assert document == {"text": "café \ud800"}
    assert headers["Authorization"] == "Bearer x"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_trouble_of_the_receiver_may_pass(receiver: Receiver, status: int) -> None:
    receiver.answers = [(status, "busy")]
    with pytest.raises(ReceiverError, match=f"the receiver answers {status}: busy"):
        post(receiver.url, {})


@pytest.mark.parametrize("status", [302, 400, 403, 404])
def test_a_refusal_stays_and_redirects_are_not_followed(receiver: Receiver, status: int) -> None:
    receiver.answers = [(status, "no_team"), (200, "ok")]
    with pytest.raises(AlertError, match=f"the receiver answers {status}: no_team") as error:
        post(receiver.url, {})
    assert not isinstance(error.value, ReceiverError)
    assert len(receiver.requests) == 1


def test_an_answer_that_never_ends_is_read_to_its_beginning_only(receiver: Receiver) -> None:
    receiver.answers = [(400, "x" * 1_000_000)]
    with pytest.raises(AlertError) as error:
        post(receiver.url, {})
    assert len(error.value.what) < 400


def test_nobody_who_listens_and_nobody_who_answers_may_pass_and_show_no_path(receiver: Receiver) -> None:
    receiver.answering.clear()
    for url in (receiver.url, f"http://127.0.0.1:{closed_port()}/services/xyzzy", "http://nowhere.invalid/xyzzy"):
        with pytest.raises(ReceiverError, match="no answer") as error:
            post(url, {}, seconds=0.2)
        assert "xyzzy" not in str(error.value)


@pytest.mark.parametrize("url", ["", "ftp://x/y", "xyzzy", "http://", "http://[::1/xyzzy", "http://a b/xyzzy"])
def test_what_is_no_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(AlertError) as error:
        post(url, {})
    assert "xyzzy" not in str(error.value)


def test_a_header_that_cannot_be_sent_is_refused_and_not_shown(receiver: Receiver) -> None:
    with pytest.raises(AlertError, match="the request cannot be made") as error:
        post(receiver.url, {}, headers={"X-Key": "xyzzy\nplugh"})
    assert "xyzzy" not in str(error.value)


def test_a_certificate_is_checked(monkeypatch: pytest.MonkeyPatch, tls: Tls) -> None:
    with http_receiver(tls) as receiver:
        trust(monkeypatch, tls.other_ca)
        with pytest.raises(ReceiverError, match="certificate"):
            post(receiver.url, {})
        trust(monkeypatch, tls.ca)
        post(receiver.url, {"text": "safe"})
        with pytest.raises(ReceiverError, match="certificate"):
            post(receiver.url.replace("localhost", "127.0.0.1"), {})
        assert receiver.documents == [{"text": "safe"}]


def test_a_proxy_of_the_environment_is_used_except_where_it_is_not_wanted(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    monkeypatch.setenv("http_proxy", receiver.url.partition("/services")[0])
    post("http://alerts.invalid/hook", {})
    assert [path for path, _, _ in receiver.requests] == ["http://alerts.invalid/hook"]
    monkeypatch.setenv("no_proxy", "alerts.invalid")
    with pytest.raises(ReceiverError):
        post("http://alerts.invalid/hook", {})
