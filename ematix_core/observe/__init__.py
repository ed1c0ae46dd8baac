"""What tells people and other systems how things go: alerts.

- `alert`: one alert, and what an alerter is.
- `alerts`: hands alerts to the alerters that want them, each in a thread of its own.
- `stdout`, `webhook`, `slack`, `mail`, `pagerduty`: the kinds of alerters; `posting` is the HTTP of three of them.
"""
