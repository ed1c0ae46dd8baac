"""Metrics of streams as Prometheus reads them."""

from __future__ import annotations

import socket
from urllib.request import urlopen

import pytest

from ematix_core.errors import ConfigError
from ematix_core.observe.metrics import serving

CLICKS = {"status": "running", "records": 12, "bytes": 300, "batches": 2, "dead": 1, "behind": 4, "latency": None}
TOLD = {"clicks": {"clicks": CLICKS}}


def test_each_target_of_each_stream_is_told() -> None:
    with serving(0, lambda: TOLD) as port, urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    of = '{stream="clicks",target="clicks"}'
    assert f"ematix_stream_records_total{of} 12.0" in lines
    assert f"ematix_stream_dead_total{of} 1.0" in lines
    assert f"ematix_stream_behind{of} 4.0" in lines
    assert f"ematix_stream_up{of} 1.0" in lines
    assert not any(line.startswith("ematix_stream_latency{") for line in lines)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=str(port)), serving(port, dict):
            pass
