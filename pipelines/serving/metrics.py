"""What the server tells Prometheus of itself."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one server; a registry of its own, so that two servers don't share them."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.requests = Counter(
            "genco_requests",
            "Requests for a combination, by outcome.",
            ["outcome"],
            registry=registry,
        )
        self.seconds = Histogram(
            "genco_request_seconds",
            "Seconds from request to answer.",
            buckets=SECONDS,
            registry=registry,
        )
        self.batch = Histogram(
            "genco_batch_requests", "Requests answered together.", buckets=SIZES, registry=registry
        )
        self.waiting = Gauge("genco_queue_depth", "Requests that wait.", registry=registry)
        self.version = Info("genco_serving", "The version that serves.", registry=registry)
        self.loads = Counter(
            "genco_champion_loads",
            "Looks at who is champion, by outcome.",
            ["outcome"],
            registry=registry,
        )
        self._registry = registry

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)
