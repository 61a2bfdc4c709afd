"""`verbatim traces`: the chain intent, order, fill as OpenTelemetry spans, sent to a collector on loopback."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import pytest
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions
from click.testing import CliRunner, Result
from cockpit_session import SOURCE
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from analysis import order_spans
from analysis.order_spans import OrderSpans, Span
from engine.session_record import RiskSettings
from journal.reader import Journal
from journal.record import Kind
from verbatim import otlp_export
from verbatim.cli import main
from verbatim.otlp_export import SessionExport, http_exporter, traces_address
from verbatim.testing import VirtualSession, VirtualVenue, from_sources

ORDER = {"method": "POST", "path": "/api/v3/order"}
BTC = "binance_spot:BTCUSDT"


class Collector:
    """An OTLP/HTTP collector on loopback that keeps what it gets, and refuses the first requests."""

    def __init__(self, refusals: int = 0) -> None:
        self.spans: list[WireSpan] = []
        self.resources: list[dict[str, str]] = []
        self.refused = 0
        self.came = Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                is_refused = outer.refused < refusals
                outer.refused += is_refused
                if self.path == "/v1/traces" and not is_refused:
                    outer.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(400 if is_refused else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *words: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"

    def take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            self.resources.append({each.key: each.value.string_value for each in resource.resource.attributes})
            for scope in resource.scope_spans:
                self.spans += scope.spans
        self.came.set()


@contextmanager
def collecting(refusals: int = 0) -> Iterator[Collector]:
    collector = Collector(refusals)
    thread = Thread(target=collector.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield collector
    finally:
        collector.server.shutdown()
        collector.server.server_close()
        thread.join(30)


def invoke(*words: object) -> Result:
    return CliRunner().invoke(main, ["traces", *map(str, words)])


def attributes(span: WireSpan) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


def begin_writer(begin: CheckedSessions, venue: VirtualVenue) -> VirtualSession:
    """Places market and resting orders, cancels, and wants too much now and then."""
    writer = from_sources({"writer": SOURCE.replace("throttle_ms=500", "throttle_ms=100")}, "writer", "Writer")
    return begin(venue, writer, risk=RiskSettings(position_max=Decimal(1), sell_holdings=True))


def folded(session: VirtualSession) -> list[Span]:
    spans = OrderSpans()
    found = [span for record in session.records for span in spans.add(record)]
    return found + spans.finish()


def named(spans: list[Span], prefix: str) -> list[Span]:
    return [span for span in spans if span.name.startswith(prefix)]


# ---- spans


def test_every_intent_order_and_fill_is_a_span_below_its_cause(begin: CheckedSessions) -> None:
    """One order is rejected; the collector gets the same spans as the fold makes."""
    venue = VirtualVenue()
    session = begin_writer(begin, venue)
    venue.fault(action="reject", nth=2, status=400, code=-1013, msg="Filter failure", **ORDER)
    session.run(1)
    session.stop()
    with collecting() as collector:
        ended = invoke(session.folder, "--otlp", collector.address, "--json")
    assert ended.exit_code == 0, ended.output
    spans, records = folded(session), session.records
    assert json.loads(ended.stdout) == {"spans": len(spans), "session": "closed"}
    assert len(collector.spans) == len(spans)
    assert {(each.name, each.span_id.hex()) for each in collector.spans} == {
        (each.name, f"{each.span_id:016x}") for each in spans
    }
    assert collector.resources[0]["service.instance.id"] == session.body.session

    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans), "no id is used twice"
    for span in spans:
        parent = by_id.get(span.parent_id)
        assert parent is not None or span.parent_id == 0, span
        if parent is not None:
            assert parent.trace_id == span.trace_id
            assert parent.start_ns <= span.start_ns <= span.end_ns
    roots = [span for span in spans if not span.parent_id]
    intents = session.kinds(Kind.INTENT)
    assert {span.attributes["verbatim.seq"] for span in (*named(spans, "place"), *named(spans, "cancel"))} == {
        record.seq for record in intents
    }
    assert len(named(spans, "risk")) == len(session.kinds(Kind.VERDICT)) == len(intents)
    fills, orders = session.facts("order_filled"), named(spans, f"order {BTC}")
    assert Counter(span.attributes["verbatim.quantity"] for span in named(spans, "fill")) == Counter(
        fill["quantity"] for fill in fills
    )
    assert all(by_id[span.parent_id] in orders for span in named(spans, "fill"))
    assert all(by_id[order.parent_id] in roots for order in orders)
    [rejected] = [order for order in orders if order.attributes["verbatim.status"] == "rejected"]
    assert "-1013" in rejected.error
    assert by_id[rejected.parent_id].error == rejected.error, "the intent failed with its order"
    refused = [span for span in named(spans, "risk") if not span.attributes["verbatim.approved"]]
    assert {span.attributes["verbatim.rule"] for span in refused} == {"balance"}
    assert all("refused by balance" in by_id[span.parent_id].error for span in refused)

    request = next(span for span in named(spans, "request place") if not span.error)
    [sent] = request.events
    asked = records[int(request.attributes["verbatim.seq"])]
    answer = next(record for record in records if record.cause == asked.seq and record.meta)
    assert (request.start_ns, request.end_ns) == (asked.time_ns, answer.time_ns)
    assert (sent.name, sent.time_ns) == ("sent", json.loads(answer.meta or "")["sent_ns"])


def test_open_orders_are_sent_at_the_end_and_marked(begin: CheckedSessions) -> None:
    session = begin(CalmVenue(), "once", parameters={"below": "100"}).run(3)
    spans = OrderSpans()
    found = [span for record in session.records for span in spans.add(record)]
    assert named(found, "order") == []
    [order] = named(spans.finish(), "order")
    assert (order.attributes["verbatim.is_open"], order.attributes["verbatim.filled"]) == (True, "0")
    assert [event.name for event in order.events] == ["accepted"]
    session.stop()


def test_memory_is_bounded(begin: CheckedSessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_spans, "ORDERS_MAX", 1)
    session = begin(CalmVenue(), "ladder", parameters={"rungs": 4}).run(4)
    session.stop()
    orders = named(folded(session), "order")
    assert len(orders) == len({order.span_id for order in orders}) == 4
    assert [order.attributes["verbatim.status"] for order in orders[:3]] == ["open"] * 3


def test_the_orders_of_a_plan_are_in_the_trace_of_its_intent(begin: CheckedSessions) -> None:
    session = begin(CalmVenue(), "bracketer").run(6)
    session.stop()
    spans = folded(session)
    by_id = {span.span_id: span for span in spans}
    plan = next(span for span in spans if span.name.startswith("run ") and "verbatim.is_open" not in span.attributes)
    inside = [span for span in spans if span.trace_id == plan.trace_id]
    orders = named(inside, "order")
    assert Counter(order.attributes["verbatim.status"] for order in orders) == {"filled": 2, "expired": 1}
    for order in orders:
        placed = by_id[order.parent_id]
        assert (placed.name, placed.parent_id) == (f"place_list {BTC}", plan.span_id)
    assert len(named(inside, "fill")) == 2
    assert max(span.end_ns for span in inside) == plan.end_ns


@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_journals_of_older_versions_have_spans(version: str, golden: Callable[[str], Any]) -> None:
    spans = OrderSpans()
    records = list(Journal.open(golden(version)).records())
    found = [span for record in records for span in spans.add(record)] + spans.finish()
    fills = [record for record in records if record.kind is Kind.FACT and '"order_filled"' in (record.body or "")]
    assert len(named(found, "fill")) == len(fills) > 0


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    return lambda version: request.path.parent / "golden" / version


# ---- the export


def test_a_running_session_is_exported_to_its_end_and_nothing_is_lost(
    begin: CheckedSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector refuses twice: the same spans are sent again, and each arrives once."""
    monkeypatch.setattr(otlp_export, "RETRY_SECONDS_FIRST", 0.01)
    monkeypatch.setattr(otlp_export, "BATCH_SECONDS", 0.0)
    session = begin_writer(begin, VirtualVenue()).run(1)
    session.writer.wait_durable(session.records[-1].seq, 60)
    news: list[str] = []
    with collecting(refusals=2) as collector:
        export = SessionExport(session.folder, http_exporter(collector.address), news.append)
        thread = Thread(target=export.run)
        thread.start()
        assert collector.came.wait(30)
        before = len(collector.spans)
        session.run(1)
        session.stop()
        thread.join(60)
    assert (collector.refused, export.ending) == (2, "closed")
    assert [line.split(";")[0] for line in news] == [
        "the collector does not take spans", "the collector takes spans again",
    ]  # fmt: skip
    ids = Counter(span.span_id for span in collector.spans)
    assert (set(ids.values()), len(ids) > before > 0) == ({1}, True)
    assert ids.keys() == {span.span_id.to_bytes(8, "big") for span in folded(session)}
    assert export.sent == len(collector.spans)


def test_a_collector_that_never_answers_is_reported(begin: CheckedSessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_export, "RETRY_SECONDS_FIRST", 0.0)
    monkeypatch.setattr(otlp_export, "TIMEOUT_SECONDS", 0.1)
    session = begin(CalmVenue(), "once").run(2)
    session.stop()
    with collecting(refusals=100) as collector:
        ended = invoke(session.folder, "--otlp", collector.address)
    assert (ended.exit_code, collector.spans) == (4, [])
    assert "in 5 tries. What to do: start the collector" in ended.stderr
    wrong = invoke(session.folder, "--otlp", "127.0.0.1:4318")
    assert (wrong.exit_code, "is not an http or https address" in wrong.stderr) == (3, True)
    assert traces_address("http://127.0.0.1:4318/") == "http://127.0.0.1:4318/v1/traces"
