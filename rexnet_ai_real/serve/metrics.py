"""What Prometheus may know: counts, durations and lengths; never a name, an address or anything of an image."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector


class Metrics:
    """In a registry of its own, so that two services in one process do not meet."""

    def __init__(self) -> None:
        """All counts are zero."""
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "rexnet_requests", "Requests answered.", ("route", "method", "status"), registry=self._registry
        )
        self.seconds = Histogram(
            "rexnet_request_seconds",
            "From the head of a request to the end of its answer.",
            ("route",),
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self._registry,
        )
        self.images = Counter("rexnet_images", "Images by answer.", ("label",), registry=self._registry)
        self.batch = Histogram(
            "rexnet_batch_images",
            "Images that went through the network together.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self._registry,
        )
        self.waiting = Gauge("rexnet_waiting_images", "Images that wait or are judged.", registry=self._registry)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)
