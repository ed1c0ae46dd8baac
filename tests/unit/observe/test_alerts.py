"""Handing alerts out: who gets which, and that no receiver ever stops anything."""

from __future__ import annotations

import io
import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from ematix_core.config.alerting import KINDS, AlertKind
from ematix_core.config.redact import Redactor
from ematix_core.config.settings import Settings
from ematix_core.errors import AlertError
from ematix_core.observe import alerts as module
from ematix_core.observe.alert import Alert, wanted
from ematix_core.observe.alerts import TRIES, WAITING, Alerts, declared
from tests.unit.observe.receivers import closed_port, failure, recovery, smtp_receiver

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.observe.receivers import Receiver

EVERY = tuple(AlertKind)


@dataclass
class Recorder:
    """An alerter that keeps what it is given, as slowly as it is told, and fails as it is told."""

    name: str
    on: tuple[AlertKind, ...] = EVERY
    errors: list[Exception] = field(default_factory=list)
    got: list[Alert] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.open.set()

    def send(self, alert: Alert) -> None:
        self.got.append(alert)
        self.open.wait(30)
        if self.errors:
            raise self.errors.pop(0)


def from_toml(folder: Path, text: str, redactor: Redactor, **environ: str) -> Alerts:
    (folder / "ematix.toml").write_text(text)
    settings = Settings.load(folder, environ={"XDG_CONFIG_HOME": str(folder / "config"), **environ})
    return Alerts(declared(settings, redactor), redactor)


def test_every_kind_of_the_settings_has_a_module() -> None:
    assert set(module.MODULES) == set(KINDS)


def test_an_alert_goes_to_the_alerters_that_it_names_and_to_all_when_it_names_none() -> None:
    first, second = Recorder("first"), Recorder("second")
    alerts = Alerts([first, second])
    alerts.send(failure(unit="a"))
    alerts.send(failure(unit="b", to=("second",)))
    assert alerts.close()
    assert [alert.unit for alert in first.got] == ["a"]
    assert [alert.unit for alert in second.got] == ["a", "b"]


def test_a_misspelt_name_silences_nothing() -> None:
    first, second = Recorder("first"), Recorder("second")
    alerts = Alerts([first, second])
    alerts.send(failure(unit="a", to=("frist",)))
    alerts.send(failure(unit="b", to=("frist", "second")))
    assert alerts.close()
    assert [alert.unit for alert in first.got] == ["a"]
    assert [alert.unit for alert in second.got] == ["a", "b"]


@pytest.mark.parametrize(
    ("on", "alert", "gets_it"),
    [
        ([AlertKind.FAILURE], failure(), True),
        ([AlertKind.LATE], failure(), False),
        ([AlertKind.FAILURE], recovery(AlertKind.FAILURE), False),
        ([AlertKind.FAILURE, AlertKind.RECOVERY], recovery(AlertKind.FAILURE), True),
        ([AlertKind.FAILURE, AlertKind.RECOVERY], recovery(AlertKind.LATE), False),
        ([AlertKind.FAILURE, AlertKind.RECOVERY], recovery(AlertKind.LATE, AlertKind.FAILURE), True),
        ([AlertKind.RECOVERY], recovery(AlertKind.LATE), True),
        (EVERY, recovery(AlertKind.LONG_RUN), True),
    ],
)
def test_who_is_told_of_a_trouble_is_told_of_its_end(on: list[AlertKind], alert: Alert, *, gets_it: bool) -> None:
    assert wanted(alert, on) is gets_it


def test_no_thread_is_started_before_there_is_something_to_say() -> None:
    before = threading.active_count()
    alerts = Alerts([Recorder("first")])
    assert threading.active_count() == before
    assert alerts.close()


def test_a_slow_alerter_holds_up_neither_the_caller_nor_the_others(receiver: Receiver, tmp_path: Path) -> None:
    receiver.answering.clear()
    (tmp_path / "ematix.toml").write_text(f'[alerts.slow]\nkind = "webhook"\nurl = "{receiver.url}"')
    redactor, quick = Redactor(), Recorder("quick")
    settings = Settings.load(tmp_path, environ={"XDG_CONFIG_HOME": str(tmp_path)})
    alerts = Alerts([*declared(settings, redactor), quick], redactor)
    began = time.monotonic()
    for _ in range(5):
        alerts.send(failure())
    assert time.monotonic() - began < 0.5
    assert receiver.came.acquire(timeout=10)
    assert alerts.close(timeout=0.5) is False
    assert len(quick.got) == 5
    receiver.answering.set()
    assert alerts.close()
    assert len(receiver.requests) == 5


@pytest.mark.parametrize("answer", [500, 429])
def test_trouble_of_the_receiver_is_tried_again(receiver: Receiver, tmp_path: Path, answer: int) -> None:
    receiver.answers = [(answer, "busy"), (200, "ok")]
    alerts = from_toml(tmp_path, f'[alerts.hook]\nkind = "webhook"\nurl = "{receiver.url}"', Redactor())
    alerts.send(failure())
    assert receiver.came.acquire(timeout=10)
    assert alerts.close()
    assert [document["title"] for document in receiver.documents] == ["nightly failed"] * 2


def test_an_alert_that_cannot_be_delivered_is_logged_and_the_next_one_is_sent(
    receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = [(403, "invalid_token"), (200, "ok")]
    alerts = from_toml(tmp_path, f'[alerts.team]\nkind = "slack"\nurl = "{receiver.url}"', Redactor())
    alerts.send(failure())
    alerts.send(recovery(AlertKind.FAILURE))
    assert alerts.close()
    assert len(receiver.requests) == 2
    (record,) = [record for record in caplog.records if record.name == module.__name__]
    assert record.levelname == "ERROR"
    assert record.message.startswith(
        "alert 'nightly failed' was not delivered: the receiver answers 403: invalid_token (alerter team)"
    )


def test_whatever_an_alerter_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    wrong = Recorder("wrong", errors=[ZeroDivisionError("no"), AlertError("refused")])
    alerts = Alerts([wrong])
    for _ in range(3):
        alerts.send(failure())
    assert alerts.close()
    assert len(wrong.got) == 3
    said = [record.message for record in caplog.records]
    assert said == [
        "alert 'nightly failed' was not delivered: ZeroDivisionError: no",
        "alert 'nightly failed' was not delivered: refused",
    ]


def test_a_receiver_that_is_not_there_is_tried_three_times_and_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = f'[alerts.team]\nkind = "slack"\nurl = "http://127.0.0.1:{closed_port()}/services/xyzzy-secret"'
    alerts = from_toml(tmp_path, text, Redactor())
    alerts.send(failure())
    assert alerts.close()
    assert "Connection refused" in caplog.records[-1].message
    assert TRIES == 3


def test_more_alerts_than_can_wait_are_dropped_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    slow = Recorder("slow")
    slow.open.clear()
    alerts = Alerts([slow])
    for _ in range(WAITING + 2):
        alerts.send(failure())
        while not slow.got:  # the first one is no longer waiting
            time.sleep(0.001)
    assert [record.message for record in caplog.records] == [
        f"alert 'nightly failed' is dropped: alerter slow has {WAITING} alerts to send already"
    ]
    slow.open.set()
    assert alerts.close()
    assert len(slow.got) == WAITING + 1


def test_what_comes_after_the_end_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    alerts = Alerts([Recorder("first")])
    assert alerts.close()
    alerts.send(failure())
    assert [record.message for record in caplog.records] == [
        "alert 'nightly failed' is dropped: alerter first is closed"
    ]


def test_secrets_are_resolved_when_an_alert_is_sent(receiver: Receiver, tmp_path: Path) -> None:
    key = tmp_path / "key"
    text = f'[alerts.hook]\nkind = "webhook"\nurl = "${{HOOK}}"\nheaders = {{ X-Key = "${{file:{key}}}" }}'
    alerts = from_toml(tmp_path, text, Redactor(), HOOK=receiver.url)
    for value in ("first", "second"):
        key.write_text(value)
        alerts.send(failure())
        assert receiver.came.acquire(timeout=10)
    assert alerts.close()
    assert [headers["X-Key"] for _, headers, _ in receiver.requests] == ["first", "second"]


def test_secrets_stand_in_no_log(receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    redactor, written = Redactor(), io.StringIO()
    handler = logging.StreamHandler(written)
    handler.addFilter(redactor)
    logging.getLogger().addHandler(handler)
    caplog.set_level(logging.DEBUG)
    receiver.answers = [(403, "what is xyzzy-of-a-good-length, and hunter2-mail?")]
    with smtp_receiver() as box:
        text = f"""
        [alerts.team]
        kind = "slack"
        url = "{receiver.url}?token=xyzzy-of-a-good-length"
        [alerts.gone]
        kind = "webhook"
        url = "http://127.0.0.1:{closed_port()}/hooks/xyzzy-of-a-good-length"
        headers = {{ Authorization = "Bearer ${{BEARER}}" }}
        [alerts.unset]
        kind = "slack"
        url = "${{NOTHING}}"
        [alerts.mail]
        kind = "email"
        host = "127.0.0.1"
        port = {box.port}
        security = "none"
        user = "ann"
        password = "${{MAIL}}"
        sender = "s@example.com"
        to = "t@example.com"
        """
        alerts = from_toml(tmp_path, text, redactor, MAIL="hunter2-mail", BEARER="xyzzy-bearer")
        alerts.send(failure())
        assert alerts.close()
    logging.getLogger().removeHandler(handler)
    ours = "\n".join(record.message for record in caplog.records if record.name.startswith("ematix_core"))
    assert ours.count("was not delivered") == 4
    assert "${NOTHING} cannot be resolved" in ours
    for said in (ours, written.getvalue()):
        assert "xyzzy" not in said
        assert "hunter2" not in said
