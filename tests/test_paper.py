"""Paper sessions: a real market, and an account that the venue's model answers for inside the process."""

import gzip
import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from click.testing import CliRunner
from msgspec.structs import replace
from replaying import QUOTER
from virtual_paper import PaperSession, paper
from warm_processes import VERBATIM, WarmProcess

from engine.bodies import RequestBody
from engine.facts import OrderFilled
from engine.lifecycle import Status
from engine.live.clock import SessionClock
from engine.live.link_tasks import LinkTasks
from engine.live.paper_session import PaperGateway, PaperIngress
from engine.mode_reasons import Mode
from engine.paper_settings import PaperSettings
from engine.record_codec import read_fact, read_request
from engine.requests import Purpose, Transport, Unsigned
from engine.sequencer import Arrival
from engine.session_context import SessionContext
from engine.session_record import MILLISECOND_NS, SECOND_NS, PreviousSession, SessionBody, read_session
from engine.sim.paper_broker import paper_model
from engine.sim.units import units
from engine.sim.venue_model import VenueModel, with_settings
from engine.venues.binance_spot import BinanceSpot
from engine.venues.signing import HttpMessage
from journal.reader import Journal
from journal.record import INPUTS, Kind, Record
from journal.sessions import list_sessions
from journal.verify import verify
from replay.rebuild import rebuild
from replay.replay import replay_session
from replay.resim.capture_session import session_from_capture
from replay.resim.resimulate import ResimOptions, resimulate
from replay.resim.timeline import Timeline
from replay.study.fidelity import COMPARED_PURPOSES, ComparedOrder, modelled_orders, recorded_orders
from verbatim.cli import main
from verbatim.config import on_paper, read_config, read_key, session_config
from verbatim.sections import ConfigError
from verbatim.testing import VirtualSession, VirtualVenue, from_sources

ROOT = Path(__file__).resolve().parent.parent
WIRE_NS = MILLISECOND_NS // 5
MODEL = VenueModel(request_ns=WIRE_NS, answer_ns=2 * WIRE_NS, feed_ns=WIRE_NS, queue="power")
MONEY = {"USDT": "1000000", "BTC": "20"}
QUOTES = from_sources({"quoter": QUOTER}, "quoter", "Quoter")


def verbatim(*words: object, code: int = 0) -> str:
    ended = CliRunner().invoke(main, [str(word) for word in words])
    assert ended.exit_code == code, ended.output
    return ended.stderr if code else ended.stdout


def body_of(folder: Path) -> SessionBody:
    return read_session(Journal.open(folder).session_record().body or "")


def backtest(folder: Path, into: Path, model: VenueModel) -> list[Record]:
    """Return the records of a backtest of a session's market; `key` of a market record is its origin."""
    body = replace(body_of(folder), paper=None)
    resimulate(folder, into, ResimOptions(session=body, model=model, modelled=True))
    return comparable(Journal.open(into).records())


def comparable(records: Iterable[Record]) -> list[Record]:
    """Return records without origins, and without the weight that public queries used up at the account's venue."""
    weight = re.compile(r'"x-mbx-used-weight-1m":"\d+"')
    return [
        replace(each, key=None if each.kind is Kind.FEED else each.key, meta=each.meta and weight.sub("", each.meta))
        for each in records
    ]


def fills_of(records: Sequence[Record]) -> list[OrderFilled]:
    facts = (read_fact(each.body or "") for each in records if each.kind is Kind.FACT)
    return [fact for fact in facts if isinstance(fact, OrderFilled)]


def since_running(records: Sequence[Record]) -> Iterator[Record]:
    """Return the records from the first decision on, without the hashes over earlier ones."""
    begun = False
    for record in records:
        begun |= record.kind is Kind.INTENT
        if begun and record.kind is not Kind.CHECKPOINT:
            yield record


def touched_nothing(venue: VirtualVenue) -> bool:
    """Return True if the market's venue received no order and no query of an account."""
    exchange = venue.sim.exchange
    return not exchange.orders and not exchange.client_ids_seen and not any(one.ws_api for one in venue.sim.connections)


@pytest.mark.parametrize("model", [MODEL, replace(MODEL, queue="pessimistic", venue_ns=MILLISECOND_NS, fills="whole")])
def test_a_paper_session_is_the_backtest_of_its_market_record_for_record(tmp_path: Path, model: VenueModel) -> None:
    venue = VirtualVenue(seed=3, latency_ns=WIRE_NS + model.venue_ns)  # so that its clock looks as the model's
    session = PaperSession(venue, tmp_path / "live", strategies=[QUOTES], paper=paper(model, **MONEY)).run(4)
    assert touched_nothing(venue)
    session.stop()
    ours = comparable(session.records)
    theirs = backtest(tmp_path / "live", tmp_path / "again", model)
    assert len(fills_of(ours)) > 10
    for mine, other in zip(since_running(ours), since_running(theirs), strict=True):
        assert mine == other
    assert verify(tmp_path / "live").closed
    assert replay_session(tmp_path / "live").identical
    assert balances_of(session) == {
        asset: units(f"{ours.total:f}") for asset, ours in session.state.account.balances.by_asset.items()
    }


def balances_of(session: PaperSession) -> dict[str, int]:
    """Return the balances at the paper account, free and locked together."""
    [funds] = session._shell.broker.venue.sim.exchange.accounts.values()  # type: ignore[attr-defined]
    return {asset: funds.total(asset) for asset in funds.free}


# ---- the same capture, live and as a backtest ----------------------------------------------------------

JOINER = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Cancel, OnQuote, OrderType, Place, Side


class Joiner:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote()

    @dataclass
    class Parameters:
        first_bid: Decimal = Decimal(0)

    @dataclass
    class State:
        begun: bool = False

    @staticmethod
    def decide(view, state, parameters):
        quote = view.quote("BTCUSDT")
        state.begun |= quote.bid == parameters.first_bid
        if not state.begun:
            return
        wanted = {Side.BUY: quote.bid, Side.SELL: quote.ask}
        for order in view.orders("BTCUSDT"):
            if wanted.pop(order.order.side, None) != order.order.price:
                yield Cancel(order.client_order_id)
        for side, price in wanted.items():
            yield Place("BTCUSDT", side, Decimal("0.001"), price=price, type=OrderType.LIMIT_MAKER)
"""
CAPTURE_LINES, BEGINS_AFTER = 3_600, 1_500


def fill_figures(records: Sequence[Record], first_ns: int) -> list[tuple[Any, ...]]:
    """Return each fill, with the time of its record in nanoseconds after the first market message."""
    return [
        (each.time_ns - first_ns, fill.side, fill.price, fill.quantity, fill.fee, fill.fee_asset, fill.maker)
        for each in records
        for fill in fills_of([each])
    ]


def test_a_capture_served_as_a_live_feed_fills_as_its_backtest_does(tmp_path: Path, shared_data: Path) -> None:
    with gzip.open(shared_data / "captures/binance/spot_btcusdt_20240808.gz") as file:
        lines = list(islice(file, CAPTURE_LINES))
    bids = [re.search(rb'"b":"([0-9.]+)"', line) for line in lines]  # of quotes: a diff has arrays
    seen = {found[1] for found in bids[:BEGINS_AFTER] if found}
    begin = next(found[1].decode() for found in bids[BEGINS_AFTER:] if found and found[1] not in seen)
    strategy = from_sources({"joiner": JOINER}, "joiner", "Joiner", parameters={"first_bid": begin})
    model = replace(MODEL, request_ns=3 * MILLISECOND_NS, answer_ns=2 * MILLISECOND_NS)

    venue = VirtualVenue(capture=lines)
    session = PaperSession(venue, tmp_path / "live", strategies=[strategy], paper=paper(model, **MONEY)).run(60)
    assert touched_nothing(venue)
    first_frame = next(each for each in session.records if each.kind is Kind.FEED and each.meta is None)
    session.stop()

    (tmp_path / "capture.txt").write_bytes(b"".join(lines))
    verbatim("import", tmp_path / "capture.txt", "--into", tmp_path / "capture")
    body = session_from_capture(Journal.open(tmp_path / "capture"))
    body = replace(body, strategies=(strategy,), instruments=session.body.instruments)  # the same lots
    options = ResimOptions(session=body, model=model, balances=MONEY)
    resimulate(tmp_path / "capture", tmp_path / "backtest", options)

    first_ns = int(lines[0].split(b" ")[0])
    ours = fill_figures(session.records, first_frame.time_ns)
    theirs = fill_figures(list(Journal.open(tmp_path / "backtest").records()), first_ns)
    assert len(ours) > 10
    assert ours == theirs


STOPS = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Every, OrderType, Place, Side


class Stops:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = Every(ms=700)

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        pass

    @staticmethod
    def decide(view, state, parameters):
        quote = view.quote("BTCUSDT")
        if quote is not None and not view.orders("BTCUSDT"):
            stop = view.round_price("BTCUSDT", quote.bid - 1, Side.SELL)
            yield Place("BTCUSDT", Side.SELL, Decimal("0.001"), stop_price=stop, type=OrderType.STOP)
"""


def test_a_stop_is_triggered_as_early_in_a_backtest_as_on_paper(tmp_path: Path) -> None:
    """No other order rests: the backtest must stop at the price that triggers."""
    strategies = [from_sources({"stops": STOPS}, "stops", "Stops")]
    session = PaperSession(VirtualVenue(seed=3), tmp_path / "live", strategies=strategies, paper=paper(MODEL, **MONEY))
    session.run(8).stop()
    theirs = backtest(tmp_path / "live", tmp_path / "again", MODEL)
    assert len(fills_of(session.records)) >= 2
    assert fill_figures(session.records, 0) == fill_figures(theirs, 0)


def test_after_a_lost_market_link_paper_and_backtest_agree_too(tmp_path: Path) -> None:
    """The book begins again with a new snapshot, at the account's venue as in the session."""
    venue = VirtualVenue(seed=3, latency_ns=WIRE_NS)  # a snapshot takes as long as in the model
    session = PaperSession(venue, tmp_path / "live", strategies=[QUOTES], paper=paper(MODEL, **MONEY)).run(2)
    venue.fault(action="disconnect", target="market")
    session.run(3)
    before = len(session.facts("order_filled"))
    session.run(5).stop()
    assert session.facts("market_gap")
    assert len(session.facts("order_filled")) > before
    theirs = backtest(tmp_path / "live", tmp_path / "again", MODEL)
    assert fill_figures(session.records, 0) == fill_figures(theirs, 0)


# ---- one configuration for all three -------------------------------------------------------------------


def test_one_configuration_trades_live_on_paper_and_in_a_backtest(tmp_path: Path) -> None:
    """A recording of the market, with the strategies, limits, money and model of the file."""
    config = configuration(tmp_path, "http://127.0.0.1:1", account="main")
    market = VirtualVenue(seed=3)
    VirtualSession(market, tmp_path / "market", strategies=[]).run(10).stop()
    words = ("backtest", tmp_path / "market", "--config", config, "--json")
    told = json.loads(verbatim(*words, "--into", tmp_path / "tested", "--model", "fee_taker=0.002"))
    body = body_of(tmp_path / "tested")
    assert [strategy.name for strategy in body.strategies] == ["quoter", "cross"]
    assert body.risk.order_size_max == Decimal("0.01")
    assert body.resimulated is not None
    asked = {"request_ms": "2", "answer_ms": "2", "queue": "power", "fee_taker": "0.002"}
    assert msgspec.convert(body.resimulated.model, VenueModel) == with_settings(VenueModel(), asked)
    assert told["resimulated"]["placed"] > 0
    assert replay_session(tmp_path / "tested").identical
    config.write_text(config.read_text().replace('instruments = ["BTCUSDT"]', 'instruments = ["BTCUSDT", "ETHUSDT"]'))
    assert "the session has no ETHUSDT; it has BTCUSDT" in verbatim(*words, "--no-journal", code=3)
    assert "--config names its strategies" in verbatim(*words, "--strategy", "x.py", code=2)


# ---- a restart in the middle ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a paper session that places, cancels and fills."""
    folder = tmp_path_factory.mktemp("paper") / "lived"
    session = PaperSession(VirtualVenue(seed=3), folder, strategies=[QUOTES], paper=paper(MODEL, **MONEY)).run(4)
    session.stop()
    return folder


LAST_STEPS = {  # the last step that a kill leaves in the journal
    "a placement is decided": lambda step: b"place" in purposes(step),
    "a placement is answered": lambda step: step[0].key is not None and b"NEW" in (step[0].payload or b""),
    "a fill is reported, and not its balance": lambda step: b'"x":"TRADE"' in (step[0].payload or b""),
    "a balance is reported": lambda step: b"outboundAccountPosition" in (step[0].payload or b""),
    "a cancel is decided": lambda step: b"cancel" in purposes(step),
    "a cancel is answered": lambda step: step[0].key is not None and b"CANCELED" in (step[0].payload or b""),
}


def purposes(step: Sequence[Record]) -> set[bytes]:
    return {read_request(each.body or "").purpose.encode() for each in step if each.kind is Kind.REQUEST}


def steps_of(folder: Path) -> list[list[Record]]:
    steps: list[list[Record]] = []
    for record in Journal.open(folder).records():
        if record.kind in INPUTS:
            steps.append([])
        steps[-1].append(record)
    return steps


@pytest.mark.parametrize("last", sorted(LAST_STEPS))
def test_a_killed_paper_session_continues_from_its_journal(tmp_path: Path, lived: Path, last: str) -> None:
    """The account has the money and the orders of the journal, and a request without an answer was never placed."""
    cuts = [step[-1].seq for step in steps_of(lived) if LAST_STEPS[last](step)]
    cut = cuts[len(cuts) // 2]
    _, before, _ = rebuild(lived, until=cut)
    venue = VirtualVenue(seed=4, start_ns=before.time_ns + 60 * SECOND_NS)
    session = PaperSession(
        venue, tmp_path / "next", strategies=[QUOTES], session="bbbbbbbb", paper=paper(MODEL, USDT="5"),
        previous=PreviousSession("aaaaaaaa", cut, ""), opening=before,
    )  # fmt: skip
    asked = {name for name, order in before.account.orders.live.items() if order.venue_order_id}
    assert open_at_account(session) == asked
    assert balances_of(session) == {
        asset: units(f"{ours.expected:f}") for asset, ours in before.account.ledger.by_asset.items()
    }
    session.run(60, until=lambda now: len(now.facts("order_filled")) > 2)
    assert session.state.account.modes.mode is Mode.RUNNING
    assert open_at_account(session) >= {
        name for name, order in session.state.account.orders.live.items() if order.status is Status.OPEN
    }
    for order in before.account.orders.live.values():  # also those that were on their way
        known = session.state.account.orders.get(order.client_order_id)
        assert known is None or known.status is not Status.UNKNOWN
    assert not session.facts("balance_drift")
    earlier = {fill.fill_id for step in steps_of(lived) for fill in fills_of(step) if step[0].seq <= cut}
    later = [fill.fill_id for fill in fills_of(session.records)]
    assert not earlier & set(later)
    assert len(later) == len(set(later))
    session.stop()
    assert not open_at_account(session)
    assert verify(tmp_path / "next").closed
    assert replay_session(tmp_path / "next").identical
    ledger = session.state.account.ledger.by_asset
    assert balances_of(session) == {asset: units(f"{ours.expected:f}") for asset, ours in ledger.items()}


def open_at_account(session: PaperSession) -> set[str]:
    exchange = session._shell.broker.venue.sim.exchange  # type: ignore[attr-defined]
    return {order.client_order_id for order in exchange.orders.values() if order.is_open}


# ---- the shell -----------------------------------------------------------------------------------------


def without_key(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VERBATIM_")}
    return kept | more


def configuration(folder: Path, address: str, *, account: str = "paper", lines: str = "") -> Path:
    """Write examples/demo.toml for this address and account."""
    text = (ROOT / "examples/demo.toml").read_text(encoding="utf-8")
    text = text.replace("http://127.0.0.1:9090", address).replace("ws://127.0.0.1:9090", address.replace("http", "ws"))
    text = re.sub(r'"(\w+\.py:)', rf'"{ROOT}/examples/\1', text).replace('"journals"', f'"{folder}/journals"')
    text = text.replace('account = "demo"', f'account = "{account}"').replace("carry = false", "carry = true")
    text += '\n[paper]\nbalances = { USDT = "100000", BTC = 2 }\nmodel = { request_ms = 2, answer_ms = 2, queue = "power" }\n'
    path = folder / "session.toml"
    path.write_text(text + lines, encoding="utf-8")
    return path


def read_until_filled(process: subprocess.Popen[str], count: int) -> None:
    assert process.stderr is not None
    fills = 0
    while fills < count:
        line = process.stderr.readline()
        assert line, "the session ended"
        fills += json.loads(line)["event"] == "fill"


def orders_of_the_model(folder: Path) -> dict[str, ComparedOrder]:
    """Send the recorded requests to the model of the session, over its recorded market."""
    journal, body = Journal.open(folder), body_of(folder)
    assert body.paper is not None
    sent = [
        each
        for each in journal.records(kinds=[Kind.REQUEST])
        if read_request(each.body or "").purpose in COMPARED_PURPOSES
    ]
    timeline = Timeline(journal, SessionContext(body, {}), journal.last_seq, frozenset())
    return modelled_orders(journal, timeline, body, paper_model(body.paper), requests=sent, offset_ns=0)


@pytest.mark.slow
def test_a_paper_session_in_a_process_of_its_own(tmp_path: Path) -> None:
    """It has no key, is killed, continues, and every fill is the one that the model gives for its requests."""
    served = [*VERBATIM, "venue", "--port", "0", "--seed", "5"]
    with WarmProcess(served, stdout=subprocess.PIPE, text=True, env=without_key()) as venue:
        address = json.loads(venue.stdout.readline())["listening"]
        command = [*VERBATIM, "run", str(configuration(tmp_path, address)), "--json"]
        for end in (signal.SIGKILL, signal.SIGTERM):
            with WarmProcess(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=without_key()
            ) as process:
                read_until_filled(process, 1)
                process.send_signal(end)
                process.communicate(timeout=60)
            assert process.returncode == (-end if end is signal.SIGKILL else 0)
        with urllib.request.urlopen(f"{address}/sim/state") as answer:
            state = json.load(answer)
        venue.send_signal(signal.SIGTERM)
    assert state["orders"] == [] == state["fills"]
    assert state["client_order_ids"] == {}
    killed, closed = (found.path for found in list_sessions(tmp_path / "journals"))
    for folder in (killed, closed):
        assert verify(folder).ok
        assert replay_session(folder).identical
    recorded, modelled = recorded_orders(Journal.open(killed))[0], orders_of_the_model(killed)
    assert recorded
    for name, order in recorded.items():  # the kill may have come before its first fill was recorded
        assert order in (modelled[name], ComparedOrder(order.quantity)) if name in modelled else not order.filled
    body = body_of(closed)
    assert body.paper is not None
    assert body.previous is not None
    assert body.previous.session == body_of(killed).session
    _, state_after, _ = rebuild(closed)
    assert not state_after.account.orders.live
    assert "  paper at binance_spot  closed" in verbatim("status", "--journals", tmp_path / "journals")
    said = verbatim("kill", killed, code=3)
    assert "no venue has an order of it" in said


def test_a_paper_configuration_needs_no_key_and_trades_no_money(tmp_path: Path) -> None:
    live = configuration(tmp_path, "https://api.binance.com")
    config = read_config(live, {})
    assert read_key(config, {}) is None
    chosen = session_config(config, key=None, base=tmp_path)
    assert chosen.paper == PaperSettings(
        {"USDT": "100000", "BTC": "2"},
        with_settings(VenueModel(), {"request_ms": "2", "answer_ms": "2", "queue": "power"}).settings(),
    )
    assert (chosen.venues[0].key, chosen.venue.private, chosen.trades_real_money) == (None, "", False)
    other = read_config(configuration(tmp_path, "https://api.binance.com", account="main"), {})
    with pytest.raises(ConfigError, match="no credentials"):
        read_key(other, {})
    assert on_paper(other) == config


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("feed_ms = 3", "feed_ms=3 is more than answer_ms=2"),
        ('clock = "venue"', "clock=venue is for recordings"),
        ('latency = "measured"', "latency=measured: the session contains no orders"),
        ("quue = 1", "the venue's model has no 'quue'"),
    ],
)
def test_a_model_that_paper_cannot_have_is_refused_in_one_line(tmp_path: Path, model: str, reason: str) -> None:
    path = configuration(tmp_path, "http://127.0.0.1:1")
    path.write_text(path.read_text().replace("request_ms = 2,", f"{model}, request_ms = 2,"))
    said = verbatim("run", path, code=3)
    assert said.count("\n") == 1
    assert f"paper: {reason}" in said


async def test_the_gateway_of_a_paper_session_signs_and_sends_nothing(tmp_path: Path) -> None:
    """Not even a request that another part of the program hands to it."""
    ingress = PaperIngress()
    place = Unsigned(Transport.REST, "POST", "/api/v3/order", (("symbol", "BTCUSDT"),), signed=True)
    sent: list[HttpMessage] = []

    class Refusing:
        async def send(self, message: HttpMessage, **_: Any) -> Any:
            sent.append(message)

    async with trio.open_nursery() as nursery:
        gateway = PaperGateway(
            venues={"binance_spot": BinanceSpot(())}, senders={"binance_spot": Refusing()},  # type: ignore[dict-item]  # it must not be called
            keys={}, clock=SessionClock.wall(), ingress=ingress, links=LinkTasks({}, ingress, SessionClock.wall()), nursery=nursery, trading=("binance_spot",),  # type: ignore[arg-type]
        )  # fmt: skip
        for mutates in (True, False):
            request = RequestBody(Purpose.PLACE, "binance_spot", mutates, 2**62, SECOND_NS, unsigned=place)
            await gateway._sign_and_send(7, request)
            ended = ingress.next()
            assert isinstance(ended, Arrival)
            assert json.loads(ended.meta or "")["outcome"] == "not_sent"
        assert (await gateway.send_now("binance_spot", place, 0)).outcome == "not_sent"
    assert not sent
