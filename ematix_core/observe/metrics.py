"""Metrics of streams for Prometheus, served over HTTP: https://prometheus.io/docs/instrumenting/exposition_formats/."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ematix_core.errors import ConfigError, MissingDriverError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client.core import Metric

    Told = Mapping[str, Mapping[str, Mapping[str, Any]]]
    """Statistics by stream and target."""

COUNTERS = {
    "records": "Records that were polled and dealt with",
    "bytes": "Bytes of these records, as polled",
    "batches": "Micro-batches that were loaded",
    "dead": "Records that became dead letters",
    "dropped": "Records that were dropped",
    "restarts": "Times that the consumer began again after a failure",
}
GAUGES = {
    "behind": "Records that the source has and the target has not, as of the last time that there was nothing to load",
    "latency": "Seconds from the newest record's event time until it was loaded",
}
_LABELS = ("stream", "target")


class StreamCollector:
    """Asks for the statistics when Prometheus asks for the metrics: `ematix_stream_<name>`, by stream and target."""

    def __init__(self, told: Callable[[], Told]) -> None:
        self._told = told

    def collect(self) -> Iterable[Metric]:
        """Yield each metric."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        told = self._told()
        for names, family in ((COUNTERS, CounterMetricFamily), (GAUGES, GaugeMetricFamily)):
            for name, text in names.items():
                metric = family(f"ematix_stream_{name}", text, labels=_LABELS)
                for stream, targets in told.items():
                    for target, values in targets.items():
                        if values.get(name) is not None:
                            metric.add_metric([stream, target], float(values[name]))
                yield metric
        up = GaugeMetricFamily("ematix_stream_up", "Whether the consumer is at work (1), paused or waiting (0)",
                               labels=_LABELS)  # fmt: skip
        for stream, targets in told.items():
            for target, values in targets.items():
                up.add_metric([stream, target], float(values.get("status") == "running"))
        yield up


@contextmanager
def serving(port: int, told: Callable[[], Told]) -> Iterator[int]:
    """Serve the metrics at `http://0.0.0.0:<port>/metrics`, and yield the port; 0 takes a free one.

    Raises MissingDriverError without prometheus-client, ConfigError for a port that is taken.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError as error:
        raise MissingDriverError("metrics", "prometheus-client", "metrics") from error
    registry = CollectorRegistry()
    registry.register(StreamCollector(told))
    try:
        server, thread = start_http_server(port, registry=registry)
    except OSError as error:
        raise ConfigError(f"metrics cannot be served on port {port}: {error.strerror or error}") from error
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
