"""Both ways of a modelled venue: plain answers and account events as bytes, or handed over as the engine's events.

The same session runs both ways over drawn markets and faults. Its journals are equal, record for record, and a strict
replay decodes the bytes of the one whose events were handed over.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.events import Event
from engine.record_codec import read_request
from engine.requests import Purpose
from engine.sim.binance import stated_events
from engine.sim.exchange.order_values import FundsChanged
from engine.sim.virtual_gateway import VirtualGateway
from engine.unwritten import UnwrittenRecord
from engine.venues.venue_lookup import make_venue
from journal.record import Kind, Record
from replay.replay import replay_session
from verbatim.testing import VirtualSession, VirtualVenue, from_sources

BUSY = """
from dataclasses import dataclass
from decimal import Decimal as D

from verbatim import Cancel, Oco, OnQuote, OrderType, Place, Run, Side, TimeInForce


class Busy:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote(throttle_ms=100)

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        turn: int = 0

    @staticmethod
    def decide(view, state, parameters):
        quote, orders = view.quote("BTCUSDT"), view.orders("BTCUSDT")
        state.turn += 1
        turn, size = state.turn % 10, D("0.003")
        if turn in (1, 2):  # rests, and may be filled there
            side = Side.BUY if turn == 1 else Side.SELL
            yield Place("BTCUSDT", side, size, quote.bid if turn == 1 else quote.ask, type=OrderType.LIMIT_MAKER)
        elif turn == 3:  # filled in part, and the rest of it rests
            yield Place("BTCUSDT", Side.BUY, quote.ask_size + D("0.002"), quote.ask)
        elif turn == 4:
            yield Place("BTCUSDT", Side.SELL, size)
        elif turn == 5:  # refused, or ended without a fill
            yield Place("BTCUSDT", Side.BUY, size, quote.ask, type=OrderType.LIMIT_MAKER)
            yield Place("BTCUSDT", Side.BUY, size, quote.bid - 50, time_in_force=TimeInForce.IOC)
        elif turn == 6 and not any(order.list_id for order in orders):
            yield Run(Oco("BTCUSDT", Side.SELL, size, stop_price=quote.bid - 5, target_price=quote.ask + 5))
        elif turn == 7:
            yield Place("BTCUSDT", Side.BUY, size, quote.ask + 20, stop_price=quote.ask + 3, type=OrderType.STOP_LIMIT)
        elif turn in (8, 9) and orders:
            yield Cancel(orders[0].client_order_id)
"""
FAULTS: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "lost answers": [{"action": "cut_answer", "method": "POST", "path": "/api/v3/order", "nth": 3, "times": 2},
                     {"action": "error_after", "method": "DELETE", "path": "/api/v3/order", "nth": 2}],
    "lost events": [{"action": "drop_events", "event": "executionReport", "nth": 4, "times": 3},
                    {"action": "duplicate_events", "event": "TRADE", "times": 3},
                    {"action": "delay_events", "event": "outboundAccountPosition", "nth": 6, "times": 2, "ms": 700}],
    "refusals": [{"action": "reject", "method": "POST", "path": "/api/v3/order", "nth": 2, "code": -2010, "msg": "no"},
                 {"action": "events_before_answer"}],
}  # fmt: skip


class BytesGateway(VirtualGateway):
    """Gives the venue the parameters of its requests, as any resimulation does."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named, encodes=False)


class StatingGateway(VirtualGateway):
    """Gets events in place of bytes, as a resimulation without a journal does."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named, encodes=False, hands_events=True)


class BytesSession(VirtualSession):
    gateway_class = BytesGateway


class StatingSession(VirtualSession):
    """Journals what a resimulation without a journal never writes."""

    gateway_class = StatingGateway
    unwritten = 0

    def _append(self, records: Sequence[Record], *, urgent: bool) -> None:
        for record in records:
            if isinstance(record, UnwrittenRecord):
                self.unwritten += 1
                assert repr(record.message.events) == repr(self._decoded(record))
                assert record == record.written == record
                assert record != replace(record.written, payload=b"")
        written = [record.written if isinstance(record, UnwrittenRecord) else record for record in records]
        super()._append(written, urgent=urgent)

    def _decoded(self, record: Record) -> tuple[Event, ...]:
        """Return the events that the bytes of a record state."""
        dialect, payload = make_venue(self.body.venues[0], self.body.instruments), record.payload or b""
        if record.meta is None:
            return dialect.account.decode_private(payload)
        meta, request = json.loads(record.meta), read_request(self.records[record.cause or 0].body or "")
        assert request.unsigned is not None
        return dialect.decode_answer(request.unsigned, request.instrument, meta["status"], meta["headers"], payload)


@pytest.mark.parametrize("faults", FAULTS)
def test_both_ways_make_the_same_records(tmp_path: Path, faults: str) -> None:
    lived: list[VirtualSession] = []
    for kind in (BytesSession, StatingSession):
        venue = VirtualVenue(seed=len(faults), balances={"USDT": "1000000", "BTC": "20"}, fees=("0.001", "0.002"))
        session = kind(venue, tmp_path / kind.__name__, strategies=[from_sources({"b": BUSY}, "b", "Busy")])
        session.run(2)
        for fault in FAULTS[faults]:
            venue.fault(**fault)
        session.run(5)
        if faults == "lost events":
            venue.fault(action="disconnect", target="private")  # then everything is queried
        session.run(3).stop()
        assert not venue.unstruck_faults()
        lived.append(session)
    bytes_alone, stating = lived
    assert bytes_alone.records == stating.records
    assert isinstance(stating, StatingSession)
    assert stating.unwritten > 50
    replay_session(stating.folder)  # strict: it decodes the bytes
    sent = [read_request(each.body or "") for each in lived[0].kinds(Kind.REQUEST)]
    assert {Purpose.PLACE, Purpose.CANCEL, Purpose.PLACE_LIST, Purpose.ACCOUNT, Purpose.FILLS, Purpose.OPEN_ORDERS} <= {
        each.purpose for each in sent
    }
    fills = stating.facts("order_filled")
    assert {fact["maker"] for fact in fills} == {False, True}
    assert len({fact["client_order_id"] for fact in fills}) < len(fills)  # some were filled in parts


def test_a_balance_that_the_decoder_does_not_read_is_written() -> None:
    """A debt of an account of contracts has a sign, which the message of Spot cannot have."""
    assert stated_events.funds(FundsChanged(account="a", time_ns=1, balances=(("USDT", 5, 0),))) is not None
    for free, locked in ((-1, 0), (0, -1), (10**28, 0)):
        assert stated_events.funds(FundsChanged(account="a", time_ns=1, balances=(("USDT", free, locked),))) is None
