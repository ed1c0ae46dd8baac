"""Alerts in a channel of Slack: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ematix_core.observe.alert import AlertKind
from ematix_core.observe.posting import post

if TYPE_CHECKING:
    from ematix_core.config.alerting import SlackSettings
    from ematix_core.observe.alert import Alert

_MARKS = {
    AlertKind.FAILURE: "\N{LARGE RED CIRCLE}",
    AlertKind.RECOVERY: "\N{LARGE GREEN CIRCLE}",
    AlertKind.LATE: "\N{LARGE YELLOW CIRCLE}",
    AlertKind.LONG_RUN: "\N{LARGE YELLOW CIRCLE}",
}
# https://docs.slack.dev/reference/block-kit/blocks/header-block, .../section-block, .../context-block
_HEADER, _SECTION, _CONTEXT = 150, 3000, 2000


def send(settings: SlackSettings, alert: Alert) -> None:
    """Post a message of three blocks: title, text, facts. Their text is plain, so that nothing in it is markup."""
    title = f"{_MARKS[alert.kind]} {alert.title}"
    facts = " · ".join(f"{name}: {value}" for name, value in alert.facts().items())
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(title, _HEADER)}]
    if alert.text:
        blocks.append({"type": "section", "text": _plain(alert.text, _SECTION)})
    blocks.append({"type": "context", "elements": [_plain(facts, _CONTEXT)]})
    post(settings.url, {"text": _escaped(title), "blocks": blocks})


def _plain(text: str, most: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": shortened(text, most), "emoji": False}


def _escaped(text: str) -> str:
    """Return text for a place that knows markup: https://docs.slack.dev/messaging/formatting-message-text#escaping."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def shortened(text: str, most: int) -> str:
    """Return the text, or its beginning and an ellipsis when it has more than so many characters."""
    return text if len(text) <= most else text[: most - 1] + "…"
