"""A session for tests of the cockpit: orders, fills and refusals, and texts that a browser must not obey."""

from pathlib import Path
from typing import Any

from engine.session_record import RiskSettings
from verbatim.testing import VirtualSession, VirtualVenue, from_sources

NAME = "20240808T235410Z-aaaaaaaa"
HOSTILE = '<img src=x onerror="window.hit=1"></script><script>window.hit=1</script>'
SOURCE = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Cancel, OnQuote, OrderType, Place, Side

HOSTILE = "<hostile>"


class Writer:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote(throttle_ms=500)

    @dataclass
    class Parameters:
        size: Decimal = Decimal("0.001")

    @dataclass
    class State:
        placed: int = 0
        text: str = HOSTILE

    @staticmethod
    def decide(view, state, parameters):
        quote = view.quote("BTCUSDT")
        rationale = {"why": HOSTILE, HOSTILE: 1, "spread": quote.ask - quote.bid}
        state.placed += 1
        if state.placed % 7 == 0:
            yield Place("BTCUSDT", Side.BUY, Decimal(50), quote.bid, rationale=rationale)
        elif orders := view.orders("BTCUSDT"):
            yield Cancel(orders[0].client_order_id, rationale=rationale)
        elif state.placed % 2:
            yield Place("BTCUSDT", Side.BUY, parameters.size, type=OrderType.MARKET, rationale=rationale)
        else:
            yield Place("BTCUSDT", Side.SELL, parameters.size, quote.ask, rationale=rationale)
""".replace('"<hostile>"', repr(HOSTILE))


def begin_session(folder: Path, **settings: Any) -> VirtualSession:
    """Begin a session with one strategy; `run` and `stop` continue it."""
    writer = from_sources({"writer": SOURCE}, "writer", "Writer")
    risk = RiskSettings(position_max=1, sell_holdings=True)
    return VirtualSession(VirtualVenue(), folder, strategies=[writer], risk=risk, **settings)
