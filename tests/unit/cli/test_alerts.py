"""`flow alerts`: what is listed, and a test alert that a real receiver gets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.unit.observe.receivers import closed_port, http_receiver

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.conftest import Flow

SETTINGS = """
[alerts.log]
kind = "stdout"
on = "late"

[alerts.oncall]
kind = "pagerduty"
routing_key = "${PAGERDUTY_KEY}"

[alerts.team]
kind = "slack"
url = "https://hooks.slack.example/services/T0/B0/xyzzy"
on = ["failure", "recovery"]
"""


@pytest.fixture
def settings(folder: Path) -> Path:
    (folder / "ematix.toml").write_text(SETTINGS, encoding="utf-8")
    return folder / "ematix.toml"


@pytest.mark.usefixtures("settings")
def test_alerters_are_listed_without_their_secrets(flow: Flow) -> None:
    for arguments in (["alerts"], ["alerts", "list"]):
        lines = flow(*arguments).output.splitlines()
        assert [line.split()[:3] for line in lines] == [
            ["alerter", "kind", "on"], ["log", "stdout", "late"], ["oncall", "pagerduty", "failure,"],
            ["team", "slack", "failure,"],
        ]  # fmt: skip
        assert lines[2].endswith(
            "routing_key=${PAGERDUTY_KEY}, severity=error, url=https://events.pagerduty.com/v2/enqueue"
        )
        assert lines[3].endswith("failure, recovery                  url=***")
    (log, *_) = json.loads(flow("alerts", "--json").output)["alerters"]
    assert log == {"alerter": "log", "kind": "stdout", "on": ["late"], "settings": {}}


@pytest.mark.usefixtures("folder")
def test_no_alerter_is_said_so(flow: Flow) -> None:
    assert flow("alerts").output == "no alerter is declared: write [alerts.NAME] into ematix.toml\n"


@pytest.mark.usefixtures("settings")
def test_a_test_sends_what_the_alerter_wants(flow: Flow) -> None:
    done = flow("alerts", "test", "log")
    assert done.exit_code == 0
    assert "alert (late): this is a test\n    Sent by flow alerts test." in done.output
    assert "log: late sent in 0.0" in done.output
    assert [one["kind"] for one in json.loads(flow("alerts", "test", "log", "--json").stdout)["sent"]] == ["late"]


def test_a_test_of_a_webhook_arrives_and_is_over_at_once(folder: Path, flow: Flow) -> None:
    with http_receiver() as receiver:
        (folder / "ematix.toml").write_text(f'[alerts.hook]\nkind = "webhook"\nurl = "{receiver.url}"')
        done = flow("alerts", "test", "hook", "--json")
    assert [one["kind"] for one in json.loads(done.output)["sent"]] == ["failure", "recovery"]
    told, over = receiver.documents
    assert (told["title"], over["title"]) == ("this is a test", "the test is over")
    assert over["ends"] == [told["key"]]


@pytest.mark.parametrize("status", [403, 500])
def test_a_receiver_that_refuses_is_said_so(folder: Path, flow: Flow, status: int) -> None:
    with http_receiver() as receiver:
        receiver.answers = [(status, "invalid_token")]
        (folder / "ematix.toml").write_text(f'[alerts.team]\nkind = "slack"\nurl = "{receiver.url}"')
        done = flow("alerts", "test", "team")
    assert done.exit_code == 1
    assert f"error: the receiver answers {status}: invalid_token (alerter team)" in done.output
    assert "xyzzy" not in done.output


def test_a_receiver_that_is_not_there_and_a_secret_that_is_not_set_are_named(folder: Path, flow: Flow) -> None:
    (folder / "ematix.toml").write_text(
        f'[alerts.gone]\nkind = "webhook"\nurl = "http://127.0.0.1:{closed_port()}/xyzzy"\n'
        '[alerts.unset]\nkind = "slack"\nurl = "${NO_SUCH_HOOK}"'
    )
    gone = flow("alerts", "test", "gone")
    assert (gone.exit_code, "Connection refused (alerter gone)" in gone.output) == (1, True)
    assert "xyzzy" not in gone.output
    unset = flow("alerts", "test", "unset")
    assert unset.exit_code == 2
    assert "${NO_SUCH_HOOK} cannot be resolved" in unset.output


@pytest.mark.usefixtures("settings")
def test_an_unknown_alerter_is_met_with_the_near_one(flow: Flow) -> None:
    done = flow("alerts", "test", "on_call")
    assert done.exit_code == 2
    assert "no alerter is named 'on_call'\nDid you mean 'oncall'?" in done.output
