"""What a server counts and times, in the form that Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

__all__ = ["Measures"]

_SECONDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Measures:
    """The metrics of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "xmc_requests", "Requests answered.", ("route", "method", "status"), registry=registry
        )
        self.seconds = Histogram(
            "xmc_request_seconds", "From a request's first byte to the end of its answer.", ("route",),
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.batch_texts = Histogram(
            "xmc_batch_texts", "Queries encoded and searched together.", buckets=_TEXTS, registry=registry
        )
        self.batch_seconds = Histogram(
            "xmc_batch_seconds", "Encoding and searching a batch.", buckets=_SECONDS, registry=registry
        )
        self.waiting = Gauge("xmc_waiting_texts", "Queries that wait for their batch.", registry=registry)
        self.labels = Gauge("xmc_labels", "Labels in the index.", registry=registry)
        self.generation = Gauge(
            "xmc_index_generation", "Versions of the index searched since the start.", registry=registry
        )
        self.since = Gauge(
            "xmc_index_since_seconds", "When this version was opened, since 1970.", registry=registry
        )
        self.stale = Gauge(
            "xmc_index_stale", "1 while the version in the folder cannot be opened.", registry=registry
        )

    def observe(self, gauge: Gauge, value: Callable[[], float]) -> None:
        """Ask for a gauge's value whenever it is read."""
        gauge.set_function(value)

    def text(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self.registry)
