"""The daily loss in virtual time: it is counted over fills, fees and restarts, ends with the UTC day, and cancels."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions, notes, rebuilt

from engine.handlers.losses_of_day import pnl_now
from engine.lifecycle import Status
from engine.risk_settings import ScopeLimits
from engine.session_record import SECOND_NS, RiskSettings
from engine.state.day_pnl import DAY_NS
from journal.reader import Journal
from journal.record import Kind
from verbatim.testing import VirtualSession, VirtualVenue, from_sources

# each second a market buy of 0.01 BTC, which costs about 0.6 USDT of fees, and one bid far below the market
BUYER = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Every, OrderType, Place, Side


class Buyer:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = Every(1000)

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        rests: bool = False
        sells: bool = False

    @staticmethod
    def decide(view, state, parameters):
        quote = view.quote("BTCUSDT")
        if quote is None:
            return
        if not state.rests:
            state.rests = True
            yield Place("BTCUSDT", Side.BUY, Decimal("0.01"), quote.bid - 2000)
        yield Place("BTCUSDT", Side.BUY, Decimal("0.01"), Decimal(0), OrderType.MARKET)
        if view.position("BTCUSDT").quantity > Decimal("0.02") and view.time_ns % 10_000_000_000 < 1_000_000_000:
            yield Place("BTCUSDT", Side.SELL, Decimal("0.01"), Decimal(0), OrderType.MARKET)
"""
LIMIT = RiskSettings(daily_loss_max=Decimal(3))
Begin = Callable[..., VirtualSession]
MIDNIGHT_NS = 1_723_161_250 * SECOND_NS // DAY_NS * DAY_NS + DAY_NS


@pytest.fixture
def buyer(begin: CheckedSessions) -> Begin:
    def start(venue: VirtualVenue, risk: RiskSettings = LIMIT, **more: object) -> VirtualSession:
        return begin(venue, from_sources({"buyer": BUYER}, "buyer", "Buyer"), risk=risk, **more)

    return start


def placed(live: VirtualSession, side: str) -> int:
    return sum(1 for r in live.kinds(Kind.REQUEST) if '"purpose":"place"' in r.body and f'"side":"{side}"' in r.body)


def test_a_loss_at_the_limit_cancels_and_allows_only_orders_that_reduce(buyer: Begin) -> None:
    venue = CalmVenue(start_ns=MIDNIGHT_NS - 300 * SECOND_NS)
    live = buyer(venue).run(until=lambda s: bool(s.facts("daily_loss_reached")))
    (reached,) = live.facts("daily_loss_reached")
    assert (reached["asset"], Decimal(reached["loss"]) >= 3) == ("USDT", True)
    assert any(order.status is Status.OPEN for order in live.state.account.orders.live.values()), "the bid rests"
    bought, sold = placed(live, "BUY"), placed(live, "SELL")
    live.run(30)
    assert live.venue.get("/sim/state")["open_orders"] == []
    assert placed(live, "BUY") == bought, "nothing enlarges the position"
    assert placed(live, "SELL") > sold, "an order that reduces is sent"
    refused = [r.body for r in live.kinds(Kind.VERDICT) if "the loss of this UTC day reached" in r.body]
    assert refused
    assert all('"approved":false' in body for body in refused)
    live.stop()


@pytest.mark.slow
def test_a_restart_forgets_no_loss_and_a_new_day_begins_at_nothing(buyer: Begin) -> None:
    venue = CalmVenue(start_ns=MIDNIGHT_NS - 120 * SECOND_NS)
    first = buyer(venue).run(until=lambda s: bool(s.facts("daily_loss_reached")))
    first.kill()
    venue.now_ns += SECOND_NS
    second = buyer(venue, previous=first, opening=first.state)
    second.run(20)
    assert second.state.account.day_pnl.lost
    assert placed(second, "BUY") == 0
    # its repeated orders are refused until midnight, so a breaker pauses the strategy for a while beyond it
    second.run(until=lambda s: placed(s, "BUY") > 0 or s.venue.now_ns > MIDNIGHT_NS + 1800 * SECOND_NS)
    assert second.venue.now_ns > MIDNIGHT_NS
    (began,) = second.facts("day_began")
    assert began["day"] == MIDNIGHT_NS // DAY_NS
    assert placed(second, "BUY") > 0, "the new day has its own loss"
    second.stop()


def test_a_restart_on_the_same_day_with_a_higher_limit_trades_up_to_it(buyer: Begin) -> None:
    venue = CalmVenue(start_ns=MIDNIGHT_NS - 3600 * SECOND_NS)
    first = buyer(venue).run(until=lambda s: bool(s.facts("daily_loss_reached")))
    first.kill()
    venue.now_ns += SECOND_NS
    higher = RiskSettings(daily_loss_max=Decimal(6))
    second = buyer(venue, higher, previous=first, opening=first.state)
    second.run(until=lambda s: bool(s.facts("daily_loss_reached")))
    (reached,) = second.facts("daily_loss_reached")
    assert Decimal(reached["loss"]) >= 6
    assert placed(second, "BUY") > 0
    assert second.facts("day_began") == [], "the day goes on"


def test_sessions_without_the_limit_record_nothing_about_it(buyer: Begin) -> None:
    live = buyer(CalmVenue(), RiskSettings()).run(20)
    live.stop()
    text = "".join(record.body or "" for record in Journal.open(live.folder).records())
    assert "daily_loss_max" not in text
    assert "day_pnl" not in text
    assert "day_began" not in text


LIMITS = {"in its asset": LIMIT, "reported": RiskSettings(portfolio=ScopeLimits(daily_loss_max=Decimal(3)))}


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("state", ["living", "rebuilt"])
def test_a_loss_counts_on_the_day_although_its_instrument_is_not_listed_any_more(
    buyer: Begin, begin: CheckedSessions, limit: str, state: str
) -> None:
    """A part of the limit is lost in BTCUSDT, which the next session does not list, and the rest in ETHUSDT."""
    venue = CalmVenue(start_ns=MIDNIGHT_NS - 3600 * SECOND_NS, symbols=("BTCUSDT", "ETHUSDT"))
    risk = LIMITS[limit]
    first = buyer(venue, risk).run(until=lambda s: placed(s, "BUY") >= 4)
    assert first.facts("daily_loss_reached") == []
    first.stop()
    before, opening = lost(first), first.state if state == "living" else rebuilt(first.folder)
    assert before > 1
    venue.now_ns += SECOND_NS
    venue.symbols = ("ETHUSDT",)
    other = from_sources({"eth": BUYER.replace("BTCUSDT", "ETHUSDT")}, "eth", "Buyer")
    second = begin(venue, other, risk=risk, previous=first, opening=opening)
    [text] = [text for text in notes(second, "warning") if "is not listed" in text]
    assert "the P&L of strategy buyer in it counts as it last was, -" in text
    second.run(until=lambda s: bool(s.facts("daily_loss_reached")))
    (reached,) = second.facts("daily_loss_reached")
    assert 3 <= Decimal(reached["loss"]) < Decimal("3.6")
    assert lost(second) == Decimal(reached["loss"]) - before, "the rest of the limit, and no more"
    second.stop()
    venue.symbols = ("BTCUSDT", "ETHUSDT")
    third = begin(venue, other, risk=risk, previous=second, opening=second.state)
    assert [text for text in notes(third, "warning") if "is not listed" in text] == []
    third.run(3)
    assert lost(third) > 3, "listed again, it counts at its quote, once"
    assert third.facts("position_entered_day") == []


def lost(session: VirtualSession) -> Decimal:
    """Return the loss of the day of the instruments that a session lists."""
    account, now = (
        session.state.account,
        pnl_now(session.sequencer.kernel.session, session.state),
    )
    return sum((account.day_pnl.opening.get(key, Decimal(0)) - pnl for key, pnl in now.by_position.items()), Decimal(0))


def test_a_position_whose_instrument_is_listed_again_counts_from_its_first_mark_of_the_day(
    buyer: Begin, begin: CheckedSessions
) -> None:
    """Its loss of the days before, beyond the limit, is no loss of today."""
    venue = CalmVenue(start_ns=MIDNIGHT_NS - 30 * SECOND_NS, symbols=("BTCUSDT", "ETHUSDT"))
    first = buyer(venue, RiskSettings(sell_holdings=True)).run(15)
    first.stop()
    venue.now_ns = MIDNIGHT_NS + 10 * SECOND_NS
    venue.symbols = ("ETHUSDT",)
    second = begin(venue, risk=LIMIT, previous=first, opening=first.state)
    second.run(until=lambda s: bool(s.facts("day_began")))
    (began,) = second.facts("day_began")
    name = "buyer binance_spot:BTCUSDT"
    assert began["unlisted"] == [name]
    second.stop()
    venue.symbols = ("BTCUSDT", "ETHUSDT")
    third = buyer(venue, previous=second, opening=second.state)
    third.run(until=lambda s: bool(s.facts("position_entered_day")))
    (entered,) = third.facts("position_entered_day")
    assert Decimal(entered["pnl"]) < -3, "it lost more than the limit on the day before"
    assert third.facts("daily_loss_reached") == []
    third.run(until=lambda s: bool(s.facts("daily_loss_reached")))
    (reached,) = third.facts("daily_loss_reached")
    assert 3 <= Decimal(reached["loss"]) < 6
    assert placed(third, "BUY") > 1
    third.stop()
