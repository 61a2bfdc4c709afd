"""Each example trades a synthetic market as its golden run: a digest of its intents. The journal verifies and replays."""

import json
from collections.abc import Mapping
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from checked_sessions import CheckedSessions, notes

from engine.lifecycle import Status
from engine.model import OrderType, Side
from journal.record import Kind, canonical
from verbatim.testing import VirtualSession, VirtualVenue, strategy_settings

EXAMPLES = Path(__file__).parent.parent / "examples"


class Golden(NamedTuple):
    """A run of an example, with the number of its intents and the first digits of the digest over all of them."""

    file: str
    cls: str
    seconds: int
    intents: int
    digest: str
    parameters: Mapping[str, Any] = MappingProxyType({})
    symbols: tuple[str, ...] = ("BTCUSDT",)


REVERSION = {"bar_s": 2, "length": 5, "low": 45, "bars_max": 4}
GOLDEN = [
    Golden("ma_cross", "MovingAverageCross", 120, 28, "7a56ee2afb85"),
    Golden("rsi_reversion", "RsiReversion", 120, 24, "77d78efc0b42", REVERSION),
    Golden("quoter", "Quoter", 15, 47, "a459c2bda005"),
    Golden(
        "pairs", "Pairs", 60, 9, "3899cec070a6", {"every_ms": 500, "length": 20, "enter": 1.0}, ("BTCUSDT", "ETHUSDT")
    ),
    Golden("breakout", "Breakout", 120, 3, "471e093e889f", {"bar_s": 2, "length": 5, "risk": "0.0005", "reward": 1}),
    Golden("twap", "TwapBuyer", 20, 6, "116fedd76a44"),
]


def trade(begin: CheckedSessions, run: Golden) -> VirtualSession:
    settings = strategy_settings(EXAMPLES / f"{run.file}.py", run.cls, parameters=dict(run.parameters))
    return begin(VirtualVenue(symbols=run.symbols), settings).run(run.seconds)


def golden_of(session: VirtualSession) -> tuple[int, str]:
    """Return the number of intents and a digest: time, and the intent without the ids of the session."""
    lines = []
    for record in session.kinds(Kind.INTENT):
        body = json.loads(record.body or "")
        kept = {name: value for name, value in body.items() if name not in ("cancels", "plan_id", "rationale")}
        lines.append(f"{record.time_ns} {canonical(kept)}")
    return len(lines), sha256("\n".join(lines).encode()).hexdigest()[:12]


@pytest.mark.slow
@pytest.mark.parametrize("run", GOLDEN, ids=lambda run: run.file)
def test_an_example_decides_as_its_golden_run(begin: CheckedSessions, run: Golden) -> None:
    session = trade(begin, run)
    assert session.facts("strategy_stopped") == []
    assert session.facts("order_filled"), "it traded"
    assert golden_of(session) == (run.intents, run.digest)


@pytest.mark.slow
def test_the_reversion_is_protected_and_leaves_in_time(begin: CheckedSessions) -> None:
    """Each entry is followed by its stop at the venue; each position is closed, and the stop with it."""
    session = trade(begin, GOLDEN[1])
    orders = [order for order in session.state.account.orders.all() if order.status is not Status.REJECTED]
    entries = [order for order in orders if order.order.side is Side.BUY]
    stops = [order for order in orders if order.order.type is OrderType.STOP]
    exits = [order for order in orders if order.order.side is Side.SELL and order.order.type is OrderType.MARKET]
    assert len(entries) >= len(stops) >= len(entries) - 1 > 0
    assert len(exits) >= len(entries) - 1
    assert notes(session, "alarm") == []


def test_the_twap_buys_its_quantity_and_says_so(begin: CheckedSessions) -> None:
    session = trade(begin, GOLDEN[-1])
    bought = sum(Decimal(fill["quantity"]) for fill in session.facts("order_filled"))
    assert bought == Decimal("0.01")
    assert [text for text in notes(session, "info") if text.startswith("bought ")] != []
