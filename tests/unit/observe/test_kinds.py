"""What each kind of alerter sends, received by real servers."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from ematix_core.config.alerting import (
    AlertKind,
    EmailSettings,
    PagerDutySettings,
    SlackSettings,
    StdoutSettings,
    WebhookSettings,
)
from ematix_core.errors import AlertError, ReceiverError
from ematix_core.observe import mail, pagerduty, slack, stdout, webhook
from tests.unit.observe.receivers import (
    SECRET,
    closed_port,
    failure,
    recovery,
    silent_port,
    smtp_receiver,
    trust,
)

if TYPE_CHECKING:
    from tests.unit.observe.receivers import Mailbox, Receiver
    from tools.servers.tls import Tls


def test_stdout_gets_lines_with_the_text_below_the_title(capsys: pytest.CaptureFixture[str]) -> None:
    stdout.send(StdoutSettings(name="log"), failure())
    assert capsys.readouterr().out == (
        "2026-01-31 02:00:05 alert (failure): nightly failed\n    job revenue: no such column\n      SELECT <b> & *c*\n"
    )


def test_stdout_that_is_closed_is_an_error_of_the_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stdout", closed)
    with pytest.raises(AlertError, match="stdout cannot be written"):
        stdout.send(StdoutSettings(name="log"), failure())


def test_a_webhook_gets_the_whole_alert(receiver: Receiver) -> None:
    webhook.send(WebhookSettings(name="hook", url=receiver.url, headers={"X-Key": "k"}), failure())
    webhook.send(WebhookSettings(name="hook", url=receiver.url), recovery(AlertKind.FAILURE, AlertKind.LATE))
    assert receiver.requests[0][1]["X-Key"] == "k"
    told, over = receiver.documents
    assert told == {
        "kind": "failure", "unit": "nightly", "job": "revenue", "run_id": "20260131T020000-1a2b3c4d",
        "at": "2026-01-31T02:00:05+00:00", "title": "nightly failed", "key": "ematix/nightly/failure", "ends": [],
        "text": "job revenue: no such column\n  SELECT <b> & *c*", "tags": ["crm"], "owner": "ann",
    }  # fmt: skip
    assert (over["kind"], over["ends"]) == ("recovery", ["ematix/nightly/failure", "ematix/nightly/late"])


def test_slack_gets_blocks_of_plain_text_within_its_limits(receiver: Receiver) -> None:
    slack.send(SlackSettings(name="team", url=receiver.url), failure(unit="a<b>", title="a<b> & c failed"))
    slack.send(SlackSettings(name="team", url=receiver.url), failure(title="t" * 500, text="x" * 5000))
    slack.send(SlackSettings(name="team", url=receiver.url), recovery(AlertKind.FAILURE))
    first, long, over = receiver.documents
    assert first == {
        "text": "\N{LARGE RED CIRCLE} a&lt;b&gt; &amp; c failed",
        "blocks": [
            {"type": "header", "text": plain("\N{LARGE RED CIRCLE} a<b> & c failed")},
            {"type": "section", "text": plain("job revenue: no such column\n  SELECT <b> & *c*")},
            {"type": "context", "elements": [plain(
                "workflow or job: a<b> · failed job: revenue · run: 20260131T020000-1a2b3c4d · owner: ann · "
                "tags: crm · at: 2026-01-31 02:00:05 UTC"
            )]},
        ],
    }  # fmt: skip
    assert len(long["blocks"][0]["text"]["text"]) == 150
    assert len(long["blocks"][1]["text"]["text"]) == 3000
    assert [block["type"] for block in over["blocks"]] == ["header", "context"]


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def test_pagerduty_resolves_with_the_key_that_it_triggered_with(receiver: Receiver) -> None:
    settings = PagerDutySettings(name="oncall", routing_key="k" * 32, severity="critical", url=receiver.url)
    pagerduty.send(settings, failure())
    pagerduty.send(settings, failure(kind=AlertKind.LATE, title="nightly is late"))
    pagerduty.send(settings, recovery(AlertKind.FAILURE, AlertKind.LATE))
    triggered, late, *resolved = receiver.documents
    assert triggered["routing_key"] == "k" * 32
    assert triggered["event_action"] == "trigger"
    payload = triggered["payload"]
    assert (payload["summary"], payload["severity"], payload["component"], payload["class"], payload["timestamp"]) == (
        "nightly failed", "critical", "nightly", "failure", "2026-01-31T02:00:05+00:00",
    )  # fmt: skip
    assert payload["custom_details"]["text"].startswith("job revenue")
    assert late["payload"]["severity"] == "warning"
    assert resolved == [
        {"routing_key": "k" * 32, "event_action": "resolve", "dedup_key": event["dedup_key"]}
        for event in (triggered, late)
    ]


def test_pagerduty_resolves_only_what_it_was_told_of(receiver: Receiver) -> None:
    on = (AlertKind.FAILURE, AlertKind.RECOVERY)
    settings = PagerDutySettings(name="oncall", routing_key="k", url=receiver.url, on=on)
    pagerduty.send(settings, recovery(AlertKind.FAILURE, AlertKind.LATE))
    assert [event["dedup_key"] for event in receiver.documents] == ["ematix/nightly/failure"]


def test_pagerduty_gets_texts_within_its_limits(receiver: Receiver) -> None:
    settings = PagerDutySettings(name="oncall", routing_key="k", url=receiver.url)
    for unit in ("a" * 300, "a" * 299 + "b"):
        pagerduty.send(settings, failure(unit=unit, title="t" * 2000))
        pagerduty.send(settings, failure(unit=unit, kind=AlertKind.RECOVERY, ends=(AlertKind.FAILURE,)))
    first, first_over, second, second_over = (event["dedup_key"] for event in receiver.documents)
    assert first == first_over != second == second_over
    assert len(first) <= 255
    assert len(receiver.documents[0]["payload"]["summary"]) == 1024


def settings_for(box: Mailbox, **changes: object) -> EmailSettings:
    fields: dict[str, Any] = {
        "name": "mail", "host": "127.0.0.1", "port": box.port, "security": "none",
        "sender": "Ematix <ematix@example.com>", "to": ("ann@example.com", "bob@example.com"),
    }  # fmt: skip
    return EmailSettings(**fields | changes)


def test_a_mail_has_subject_text_and_facts() -> None:
    with smtp_receiver() as box:
        mail.send(settings_for(box), failure(title="nightly\nfailed: café"))
    (got,) = box.mails
    assert box.envelopes == [("ematix@example.com", ["ann@example.com", "bob@example.com"])]
    assert got["Subject"] == "[ematix] nightly failed: café"
    assert (got["From"], got["To"]) == ("Ematix <ematix@example.com>", "ann@example.com, bob@example.com")
    assert got["Date"].datetime == failure().at
    assert got["Auto-Submitted"] == "auto-generated"
    assert got.get_content().splitlines()[2:] == [
        "", "job revenue: no such column", "  SELECT <b> & *c*", "", "workflow or job: nightly",
        "failed job: revenue", "run: 20260131T020000-1a2b3c4d", "owner: ann", "tags: crm",
        "at: 2026-01-31 02:00:05 UTC",
    ]  # fmt: skip


@pytest.mark.parametrize("security", ["starttls", "ssl"])
def test_a_mail_goes_over_tls_and_with_a_login(monkeypatch: pytest.MonkeyPatch, tls: Tls, security: str) -> None:
    with smtp_receiver(security, tls) as box:
        settings = settings_for(box, host="localhost", security=security, user="ann", password=SECRET)
        trust(monkeypatch, tls.other_ca)
        with pytest.raises(ReceiverError, match="certificate"):
            mail.send(settings, failure())
        trust(monkeypatch, tls.ca)
        with pytest.raises(ReceiverError, match="certificate"):
            mail.send(settings_for(box, security=security), failure())
        mail.send(settings, failure())
    assert box.users == ["ann"]
    assert len(box.mails) == 1


def test_a_wrong_password_is_named_and_not_shown() -> None:
    with smtp_receiver() as box, pytest.raises(AlertError, match="the server refuses: 535") as error:
        mail.send(settings_for(box, user="ann", password="hunter3"), failure())  # noqa: S106 - the wrong one
    assert "hunter" not in str(error.value)
    assert not isinstance(error.value, ReceiverError)


def test_a_server_without_starttls_is_refused() -> None:
    with smtp_receiver() as box, pytest.raises(AlertError, match="STARTTLS") as error:
        mail.send(settings_for(box, security="starttls"), failure())
    assert 'security = "ssl"' in error.value.hint


def test_recipients_that_are_refused_are_named() -> None:
    with smtp_receiver() as box:
        box.refused = {"bob@example.com": "550 no such user"}
        with pytest.raises(AlertError, match=r"but not to bob@example\.com"):
            mail.send(settings_for(box), failure())
        assert len(box.mails) == 1
        box.refused |= {"ann@example.com": "550 no such user"}
        with pytest.raises(AlertError, match="the server refuses the recipients: 550 no such user"):
            mail.send(settings_for(box), failure())
        box.refused = dict.fromkeys(["ann@example.com", "bob@example.com"], "450 later")
        with pytest.raises(ReceiverError, match="450 later"):
            mail.send(settings_for(box), failure())


def test_an_address_with_a_line_break_is_refused() -> None:
    with smtp_receiver() as box, pytest.raises(AlertError, match="the mail cannot be made"):
        mail.send(settings_for(box, sender="a@x\nBcc: all@x"), failure())
    assert box.mails == []


def test_a_server_that_is_not_there_or_says_nothing_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "SECONDS", 0.2)
    listening, silent = silent_port()
    with listening:
        for port in (closed_port(), silent):
            with pytest.raises(ReceiverError, match=r"no answer from 127.0.0.1"):
                mail.send(EmailSettings(name="m", host="127.0.0.1", port=port, sender="s@x", to=("a@x",)), failure())
