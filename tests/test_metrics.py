"""`verbatim metrics`: figures of a session as Prometheus text, from real journals and over loopback."""

import json
import os
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from threading import Event, Thread

import msgspec
import pytest
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions
from click.testing import CliRunner, Result
from cockpit_session import SOURCE
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from analysis.metrics.definitions import BUCKETS_S, DEFINITIONS, PREFIX, MetricKind
from analysis.metrics.reader import MetricsReader
from analysis.metrics.session_metrics import SessionMetrics, reason_class
from analysis.metrics.values import LABEL_CHARS_MAX, OTHER, SERIES_MAX, MetricValues
from engine.bodies import RequestBody
from engine.facts import BooksCompared, ModeChanged, NewOrder, OrderFilled, OrderNotPlaced, OrderUnknown
from engine.mode_reasons import Mode, ModeReason, ReasonCode
from engine.model import OrderType, Side
from engine.record_codec import read_fact, read_request, read_verdict, text_of
from engine.requests import Purpose, Transport, Unsigned
from engine.session_record import SECOND_NS, RiskSettings
from engine.step_context import Output
from journal.reader import Journal
from journal.record import Kind, Record
from verbatim.cli import main
from verbatim.log_figures import TradingFigures
from verbatim.metrics_server import CONNECTIONS_MAX, MetricsServer, MetricsService, PortInUseError, exposition
from verbatim.testing import SAFEGUARDS, VirtualSession, VirtualVenue, from_sources

ORDER = {"method": "POST", "path": "/api/v3/order"}
GOLDEN = Path(__file__).parent / "golden"
BTC = "binance_spot:BTCUSDT"
MARKET = "binance_spot.market.0"
Samples = dict[tuple[str, ...], float]


def parsed(text: str) -> Samples:
    """Read Prometheus text: the name, then the values of the labels by their names' order -> value."""
    return {
        (sample.name.removeprefix(PREFIX), *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(samples: Samples, name: str) -> float:
    return sum(value for key, value in samples.items() if key[0] == name)


def measure(session: VirtualSession) -> Samples:
    """Read the journal as it is now, as `--once` does."""
    session.writer.wait_durable(session.records[-1].seq, 60)
    reader = MetricsReader(session.folder)
    reader.catch_up()
    reader.close()
    return parsed(exposition(reader.values()).decode())


def check_log(session: VirtualSession, found: Samples) -> None:
    """Compare with the figures of the session's log, which are counted in the trader."""
    log = TradingFigures(session.sequencer.kernel.session, ())
    readers = {Kind.REQUEST: read_request, Kind.VERDICT: read_verdict, Kind.FACT: read_fact}
    for record in session.records:
        if record.kind in readers:
            log.add(Output.from_record(record, readers[record.kind](record.body or "")))
    figures = log.measure(session.state)
    sums = {
        "orders": "orders_submitted_total",
        "accepted": "orders_accepted_total",
        "rejected": "orders_rejected_total",
        "not_placed": "orders_not_placed_total",
        "refused": "intents_refused_total",
        "fills": "fills_total",
        "reconnects": "link_reconnects_total",
        "fills_per_hour": "fills_per_hour",
        "success_rate": "submit_success_ratio",
        "rejection_rate": "submit_rejection_ratio",
    }
    assert {name: total(found, metric) for name, metric in sums.items()} == {name: figures[name] for name in sums}


def begin_writer(begin: CheckedSessions, venue: VirtualVenue) -> VirtualSession:
    """A strategy that places market and resting orders, cancels, and wants too much now and then."""
    writer = from_sources({"writer": SOURCE.replace("throttle_ms=500", "throttle_ms=100")}, "writer", "Writer")
    return begin(venue, writer, risk=RiskSettings(position_max=Decimal(1), sell_holdings=True))


# ---- figures ---------------------------------------------------------------------------------------


def test_orders_refusals_fills_and_reconnects_are_those_of_the_session(begin: CheckedSessions) -> None:
    """One order is rejected and the market link is lost once."""
    venue = VirtualVenue()
    session = begin_writer(begin, venue)
    venue.fault(action="reject", nth=2, status=400, code=-1013, msg="Filter failure", **ORDER)
    session.run(1)
    venue.fault(action="disconnect", target="market")
    session.run(1.5)
    assert venue.unstruck_faults() == []
    found = measure(session)
    sent = [record for record in session.kinds(Kind.REQUEST) if '"purpose":"place"' in (record.body or "")]
    refused = [json.loads(r.body or "") for r in session.kinds(Kind.VERDICT) if '"approved":false' in (r.body or "")]
    fills = session.facts("order_filled")
    assert found["orders_submitted_total", BTC, "writer"] == len(sent) > 4
    assert found["orders_rejected_total", BTC, "-1013", "writer"] == 1
    assert found["orders_accepted_total", BTC, "writer"] == len(sent) - 1
    assert found["submit_success_ratio",] == pytest.approx(1 - 1 / len(sent))
    assert found["submit_rejection_ratio",] == pytest.approx(1 / len(sent))
    assert total(found, "intents_refused_total") == len(refused) > 0
    assert found["intents_refused_total", BTC, "balance", "writer"] == len(refused)
    assert total(found, "fills_total") == len(fills) > 0
    hours = (session.records[-1].time_ns - session.records[0].time_ns) / 3.6e12
    assert found["fills_per_hour",] == pytest.approx(len(fills) / hours)
    assert (found["link_reconnects_total", MARKET], found["link_downs_total", MARKET]) == (1, 1)
    check_log(session, found)
    gaps = {(gap["from_ns"], gap.get("stream", "")) for gap in session.facts("market_gap")}
    assert found["market_gaps_total", MARKET] == len(gaps) == 3, "the link, and the ids of trades and book after it"
    messages = [r for r in session.records if r.source == MARKET and r.kind is Kind.FEED]
    assert found["stream_messages_total", MARKET] == len(messages)
    silence = (session.records[-1].time_ns - messages[-1].time_ns) / 1e9
    assert found["stream_silence_seconds", MARKET] == pytest.approx(silence)
    assert total(found, "records_total") == len(session.records)
    assert (found["session_up",], found["link_up", MARKET]) == (1, 1)
    session.stop()


@pytest.mark.slow
def test_the_times_to_the_wire_and_to_the_answer(begin: CheckedSessions) -> None:
    """In virtual time a request leaves at once, and an answer takes what the wires take."""
    session = begin_writer(begin, VirtualVenue()).run(1)
    found = measure(session)
    placed = found["orders_submitted_total", BTC, "writer"]
    assert found["request_send_seconds_count", "place"] == placed
    assert found["request_send_seconds_sum", "place"] == 0
    buckets = [value for key, value in found.items() if key[0] == "request_answer_seconds_bucket" and "place" in key]
    assert buckets == sorted(buckets)
    assert len(buckets) == len(BUCKETS_S) + 1
    assert buckets[-1] == placed
    answers = {r.cause: r for r in session.kinds(Kind.BROKER) if r.meta and '"sent_ns"' in r.meta}
    asked = [r.seq for r in session.kinds(Kind.REQUEST) if '"purpose":"place"' in (r.body or "")]
    spent = [answers[seq].time_ns - json.loads(answers[seq].meta or "")["sent_ns"] for seq in asked]
    assert found["request_answer_seconds_sum", "place"] == pytest.approx(sum(spent) / 1e9)
    session.stop()


def test_an_unknown_order_is_counted_and_then_settled(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    venue.fault(action="cut_answer", **ORDER)
    venue.fault(action="not_found_for", ms=3_000, **ORDER)
    venue.fault(action="drop_events", event="executionReport", times=0)
    session = begin(venue, "once", parameters={"below": "100"}).run(2.5)
    before = measure(session)
    assert (before["unknown_orders",], before["unanswered_orders",]) == (1, 1)
    assert before["orders_became_unknown_total", BTC, "once"] == 1
    assert "submit_success_ratio" not in {key[0] for key in before}
    after = measure(session.run(5))
    assert (after["unknown_orders",], after["unanswered_orders",]) == (0, 0)
    assert after["orders_accepted_total", BTC, "once"] == 1
    session.stop()


def test_modes_halts_and_their_time(begin: CheckedSessions) -> None:
    session = begin(CalmVenue(), "once").run(3)
    session.command("halt", "to look").run(4)
    found = measure(session)
    assert (found["mode", "halted"], found["mode", "running"]) == (1, 0)
    assert found["halts_total", "halt_ordered"] == 1
    assert found["mode_reason", "halt_ordered"] == 1
    assert found["mode_seconds_total", "halted"] == pytest.approx(4, abs=1)
    spent = (session.records[-1].time_ns - session.records[0].time_ns) / 1e9
    assert total(found, "mode_seconds_total") == pytest.approx(spent)
    found = measure(session.command("resume").run(3))
    assert (found["mode", "running"], found["halts_total", "halt_ordered"]) == (1, 1)
    assert "mode_reason" not in {key[0] for key in found}
    session.stop()


def test_a_breaker_is_open_until_its_pause_is_over(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    venue.fault(action="reject", times=3, status=400, code=-2010, msg="This action is disabled.", **ORDER)
    safeguards = replace(SAFEGUARDS, rejections_max=3)
    session = begin(venue, "once", parameters={"orders": 5, "below": "100"}, safeguards=safeguards)
    session.run(20, until=lambda s: bool(s.facts("breaker_tripped")))
    found = measure(session)
    assert found["breaker_open", "instrument", BTC] == found["breakers_tripped_total", "instrument", BTC] == 1
    assert found["orders_rejected_total", BTC, "-2010", "once"] == 3
    assert found["notes_total", "alarm"] >= 1
    session.command("resume_instrument", about=BTC).run(0.5)
    assert measure(session).get(("breaker_open", "instrument", BTC), 0) == 0
    session.stop()


def test_own_books_against_the_venues(start: CheckedSessions) -> None:
    """A deposit that no event reports: the round after the next one confirms it."""
    venue = CalmVenue()
    session = start(venue, "once").run(2)
    found = measure(session)
    assert found["books_equity_drift", "USDT"] == 0
    assert found["books_equity", "USDT", "own"] == found["books_equity", "USDT", "venue"]
    venue.move_balance("USDT", "250", streamed=False)
    session.command("reconcile").run(2)
    session.command("reconcile").run(2)
    found = measure(session)
    [*_, compared] = session.facts("books_compared")
    assert found["books_equity_drift", "USDT"] == float(compared["drift"]) == 250
    assert found["books_compared_total", "differs"] >= 1
    session.stop()


def test_columns_and_single_records_give_the_same(begin: CheckedSessions) -> None:
    session = begin_writer(begin, VirtualVenue()).run(1)
    session.stop()
    metrics = SessionMetrics()
    for record in session.records:
        metrics.add(record)
    single, whole = parsed(exposition(metrics.snapshot()).decode()), measure(session)
    assert single.items() - whole.items() == {(("link_up", name), 1.0) for name in (MARKET, "binance_spot.private.0")}
    assert {name for name, *_ in whole.keys() - single.keys()} == {
        "session_up", "session_ended", "reader_idle_seconds", "reader_failed", "journal_bytes", "disk_free_bytes",
    }  # fmt: skip
    assert whole["journal_bytes",] == sum(path.stat().st_size for path in session.folder.iterdir())
    assert whole["unreadable_records_total",] == 0


def test_foreign_texts_are_bounded_and_escaped() -> None:
    values = MetricValues()
    evil = 'x"\n} 1\nverbatim_mode{mode="\x1b[31m\u202e' + "y" * 500
    values.add("venue_blocks_total", evil, "rate")
    for number in range(3 * SERIES_MAX):
        values.add("strategies_stopped_total", f"s{number}")
    text = exposition(values).decode()
    found = parsed(text)
    assert len(text.splitlines()) == len(found) + 2 * len({key[0] for key in found})
    [(_, kind, label)] = [key for key in found if key[0] == "venue_blocks_total"]
    assert (kind, len(label) <= 3 * LABEL_CHARS_MAX) == ("rate", True)
    assert not set("\x1b\u202e") & set(label)
    stopped = {key[1]: value for key, value in found.items() if key[0] == "strategies_stopped_total"}
    assert len(stopped) == SERIES_MAX + 1
    assert stopped[OTHER] == 2 * SERIES_MAX
    assert [reason_class(text) for text in ("-1013 Filter failure", evil, "")] == ["-1013", "text", "none"]


def fold(*bodies: msgspec.Struct | tuple[int, str]) -> Samples:
    """Fold records a second apart: facts, requests, and answers as (seq of the request, meta)."""
    metrics = SessionMetrics()
    for seq, body in enumerate(bodies):
        if isinstance(body, tuple):
            record = Record(seq, seq * SECOND_NS, Kind.BROKER, "x.rest", cause=body[0], meta=body[1], payload=b"{}")
        else:
            kind = Kind.REQUEST if isinstance(body, RequestBody) else Kind.FACT
            record = Record(seq, seq * SECOND_NS, kind, "x", body=text_of(body))
        metrics.add(record)
    found = parsed(exposition(metrics.snapshot()).decode())
    assert found["unreadable_records_total",] == 0
    return found


def test_only_what_was_sent_has_a_time_and_only_answers_have_an_answers_time() -> None:
    """Sent after 2 ms and answered; never sent; sent after 300 ms without an answer."""
    unsigned = Unsigned(Transport.REST, "DELETE", "/", (), signed=True)
    cancel = RequestBody(Purpose.CANCEL, "x", True, 0, 0, unsigned)
    answers = [
        (0, f'{{"outcome":"answer","sent_ns":{2_000_000}}}'),
        (1, f'{{"outcome":"not_sent","sent_ns":{SECOND_NS}}}'),
        (2, f'{{"outcome":"timeout","sent_ns":{2 * SECOND_NS + 300_000_000}}}'),
    ]
    found = fold(cancel, cancel, cancel, *answers)
    below = {key[1]: value for key, value in found.items() if key[0] == "request_send_seconds_bucket"}
    assert [below[bound] for bound in ("0.001", "0.0025", "0.25", "0.5", "+Inf")] == [0, 1, 1, 2, 2]
    assert found["request_send_seconds_sum", "cancel"] == pytest.approx(0.302)
    assert found["request_answer_seconds_count", "cancel"] == 1
    assert found["request_answer_seconds_sum", "cancel"] == pytest.approx(2.998)


def test_a_halt_with_further_reasons_is_one_halt() -> None:
    ordered = ModeReason(ReasonCode.HALT_ORDERED, "by a person")
    drift = ModeReason(ReasonCode.BALANCE_DRIFT, "off", "BTC")
    halted = ModeChanged(Mode.HALTED, (ordered,))
    found = fold(ModeChanged(Mode.RUNNING, ()), halted, ModeChanged(Mode.HALTED, (ordered, drift)))
    assert found["halts_total", "halt_ordered"] == total(found, "halts_total") == 1
    assert found["mode_reason", "halt_ordered"] == found["mode_reason", "balance_drift"] == 1
    found = fold(halted, ModeChanged(Mode.RUNNING, ()), halted)
    assert found["halts_total", "halt_ordered"] == 2


def test_books_that_are_not_settled_state_no_drift() -> None:
    settled = BooksCompared(1, "USDT", Decimal(100), Decimal(93), Decimal(-7), Decimal(5), 0)
    found = fold(settled, BooksCompared(2, "USDT", Decimal(0), Decimal(0), Decimal(0), Decimal(5), 0, is_settled=False))
    assert found["books_equity_drift", "USDT"] == -7
    assert found["books_compared_timestamp_seconds",] == 0
    assert (found["books_compared_total", "differs"], found["books_compared_total", "unsettled"]) == (1, 1)


def test_an_order_is_unknown_once() -> None:
    order = NewOrder(BTC, Side.BUY, OrderType.MARKET, Decimal(1))
    place = RequestBody(Purpose.PLACE, "x", True, 0, 0, client_order_id="a", strategy="s", order=order)
    found = fold(place, OrderUnknown("a", "timeout", 0), OrderUnknown("a", "timeout", 5))
    assert (found["orders_became_unknown_total", BTC, "s"], found["unknown_orders",]) == (1, 1)
    found = fold(place, OrderUnknown("a", "timeout", 0), OrderNotPlaced("a", "absent"))
    assert (found["orders_not_placed_total", BTC, "s"], found["unknown_orders",]) == (1, 0)
    assert found["submit_success_ratio",] == 0


@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_journals_of_older_versions_are_read(version: str) -> None:
    reader = MetricsReader(GOLDEN / version)
    reader.catch_up()
    reader.close()
    found = parsed(exposition(reader.values()).decode())
    facts = [read_fact(record.body or "") for record in Journal.open(GOLDEN / version).records(kinds=(Kind.FACT,))]
    assert found["unreadable_records_total",] == 0
    assert total(found, "fills_total") == sum(isinstance(fact, OrderFilled) for fact in facts) > 0


# ---- the server ------------------------------------------------------------------------------------


@contextmanager
def serving(service: MetricsService) -> Iterator[MetricsServer]:
    server = MetricsServer(0, service.text, service.health)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    service.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        service.stop()
        thread.join(30)


def scrape(server: MetricsServer) -> Samples:
    with urllib.request.urlopen(server.address, timeout=30) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        return parsed(answer.read().decode())


def caught_up(session: VirtualSession) -> MetricsReader:
    session.writer.wait_durable(session.records[-1].seq, 60)
    reader = MetricsReader(session.folder)
    reader.catch_up()
    return reader


@pytest.mark.parametrize("how", ["closed", "stopped"])
def test_a_running_session_is_followed_to_its_end(
    begin: CheckedSessions, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.record_stream.LOCK_CHECK_S", 0.1)
    session = begin(CalmVenue(), "once").run(2)
    told, news = Event(), []

    def note_line(line: str) -> None:
        news.append(line)
        told.set()

    with serving(MetricsService(caught_up(session), on_news=note_line)) as server:
        before = scrape(server)
        assert (before["session_up",], before["session_ended", how]) == (1, 0)
        session.run(3)
        session.stop() if how == "closed" else session.kill()
        assert told.wait(30)
        after = scrape(server)
    assert (after["session_up",], after["session_ended", how]) == (0, 1)
    assert total(after, "records_total") == len(session.records) > total(before, "records_total")
    assert after["last_record_timestamp_seconds",] == session.records[-1].time_ns / 1e9
    assert ("closed in order" if how == "closed" else "without closing") in news[0]


def test_a_damage_ends_the_reading_and_is_a_metric(start: CheckedSessions) -> None:
    session = start(CalmVenue(), "once").run(1)
    reader = caught_up(session)
    [path] = session.folder.glob("*.open")
    size = path.stat().st_size
    session.run(2)
    session.writer.wait_durable(session.records[-1].seq, 60)
    session.run(1)  # a later frame states that those before it are durable
    session.writer.wait_durable(session.records[-1].seq, 60)
    whole = path.read_bytes()
    path.write_bytes(whole[: size + 60] + bytes([whole[size + 60] ^ 1]) + whole[size + 61 :])
    reader.follow()
    found = parsed(exposition(reader.values()).decode())
    assert (found["reader_failed",], found["session_up",]) == (1, 1)
    assert "durable" in reader.failure
    path.write_bytes(whole)
    session.stop()


def test_a_session_that_closes_while_a_reader_begins_is_read_to_its_end(begin: CheckedSessions) -> None:
    session = begin(CalmVenue(), "once").run(1)
    session.writer.wait_durable(session.records[-1].seq, 60)
    reader = MetricsReader(session.folder)
    session.run(1)
    session.stop()
    reader.catch_up()
    found = parsed(exposition(reader.values()).decode())
    assert (reader.ending, total(found, "records_total")) == ("closed", len(session.records))


def test_the_next_session_is_followed_after_the_end_of_one(begin: CheckedSessions) -> None:
    first = begin(CalmVenue(), "once").run(2)
    first.stop()
    second = begin(CalmVenue(), "once").run(1)
    second.writer.wait_durable(second.records[-1].seq, 60)
    told = Event()
    service = MetricsService(
        caught_up(first),
        newer=lambda folder: second.folder if folder == first.folder else None,
        on_news=lambda line: told.set() if str(second.folder) in line else None,
    )
    with serving(service) as server:
        assert told.wait(30)
        found = scrape(server)
    assert found["session_info", "main", "test", second.body.session] == 1
    assert found["session_up",] == 1
    second.stop()


def test_other_hosts_and_paths_get_nothing_and_slow_clients_are_bounded(begin: CheckedSessions) -> None:
    session = begin(CalmVenue(), "once").run(1)
    session.stop()
    with serving(MetricsService(caught_up(session))) as server:
        for address, host, status in [
            (server.address, "evil.example", 403),
            (server.address.replace("metrics", "../etc/passwd"), "127.0.0.1", 404),
            (server.address.replace("metrics", ""), "localhost:1", 404),
        ]:
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(urllib.request.Request(address, headers={"Host": host}), timeout=30)
            assert refused.value.code == status
            refused.value.close()
        place = ("127.0.0.1", server.server_address[1])
        slow = [socket.create_connection(place, timeout=30) for _ in range(CONNECTIONS_MAX)]
        with socket.create_connection(place, timeout=30) as late:
            assert late.recv(1) == b"", "a connection beyond the bound is closed"
        for each in slow:
            each.close()
        with pytest.raises(PortInUseError, match="choose another with --port"):
            MetricsServer(place[1], lambda: b"")


# ---- the command -----------------------------------------------------------------------------------


def invoke(*words: object) -> Result:
    return CliRunner().invoke(main, ["metrics", *map(str, words)])


def test_the_command_prints_once(begin: CheckedSessions) -> None:
    session = begin(CalmVenue(), "once").run(1)
    session.stop()
    ended = invoke(session.folder, "--once")
    assert ended.exit_code == 0, ended.output
    found = parsed(ended.stdout)
    assert found["session_ended", "closed"] == 1
    for line in ended.stdout.splitlines():
        if line.startswith("# HELP"):
            name, text = line.removeprefix(f"# HELP {PREFIX}").split(" ", 1)
            assert DEFINITIONS[name].help == text
    missing = invoke("zzzzzzzz", "--once", "--journals", session.folder.parent)
    assert (missing.exit_code, "verbatim sessions" in missing.stderr) == (3, True)


def test_the_command_serves_until_a_signal(begin: CheckedSessions) -> None:
    session = begin(CalmVenue(), "once").run(1)
    session.stop()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    found: list[Samples] = []

    def visit() -> None:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
                    found.append(parsed(answer.read().decode()))
            except urllib.error.URLError:
                continue  # it does not listen yet
            os.kill(os.getpid(), signal.SIGTERM)
            return

    visitor = Thread(target=visit)
    visitor.start()
    ended = invoke(session.folder, "--port", port, "--json")
    visitor.join(30)
    assert ended.exit_code == 0, ended.output
    assert json.loads(ended.stdout) == {"address": f"http://127.0.0.1:{port}/metrics"}
    assert "closed in order" in ended.stderr
    assert found[0]["session_ended", "closed"] == 1


def test_names_follow_the_conventions() -> None:
    for name, definition in DEFINITIONS.items():
        assert name.endswith("_total") == (definition.kind is MetricKind.COUNTER), name
        assert not any(name.endswith(unit) for unit in ("_ms", "_ns", "_minutes", "_percent", "_kb")), name
        assert definition.help.endswith("."), name
        assert not {"le", "job", "instance"} & set(definition.labels), name


def test_an_unknown_order_of_an_earlier_session_is_known_but_not_counted(start: CheckedSessions) -> None:
    venue = CalmVenue()
    venue.fault(action="cut_answer", **ORDER)
    venue.fault(action="drop_events", event="executionReport", times=0)
    first = start(venue, "once", parameters={"below": "100"})
    first.run(10, until=lambda s: bool(s.facts("order_unknown")))
    first.kill()
    second = start(venue, previous=first, opening=first.state)
    before = measure(second)
    assert (before["unknown_orders",], before["unanswered_orders",]) == (1, 1)
    after = measure(second.run(10))
    assert (after["unknown_orders",], after["unanswered_orders",]) == (0, 0)
    assert "orders_accepted_total" not in {key[0] for key in after}
    second.stop()
