"""What a server counts, in the format of Prometheus."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60)
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # set where several workers count together


class Metrics:
    """The counts of one server; those of all its workers where there are several."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        labels = ("method", "path", "status")
        self.requests = Counter("escnn_requests", "Requests that were answered.", labels, registry=registry)
        self.seconds = Histogram(
            "escnn_request_seconds", "Time from a request to its answer.", ("path",), buckets=SECONDS, registry=registry
        )
        self.sound_seconds = Counter("escnn_sound_seconds", "Seconds of sound that were scored.", registry=registry)
        self.in_hand = Gauge(
            "escnn_requests_in_hand", "Requests that are worked on or wait.", registry=registry,
            multiprocess_mode="livesum",
        )  # fmt: skip

        self.streams = Gauge(
            "escnn_streams", "Streams that are under way.", registry=registry, multiprocess_mode="livesum"
        )

    def text(self) -> bytes:
        """As Prometheus reads them."""
        if SHARED_FOLDER not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
