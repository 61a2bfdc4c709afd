"""A day of trading in virtual time, run alone in a process: `python tests/day_of_feed.py FOLDER`.

The process prints what it holds after each share of the day, a JSON line each. A process that also ran other tests would
contain their memory too.
"""

import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from checked_sessions import check_ordered_end

from engine.mode_reasons import Mode
from engine.session_record import SECOND_NS
from engine.sim.feeds.sim_market import (
    DepthDiff,
    DepthSnapshot,
    Line,
    SimQuote,
    TradePrint,
    combined,
    diff_data,
    quote_data,
    snapshot_data,
    trade_data,
)
from engine.sim.units import ONE
from journal.record import Record
from verbatim.testing import START_NS, VirtualSession, VirtualVenue, from_sources

DAY_S = 86_400
BEAT_NS = 3 * SECOND_NS  # between two rounds of messages: 86,400 messages a day
PRICE, CENT, LOT = 60_000 * ONE, ONE // 100, ONE // 100_000
ORDERED_EVERY_MS = 120_000

STEADY = f"""
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Cancel, Every, OrderType, Place, Side


class Steady:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = Every(ms={ORDERED_EVERY_MS})
    bars_s = (60,)

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        turns: int = 0

    @staticmethod
    def decide(view, state, parameters):
        quote = view.quote("BTCUSDT")
        if quote is None:
            return
        state.turns += 1
        for order in view.orders("BTCUSDT"):
            yield Cancel(order.client_order_id)
        side = Side.BUY if view.position("BTCUSDT").quantity <= 0 else Side.SELL
        if state.turns % 2:
            yield Place("BTCUSDT", side, Decimal("0.001"), type=OrderType.MARKET)
        else:
            yield Place("BTCUSDT", Side.BUY, Decimal("0.001"), quote.bid - 50)
"""


class SparseMarket:
    """A market of one symbol for a whole day: each beat a trade, a quote and a diff that moves one level."""

    symbols = ("BTCUSDT",)
    streams = frozenset({"btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth@100ms"})

    def __init__(self, start_ns: int) -> None:
        levels = [(PRICE - CENT * level, 40_000 * LOT) for level in range(1, 60)]
        asks = [(PRICE + CENT * level, 40_000 * LOT) for level in range(1, 60)]
        self._lines = [Line(start_ns, "", "BTCUSDT", snapshot_data(DepthSnapshot(1_000, levels, asks)))]
        self._beat, self._begin_ns = 0, start_ns
        self.messages = 0

    @property
    def next_due_ns(self) -> int:
        return self._filled()[0].due_ns

    def next_line(self) -> Line:
        self.messages += 1
        return self._filled().pop(0)

    def is_snapshot_next(self) -> bool:
        return not self._filled()[0].stream

    def shift(self, ns: int) -> None:
        self._begin_ns += ns
        self._lines = [line._replace(due_ns=line.due_ns + ns) for line in self._lines]

    def _filled(self) -> list[Line]:
        if not self._lines:
            self._beat += 1
            at_ns, update = self._begin_ns + self._beat * BEAT_NS, 1_000 + self._beat
            size = (40_000 + self._beat % 7) * LOT
            trade = TradePrint(self._beat, PRICE + CENT, LOT, at_ns, buyer_is_maker=False)
            quote = SimQuote(update, PRICE - CENT, size, PRICE + CENT, size)
            diff = DepthDiff(update, update, [(PRICE - CENT, size)], [(PRICE + CENT, size)])
            for stream, data in (
                ("btcusdt@trade", trade_data("BTCUSDT", trade)),
                ("btcusdt@bookTicker", quote_data("BTCUSDT", quote)),
                ("btcusdt@depth@100ms", diff_data("BTCUSDT", diff, at_ns)),
            ):
                self._lines.append(Line(at_ns, stream, "BTCUSDT", combined(stream, data)))
        return self._lines


class DaySession(VirtualSession):
    """A session that keeps no records in memory beside its journal, as a live one."""

    written = 0

    def _append(self, records: Sequence[Record], *, urgent: bool) -> None:
        self.records = list(records)
        self.written += len(records)
        self.writer.append_step(records, urgent=urgent)


class Held(NamedTuple):
    """What a process holds, after so many messages and orders."""

    messages: int
    orders: int
    blocks: int  # of Python memory
    resident_kb: int
    descriptors: int


def held_by_process(session: DaySession, messages: int, orders: int) -> Held:
    """Measure this process once the journal's writer is idle."""
    session.writer.wait_durable(session.records[-1].seq, 60)
    gc.collect()
    status = Path("/proc/self/status").read_text()
    resident_kb = int(status.split("VmRSS:")[1].split()[0])
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    return Held(messages, orders, sys.getallocatedblocks(), resident_kb, descriptors)


def trade_a_day(folder: Path) -> DaySession:
    """Trade 24 hours, and print what the process holds at 25, 50 and 100 per cent of them."""
    market = SparseMarket(START_NS)
    venue = VirtualVenue(market=market, balances={"USDT": "1000000", "BTC": "20"})
    session = DaySession(venue, folder, strategies=[from_sources({"steady": STEADY}, "steady", "Steady")])
    for share in (25, 50, 100):
        session.run(DAY_S * share / 100 - (venue.now_ns - START_NS) / SECOND_NS)
        assert session.state.account.modes.mode is Mode.RUNNING
        assert len(session.state.account.orders.all()) < 10, "closed orders leave the state"
        held = held_by_process(session, market.messages, len(venue.sim.exchange.orders))
        sys.stdout.write(msgspec.json.encode(held).decode() + "\n")
    session.stop()
    return session


if __name__ == "__main__":
    check_ordered_end(trade_a_day(Path(sys.argv[1])))
