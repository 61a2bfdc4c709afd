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
from beat_market import BeatMarket
from checked_sessions import check_ordered_end
from msgspec.structs import replace

from engine.mode_reasons import Mode
from engine.session_record import SECOND_NS, new_engine_settings
from journal.record import Record
from verbatim.testing import START_NS, VirtualSession, VirtualVenue, from_sources

DAY_S = 86_400
SHARES = (50, 75, 100)  # per cent of the day; buffers have their full size after 20,000 messages
BEAT_NS = 6 * SECOND_NS  # between two rounds of messages: 43,200 messages a day
CHECK_NS = 3 * SECOND_NS  # between two checks of links and orders: 28,800 a day
ORDERED_EVERY_MS = 180_000

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
    """Trade 24 hours, and print what the process holds after each of the `SHARES`."""
    market = BeatMarket(beat_ns=BEAT_NS, levels=59, size=40_000, restated=1, sizes=7)
    venue = VirtualVenue(market=market, balances={"USDT": "1000000", "BTC": "20"})
    strategies = [from_sources({"steady": STEADY}, "steady", "Steady")]
    engine = replace(new_engine_settings(), check_interval_ns=CHECK_NS)
    session = DaySession(venue, folder, strategies=strategies, engine=engine)
    for share in SHARES:
        session.run(DAY_S * share / 100 - (venue.now_ns - START_NS) / SECOND_NS)
        assert session.state.account.modes.mode is Mode.RUNNING
        assert len(session.state.account.orders.all()) < 10, "closed orders leave the state"
        held = held_by_process(session, market.messages, len(venue.sim.exchange.orders))
        sys.stdout.write(msgspec.json.encode(held).decode() + "\n")
    session.stop()
    return session


if __name__ == "__main__":
    check_ordered_end(trade_a_day(Path(sys.argv[1])))
