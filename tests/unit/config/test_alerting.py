"""`[alerts.NAME]`: what an alerter may have, and that its secrets are shown nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ematix_core.config.alerting import (
    AlerterSettings,
    AlertKind,
    EmailSettings,
    PagerDutySettings,
    SlackSettings,
    StdoutSettings,
    WebhookSettings,
)
from ematix_core.config.redact import Redactor
from ematix_core.config.settings import Settings
from ematix_core.errors import ConfigError, SecretError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECRET, SECRETS_PLACE = "hunter2!", "${MAIL_PASSWORD}"
HOOK = "https://hooks.slack.example/services/T0/B0/xyzzy-of-a-good-length"


def load(folder: Path, text: str) -> Mapping[str, AlerterSettings]:
    (folder / "ematix.toml").write_text(text)
    return Settings.load(folder, environ={"XDG_CONFIG_HOME": str(folder / "config")}).alerts


def test_each_kind_has_a_record_of_its_own(tmp_path: Path) -> None:
    assert load(
        tmp_path,
        """
        [alerts.log]
        kind = "stdout"
        [alerts.hook]
        kind = "webhook"
        url = "${HOOK}"
        headers = { Authorization = "Bearer ${TOKEN}" }
        on = "failure"
        [alerts.team]
        kind = "slack"
        url = "${SLACK}"
        on = ["recovery", "failure"]
        [alerts.mail]
        kind = "email"
        host = "smtp.example.com"
        user = "ann"
        password = "${MAIL_PASSWORD}"
        sender = "ematix@example.com"
        to = "ann@example.com"
        [alerts.oncall]
        kind = "pagerduty"
        routing_key = "${file:/run/secrets/key}"
        severity = "critical"
        """,
    ) == {
        "log": StdoutSettings(name="log", on=tuple(AlertKind)),
        "hook": WebhookSettings(
            name="hook", url="${HOOK}", headers={"Authorization": "Bearer ${TOKEN}"}, on=(AlertKind.FAILURE,)
        ),
        "team": SlackSettings(name="team", url="${SLACK}", on=(AlertKind.FAILURE, AlertKind.RECOVERY)),
        "mail": EmailSettings(
            name="mail", host="smtp.example.com", port=0, security="starttls", user="ann",
            password=SECRETS_PLACE, sender="ematix@example.com", to=("ann@example.com",),
        ),
        "oncall": PagerDutySettings(name="oncall", routing_key="${file:/run/secrets/key}", severity="critical"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[alerts]\nops = 'x'", r"an alerter is a table \(.*\[alerts.ops\]"),
        ("[alerts.ops]\nurl = 'x'", r"the alerter has no kind .*\nKnown: email, pagerduty"),
        ("[alerts.ops]\nkind = 'slak'", r"unknown kind 'slak' \(.*\[alerts.ops\]\)\nDid you mean 'slack'"),
        ("[alerts.ops]\nkind = 'slack'", "an alerter of kind slack needs url = ..."),
        ("[alerts.ops]\nkind = 'slack'\nurl = 'x'\nulr = 'x'", "Did you mean 'url'"),
        ("[alerts.ops]\nkind = 'slack'\nurl = 1", r"url must be text, such as '\$\{...\}'"),
        ("[alerts.ops]\nkind = 'slack'\nurl = '${'", r"url: a \$\{ is not closed"),
        (
            "[alerts.ops]\nkind = 'stdout'\non = ['failed']",
            r"unknown kind of alert 'failed' .*\nDid you mean 'failure'",
        ),
        ("[alerts.ops]\nkind = 'stdout'\non = []", "on must be a list of texts"),
        ("[alerts.ops]\nkind = 'webhook'\nurl = 'x'\nheaders = 'x'", "headers must be a table"),
        ("[alerts.ops]\nkind = 'pagerduty'\nrouting_key = 'x'\nseverity = 'eror'", "Did you mean 'error'"),
        (
            "[alerts.ops]\nkind = 'email'\nhost = 'h'\nsender = 's'\nto = 't'\nsecurity = 'tls'",
            "unknown security 'tls'",
        ),
        ("[alerts.ops]\nkind = 'email'\nhost = 'h'\nsender = 's'\nto = ['${']", "to: a "),
        (
            "[alerts.ops]\nkind = 'email'\nhost = 'h'\nsender = 's'\nto = 't'\nport = '25'",
            "port must be a whole number",
        ),
    ],
)
def test_a_mistake_is_named_with_file_and_table(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text)


def test_a_secret_is_shown_as_its_reference_or_not_at_all() -> None:
    hook = WebhookSettings(name="hook", url="https://x/${TOKEN:-hunter2!}", headers={"X-Key": SECRET})
    assert hook.shown() == {"url": "https://x/${TOKEN}", "headers": "X-Key: ***"}
    assert SlackSettings(name="team", url=HOOK).shown() == {"url": "***"}
    mail = EmailSettings(name="mail", host="h", password=SECRET, sender="s", to=("a@x", "b@x"))
    assert mail.shown() == {
        "host": "h", "security": "starttls", "password": "***", "sender": "s", "to": "a@x, b@x",
    }  # fmt: skip
    assert "hunter2" not in repr((hook, mail))
    assert "xyzzy" not in repr(SlackSettings(name="team", url=HOOK))


def test_references_are_resolved_when_asked_for_and_the_redactor_learns_them() -> None:
    redactor = Redactor()
    environ = {
        "HOOK": HOOK,
        "BEARER": "open-sesame",
        "TYPE": "application/json",
        "MAIL_PASSWORD": SECRET,
        "TO": "ann@x",
    }
    headers = {"Authorization": "Bearer ${BEARER}", "Accept": "application/json"}
    hook = WebhookSettings(name="hook", url="${HOOK}", headers=headers).resolved(redactor=redactor, environ=environ)
    assert hook.url == HOOK
    assert hook.headers == {"Authorization": "Bearer open-sesame", "Accept": "application/json"}
    mail = EmailSettings(name="mail", host="h", password=SECRETS_PLACE, sender="s", to=("${TO}",))
    assert mail.resolved(redactor=redactor, environ=environ).to == ("ann@x",)
    path = "/services/T0/B0/xyzzy-of-a-good-length"
    said = f"{HOOK} and {path} (xyzzy-of-a-good-length) with open-sesame, hunter2! to ann@x as application/json"
    assert redactor.mask(said) == "*** and *** (***) with ***, *** to ann@x as application/json"


def test_a_literal_secret_is_learnt_as_well() -> None:
    redactor = Redactor()
    PagerDutySettings(name="oncall", routing_key="0123456789abcdef").resolved(redactor=redactor, environ={})
    assert redactor.mask("key 0123456789abcdef") == "key ***"


def test_a_reference_that_cannot_be_resolved_names_alerter_and_option() -> None:
    with pytest.raises(SecretError, match=r"\$\{HOOK\} cannot be resolved: .* \(alerter team, option url\)"):
        SlackSettings(name="team", url="${HOOK}").resolved(environ={})
