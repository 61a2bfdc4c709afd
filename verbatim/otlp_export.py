"""Sends spans of a session to an OpenTelemetry collector over OTLP/HTTP. A reader process runs it, never the trader.

The journal is the queue: while the collector does not answer, no further record is read, so nothing is lost.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from analysis.order_spans import OrderSpans, Span
from analysis.record_stream import RecordStream
from journal.disk import is_locked
from journal.reader import Journal
from journal.record import Kind

TRACES_PATH = "/v1/traces"
BATCH = 512  # spans of one request
BATCH_SECONDS = 1.0  # that a span waits at most while records come
TIMEOUT_SECONDS = 10.0  # of one request, with the exporter's own repetitions
RETRY_SECONDS_FIRST, RETRY_SECONDS_MAX = 1.0, 30.0
TRIES_MAX = 5  # for a session that has ended; a running one is tried without end
KINDS = frozenset(Kind) - {Kind.FEED, Kind.TIMER, Kind.CHECKPOINT}


class CollectorError(Exception):
    """The collector did not take spans of a session that has ended."""


def traces_address(endpoint: str) -> str:
    """Return the address for traces: an endpoint without a path gets the standard one.

    >>> traces_address("http://127.0.0.1:4318"), traces_address("https://x/otlp/v1/traces")
    ('http://127.0.0.1:4318/v1/traces', 'https://x/otlp/v1/traces')
    """
    parts = urlsplit(endpoint)
    if "@" in parts.netloc:
        raise ValueError("the address holds a name or a password. What to do: set OTEL_EXPORTER_OTLP_HEADERS instead")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{endpoint!r} is not an http or https address, as http://127.0.0.1:4318")
    return parts._replace(path=TRACES_PATH).geturl() if parts.path in ("", "/") else endpoint


class SessionExport:
    """Exports one session: its records so far, then each new one until its end. `stop` may be called by a signal."""

    def __init__(self, folder: Path, exporter: SpanExporter, on_news: Callable[[str], None]) -> None:
        """Prepare the export.

        Args:
            folder: The session.
            exporter: Sends batches.
            on_news: Gets one line when the collector fails, and when it takes spans again.

        Raises:
            JournalError: The session cannot be read.
        """
        self.sent = 0  # spans
        self.ending = ""  # as RecordStream.ending
        self._folder = folder
        self._journal = Journal.open(folder)
        self._stream = RecordStream(folder, from_seq=self._journal.last_seq + 1)
        self._exporter, self._on_news = exporter, on_news
        self._spans = OrderSpans()
        self._waiting: list[Span] = []
        self._waiting_since_s = 0.0
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End soon. Spans that have not ended are not sent: the next export sends them."""
        self._stopping.set()
        self._stream.close()

    def run(self) -> None:
        """Export until the session ends or `stop` is called.

        Raises:
            CollectorError: The collector does not take the spans of a session that has ended.
            JournalError: A record cannot be read.
        """
        for record in self._journal.records(kinds=KINDS):
            self._put(self._spans.add(record))
            if self._stopping.is_set():
                return
        if self._journal.closed:
            self._stream.close()
            self.ending = "closed"
        else:
            self._send()
            for record in self._stream:
                self._put(self._spans.add(record) if record.kind in KINDS else [])
            self.ending = self._stream.ending
        if self.ending in ("closed", "stopped"):
            self._waiting += self._spans.finish()
            self._send()

    def _put(self, spans: Sequence[Span]) -> None:
        now_s = time.monotonic()
        if spans and not self._waiting:
            self._waiting_since_s = now_s
        self._waiting += spans
        if len(self._waiting) >= BATCH or (self._waiting and now_s - self._waiting_since_s >= BATCH_SECONDS):
            self._send()

    def _send(self) -> None:
        """Send all that waits, and repeat until the collector took it."""
        while self._waiting and not self._stopping.is_set():
            batch = self._waiting[:BATCH]
            self._send_batch([self._readable(span) for span in batch])
            if not self._stopping.is_set():
                del self._waiting[: len(batch)]
                self.sent += len(batch)

    def _send_batch(self, batch: list[ReadableSpan]) -> None:
        tries, pause_s = 0, RETRY_SECONDS_FIRST
        while self._exporter.export(batch) is not SpanExportResult.SUCCESS:
            tries += 1
            if tries >= TRIES_MAX and (self._journal.closed or not is_locked(self._folder)):
                raise CollectorError(f"the collector did not take spans in {tries} tries")
            if tries == 1:
                self._on_news("the collector does not take spans; the same ones are sent again until it does")
            if self._stopping.wait(pause_s):
                return
            pause_s = min(2 * pause_s, RETRY_SECONDS_MAX)
        if tries:
            self._on_news("the collector takes spans again")

    def _readable(self, span: Span) -> ReadableSpan:
        spans = self._spans
        resource = Resource({
            "service.name": "verbatim",
            "service.version": spans.engine_version,
            "service.instance.id": spans.session,
            "verbatim.account": spans.account,
        })  # fmt: skip
        return ReadableSpan(
            span.name,
            _context(span.trace_id, span.span_id),
            _context(span.trace_id, span.parent_id) if span.parent_id else None,
            resource,
            dict(span.attributes),
            [Event(each.name, dict(each.attributes), each.time_ns) for each in span.events],
            kind=SpanKind.CLIENT if span.name.startswith("request ") else SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=InstrumentationScope("verbatim", spans.engine_version),
        )


def _context(trace_id: int, span_id: int) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def http_exporter(endpoint: str) -> SpanExporter:
    """Return the exporter to an endpoint. Headers, as of a key, come from OTEL_EXPORTER_OTLP_HEADERS.

    Raises:
        ValueError: It is not an address.
    """
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it logs each try; SessionExport reports the first
    return OTLPSpanExporter(traces_address(endpoint), timeout=TIMEOUT_SECONDS)
