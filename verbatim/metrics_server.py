"""Serves a session's metrics as Prometheus text, and its health as JSON, on loopback. Connections are bounded."""

import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from analysis.metrics.definitions import BUCKETS_S, PREFIX, MetricKind
from analysis.metrics.reader import MetricsReader
from analysis.metrics.values import Family, Histogram, MetricValues
from journal.errors import JournalError
from verbatim.health import Health, HealthProbe

HOST = "127.0.0.1"
HOSTS = frozenset({"127.0.0.1", "localhost"})  # of the header Host: a page of another site cannot state them
READY = "/ready"
PROBES = frozenset({"/health", READY})
CONNECTIONS_MAX = 16
CLIENT_SECONDS = 5.0  # that a client may take to send or to read
NEXT_SESSION_SECONDS = 1.0  # between two checks for a newer session


class PortInUseError(Exception):
    """The port cannot be used. The text says what to do."""


def exposition(values: MetricValues) -> bytes:
    """Return the values as Prometheus text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Values(values))
    return generate_latest(registry)


class _Values(Collector):
    """Gives values to prometheus_client."""

    def __init__(self, values: MetricValues) -> None:
        self._values = values

    def collect(self) -> Iterator[Metric]:
        """Yield each metric with its series."""
        yield from map(_family, self._values.families())

    def describe(self) -> list[Metric]:
        """Return nothing: a new registry has no names to compare."""
        return []


def _family(family: Family) -> Metric:
    definition = family.definition
    name, labels = PREFIX + definition.name, definition.labels
    match definition.kind:
        case MetricKind.HISTOGRAM:
            histogram = HistogramMetricFamily(name, definition.help, labels=labels)
            for key, found in family.histograms.items():
                histogram.add_metric(key, buckets=_buckets(found), sum_value=found.sum_s)
            return histogram
        case MetricKind.COUNTER:
            counter = CounterMetricFamily(name, definition.help, labels=labels)
            for key, value in family.numbers.items():
                counter.add_metric(key, value)
            return counter
        case MetricKind.GAUGE:
            gauge = GaugeMetricFamily(name, definition.help, labels=labels)
            for key, value in family.numbers.items():
                gauge.add_metric(key, value)
            return gauge


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    bounds = [*map(str, BUCKETS_S), "+Inf"]
    return list(zip(bounds, accumulate(histogram.counts), strict=True))


class MetricsService:
    """Follows a session in a thread; after its end, the next newer one if there is one."""

    def __init__(
        self,
        reader: MetricsReader,
        *,
        newer: Callable[[Path], Path | None] = lambda _: None,
        on_news: Callable[[str], None] = lambda _: None,
        probe: HealthProbe | None = None,
    ) -> None:
        """Begin with a reader that has caught up.

        Args:
            reader: Of the first session.
            newer: Returns the session to follow after one that ended, or None.
            on_news: Gets one line when a session ended, or another one is followed.
            probe: Answers probes of the session's health.
        """
        self.reader = reader
        self._probe = probe or HealthProbe()
        self._newer, self._on_news = newer, on_news
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self.reader.close()
        self._thread.join(CLIENT_SECONDS)

    def text(self) -> bytes:
        """Return the metrics as of now."""
        return exposition(self.reader.values())

    def health(self) -> Health:
        """Return the session's health as of now."""
        return self._probe.measure(self.reader)

    def _run(self) -> None:
        while not self._stopping.is_set():
            reader = self.reader
            if not reader.ending:
                reader.follow()
            if self._stopping.is_set():
                return
            self._on_news(_ending(reader))
            while not self._change():
                if self._stopping.wait(NEXT_SESSION_SECONDS):
                    return

    def _change(self) -> bool:
        """Read the newer session if there is one. Return True if it is followed from here on."""
        try:
            folder = self._newer(self.reader.folder)
            if folder is None:
                return False
            reader = self.reader.next(folder)
            reader.catch_up()
        except (JournalError, OSError):  # it has just begun: the next check may read it
            return False
        self.reader = reader
        self._on_news(f"session  {folder}")
        return True


def _ending(reader: MetricsReader) -> str:
    if reader.failure:
        return f"session  {reader.folder} cannot be read further: {reader.failure}"
    how = "closed in order" if reader.ending == "closed" else "ended without closing its journal"
    return f"session  {reader.folder} {how}; its last metrics are served"


class MetricsServer(ThreadingHTTPServer):
    """An HTTP server on loopback that answers GET /metrics, /health and /ready."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = CONNECTIONS_MAX

    def __init__(self, port: int, text: Callable[[], bytes], health: Callable[[], Health] | None = None) -> None:
        """Listen.

        Args:
            port: Of loopback; 0 takes a free one.
            text: Returns the metrics.
            health: Returns the session's health; None: probes get 404.

        Raises:
            PortInUseError: The port is in use.
        """
        self.text, self.health = text, health
        self._free = threading.BoundedSemaphore(CONNECTIONS_MAX)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise PortInUseError(
                f"port {port} of {HOST} cannot be used ({error.strerror}). What to do: choose another with --port"
            ) from error

    @property
    def address(self) -> str:
        """The address to scrape."""
        return f"http://{HOST}:{self.server_address[1]}/metrics"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread; a connection beyond the bound is closed."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room for another connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that leaves or sends no HTTP."""


class _Handler(BaseHTTPRequestHandler):
    server: MetricsServer
    timeout: ClassVar[float] = CLIENT_SECONDS
    server_version = "verbatim"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer /metrics, /health and /ready."""
        host = self.headers.get("Host", "").rsplit(":", 1)[0]
        path = self.path.split("?", 1)[0]
        if host not in HOSTS:
            self._answer(403, b"only loopback is served\n", "text/plain")
        elif path == "/metrics":
            self._answer(200, self.server.text(), CONTENT_TYPE_LATEST)
        elif path in PROBES and self.server.health is not None:
            health = self.server.health()
            is_ok = health.is_ready if path == READY else health.is_healthy
            self._answer(200 if is_ok else 503, health.as_json(is_ok=is_ok), "application/json")
        else:
            self._answer(404, b"the metrics are at /metrics, the health at /health and /ready\n", "text/plain")

    def _answer(self, status: int, body: bytes, content: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of http.server
        """Write no log of requests."""


def run(server: MetricsServer, service: MetricsService) -> None:
    """Serve until SIGINT or SIGTERM. Called in the main thread."""
    ended = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: ended.set()) for number in numbers]
    service.start()
    serving = threading.Thread(target=server.serve_forever, name="http", daemon=True)
    serving.start()
    try:
        ended.wait()
    finally:
        server.shutdown()
        server.server_close()
        service.stop()
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
