"""Paper accounts on the live markets of other venues than Binance Spot: their codecs and links, and Spot's account."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from virtual_paper import PaperSession, paper

from engine.events import InstrumentsReport
from engine.facts import OrderFilled
from engine.live.session_config import SessionConfig, StartError
from engine.live.startup import session_body
from engine.lots import quantity_of
from engine.mode_reasons import Mode
from engine.model import RateLimits
from engine.record_codec import read_fact
from engine.requests import Transport, Unsigned
from engine.session_record import MILLISECOND_NS, SECOND_NS, PreviousSession
from engine.sim.units import units
from engine.sim.venue_kinds import KINDS
from engine.sim.venue_model import VenueModel
from engine.venues.optional_parts import MetadataParts
from engine.venues.paper.any_market import PaperMetadata
from engine.venues.venue_lookup import make_venue
from journal.reader import Journal
from journal.record import Kind, Record
from journal.verify import verify
from replay.rebuild import rebuild
from replay.replay import replay_session
from replay.resim.resimulate import ResimOptions, resimulate
from verbatim.config import read_config, session_config
from verbatim.sections import ConfigError
from verbatim.testing import START_NS, VirtualVenue, from_sources

JOINER = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Cancel, Every, Place, Side


class Joiner:
    version = "1"
    instruments = ("*",)
    cadence = Every(ms=250)

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        pass

    @staticmethod
    def decide(view, state, parameters):
        name = "*"
        quote = view.quote(name)
        if quote is None:
            return
        wanted = {Side.BUY: quote.bid, Side.SELL: quote.ask}
        for order in view.orders(name):
            if wanted.pop(order.order.side, None) != order.order.price:
                yield Cancel(order.client_order_id)
        for side, price in wanted.items():
            yield Place(name, side, Decimal("0.01"), price)
"""
WIRE_NS = MILLISECOND_NS // 5
MODEL = VenueModel(request_ns=WIRE_NS, answer_ns=2 * WIRE_NS, feed_ns=WIRE_NS, limit_fills="touch")
MONEY = {"USD": "1000000", "USDC": "1000000", "USDT": "1000000", "BTC": "20"}
VENUES = ("hyperliquid", "kraken", "coinbase", "binance_usdm")


def begin(kind: str, folder: Path, *, start_ns: int = START_NS, **more: Any) -> PaperSession:
    """Begin a session whose market is the simulated venue of a kind, under the name of the kind."""
    symbol = KINDS[kind].symbols[0]
    market = VirtualVenue(kind=kind, seed=3, symbols=(symbol,), start_ns=start_ns)
    strategy = from_sources({"joiner": JOINER}, "joiner", "Joiner")
    settings = {"paper": paper(MODEL, **MONEY), "dialect": f"paper:{KINDS[kind].dialect}", **more}
    return PaperSession({kind: market}, folder, strategies=[strategy], **settings)


def balances_of(session: PaperSession) -> dict[str, int]:
    """Return the balances at the paper account, free and locked together."""
    [funds] = session._shell.broker.venue.sim.exchange.accounts.values()  # type: ignore[attr-defined]
    return {asset: funds.total(asset) for asset in funds.free}


def open_at_account(session: PaperSession) -> set[str]:
    exchange = session._shell.broker.venue.sim.exchange  # type: ignore[attr-defined]
    return {order.client_order_id for order in exchange.orders.values() if order.is_open}


def fills_of(records: Iterable[Record]) -> list[tuple[Any, ...]]:
    """Return each fill, with the time of its record."""
    facts = ((each.time_ns, read_fact(each.body or "")) for each in records if each.kind is Kind.FACT)
    return [
        (time_ns, fill.side, fill.price, fill.quantity, fill.fee, fill.fee_asset, fill.maker)
        for time_ns, fill in facts
        if isinstance(fill, OrderFilled)
    ]


def contracts_of(session: PaperSession) -> dict[str, int]:
    """Return the positions in contracts at the paper account."""
    [funds] = session._shell.broker.venue.sim.exchange.accounts.values()  # type: ignore[attr-defined]
    return {symbol: held.quantity for symbol, held in funds.contracts.items()}


def check_end(session: PaperSession, folder: Path) -> None:
    """Stop a session, and check journal, replay, books and that its market's venue received nothing of an account."""
    session.stop()
    exchange = session.venue.sim.exchange
    assert not exchange.orders
    assert not exchange.client_ids_seen
    assert not open_at_account(session)
    assert verify(folder).closed
    assert replay_session(folder).identical
    at_account = balances_of(session)
    for asset, ours in session.state.account.ledger.by_asset.items():  # a contract's average cost is rounded
        assert abs(at_account[asset] - units(f"{ours.expected:f}")) <= ours.flows
    assert not session.facts("balance_drift")
    placed = [record.key for record in session.kinds(Kind.REQUEST) if '"purpose":"place"' in (record.body or "")]
    assert len(set(placed)) == len(placed)


@pytest.mark.parametrize("kind", VENUES)
def test_a_paper_account_trades_on_the_market_of_any_venue_and_continues(kind: str, tmp_path: Path) -> None:
    """A backtest has the same fills. Killed with orders open, it continues with the money and the orders of its journal."""
    first = begin(kind, tmp_path / "first")
    first.run(60, until=lambda now: len(now.facts("order_filled")) > 4)
    assert len(first.facts("order_filled")) > 4
    first.run(1, until=lambda now: bool(open_at_account(now)))  # type: ignore[arg-type]  # it is this session
    assert first.state.account.modes.mode is Mode.RUNNING
    first.kill()
    assert replay_session(tmp_path / "first").identical
    resimulate(tmp_path / "first", tmp_path / "again", ResimOptions(session=first.body, model=MODEL, modelled=True))
    assert fills_of(Journal.open(tmp_path / "again").records()) == fills_of(first.records)
    _, before, _ = rebuild(tmp_path / "first")
    second = begin(
        kind, tmp_path / "second", start_ns=before.time_ns + 60 * SECOND_NS, session="bbbbbbbb", opening=before,
        previous=PreviousSession("aaaaaaaa", before.seq, ""), paper=paper(MODEL, USDT="5"),
    )  # fmt: skip
    asked = {name for name, order in before.account.orders.live.items() if order.venue_order_id}
    assert open_at_account(second) == asked
    expected = {asset: units(f"{ours.expected:f}") for asset, ours in before.account.ledger.by_asset.items()}
    assert balances_of(second) == expected
    second.run(60, until=lambda now: len(now.facts("order_filled")) > 4)
    assert second.state.account.modes.mode is Mode.RUNNING
    for name, held in second.state.account.wallets.by_instrument.items():  # of contracts: the position continues
        assert contracts_of(second)[name.partition(":")[2]] == units(f"{quantity_of(held.lots):f}")
    check_end(second, tmp_path / "second")


# ---- configurations ------------------------------------------------------------------------------------


CONFIGURATION = """
instruments = ["{symbol}"]

[venue]
name = "{venue}"
network = "live"

[session]
account = "paper"

[paper]
balances = {{ USD = "1000" }}
"""


def chosen(folder: Path, venue: str, symbol: str) -> SessionConfig:
    """Return the session of a configuration with the paper account, without any key."""
    path = folder / "session.toml"
    path.write_text(CONFIGURATION.format(venue=venue, symbol=symbol), encoding="utf-8")
    return session_config(read_config(path, {}), key=None, base=folder)


@pytest.mark.parametrize(
    ("venue", "symbol", "stream"),
    [
        ("hyperliquid", "BTC", "wss://api.hyperliquid.xyz"),
        ("kraken", "BTC/USD", "wss://ws.kraken.com"),
        ("coinbase", "BTC-USD", "wss://advanced-trade-ws.coinbase.com"),
        ("binance_usdm", "BTCUSDT", "wss://fstream.binance.com"),
        ("binance_coinm", "BTCUSD_PERP", "wss://dstream.binance.com"),
    ],
)
def test_account_paper_is_the_venues_own_market_with_a_paper_account(
    tmp_path: Path, venue: str, symbol: str, stream: str
) -> None:
    config = chosen(tmp_path, venue, symbol)
    settings = config.venues[0].settings
    assert (settings.name, settings.kind, settings.stream, settings.private) == (venue, f"paper:{venue}", stream, "")
    assert config.venues[0].key is None
    assert not config.trades_real_money
    assert make_venue(settings, ()).links()[-1].source == f"{venue}.private.0"


@pytest.mark.parametrize(
    ("venue", "reason"),
    [
        ("alpaca", "its market is for holders of a key, and a paper session has none"),
        ("binance_spot_polled", "its market is polled, and the model of a venue follows streams"),
    ],
)
def test_a_market_that_paper_cannot_have_is_refused_in_one_line(tmp_path: Path, venue: str, reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        chosen(tmp_path, venue, "BTCUSDT")
    assert str(refused.value) == (
        f"session.account: paper: not on {venue}: {reason}. What to do: use shadow, or a test network"
    )


def test_an_instrument_with_more_decimals_than_the_model_is_refused(tmp_path: Path) -> None:
    fine = msgspec.structs.replace(begin("kraken", tmp_path / "s").body.instruments[0], price_scale=9)
    report = InstrumentsReport((fine,), RateLimits())
    with pytest.raises(StartError) as refused:
        session_body(chosen(tmp_path, "kraken", "BTC/USD"), session="aaaaaaaa", reports=[report])
    assert str(refused.value) == (
        f"session.account: paper: {fine.symbol} has more than 8 decimals, which the simulated venue cannot have. "
        "What to do: leave it out of `instruments`"
    )


def test_a_wrapper_is_not_named_as_a_venue(tmp_path: Path) -> None:
    """A session with a real account must not sign Spot's requests for another venue."""
    with pytest.raises(ConfigError) as refused:
        chosen(tmp_path, "paper:kraken", "BTC/USD")
    assert str(refused.value) == (
        'venue.name: paper:kraken is not a venue. What to do: name kraken, and set session.account = "paper"'
    )


class TwoAnswers:
    """A MetadataReader whose instruments are described by two answers."""

    def request(self, symbols: Sequence[str] = ()) -> Unsigned:
        return self.requests(symbols)[0]

    def requests(self, symbols: Sequence[str] = ()) -> tuple[Unsigned, ...]:
        del symbols
        return tuple(Unsigned(Transport.REST, "GET", path, (), signed=False) for path in ("/pairs", "/limits"))

    def read(self, payload: bytes) -> InstrumentsReport:
        return self.read_parts((payload,))

    def read_parts(self, payloads: Sequence[bytes]) -> InstrumentsReport:
        return InstrumentsReport((), RateLimits(weight_minute_max=len(payloads)))


def test_instruments_of_several_answers_have_the_limits_of_the_paper_account() -> None:
    reader = PaperMetadata(TwoAnswers())
    assert isinstance(reader, MetadataParts)
    assert [unsigned.path for unsigned in reader.requests()] == ["/pairs", "/limits"]
    assert reader.read_parts((b"", b"")).rate_limits == RateLimits() == reader.read(b"").rate_limits
