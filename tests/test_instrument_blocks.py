"""One instrument is blocked while the others trade: reasons as a set, the mode, risk, strategies, restarts."""

import json

from by_hand import BTC, ETH, ByHand
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions

from engine.block_reasons import BlockCode, BlockReason
from engine.facts import InstrumentBlocked
from engine.kernel import kernel_of
from engine.session_record import new_engine_settings
from engine.state import instrument_blocks
from engine.state.changes import Stamp
from engine.state.instrument_blocks import InstrumentBlocks, with_reason, without_reason
from engine.state.session_state import carry_over, restore_opening
from engine.strategy.rule_loading import recorded_rules
from journal.record import Kind

STALE = BlockReason(BlockCode.STREAM_STALE, "quotes stopped", "quote")
BOOK = BlockReason(BlockCode.NO_BOOK, "no synchronised book")

# Places one order in each instrument, at the first decision in which it has a quote.
EACH = """
from dataclasses import dataclass, field
from decimal import Decimal

from verbatim import OnQuote, Place, Side


class Each:
    version = "1"
    instruments = ("BTCUSDT", "ETHBTC")
    cadence = OnQuote()

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        placed: list[str] = field(default_factory=list)

    @staticmethod
    def decide(view, state, parameters):
        for name in Each.instruments:
            if name not in state.placed and view.quote(name) is not None and not view.blocked(name):
                state.placed.append(name)
                yield Place(name, Side.BUY, Decimal("1"), Decimal("90"))
"""


def test_reasons_are_a_set_by_code_and_object() -> None:
    reasons = with_reason(with_reason((), STALE), BOOK)
    assert [reason.code for reason in reasons] == [BlockCode.NO_BOOK, BlockCode.STREAM_STALE]
    assert with_reason(reasons, BlockReason(BlockCode.STREAM_STALE, "another text", "quote")) is reasons
    assert without_reason(reasons, BlockCode.STREAM_STALE, "book") == reasons
    assert without_reason(reasons, BlockCode.STREAM_STALE, "quote") == (BOOK,)


def test_the_newest_set_of_reasons_counts_and_no_block_outlives_a_session() -> None:
    blocks = instrument_blocks.reduce(InstrumentBlocks(), InstrumentBlocked("a", (BOOK, STALE)), Stamp(1, 1))
    assert blocks.reasons("a") == (BOOK, STALE)
    assert instrument_blocks.reduce(blocks, InstrumentBlocked("a", ()), Stamp(3, 3)).by_instrument == {}
    hand = ByHand(source=EACH, cls="Each", instruments=(BTC, ETH), engine=new_engine_settings(), held={"depth"})
    assert hand.state.account.blocks.by_instrument
    assert restore_opening(carry_over(hand.state)).blocks == InstrumentBlocks()


def test_an_instrument_without_a_book_is_blocked_alone() -> None:
    """The first instrument trades while the snapshot of the second is missing; then both do."""
    session = ByHand(source=EACH, cls="Each", instruments=(BTC, ETH), engine=new_engine_settings(), held={"depth"})
    depth = {request.instrument: seq for seq, request in session.waiting.items() if request.purpose == "depth"}
    assert session.mode == "syncing"
    assert set(session.state.account.blocks.by_instrument) == {BTC.id, ETH.id}
    session.held.clear()
    session.answer(depth[BTC.id], session._quiet(session.waiting[depth[BTC.id]]))
    session.quote()
    assert session.mode == "running"
    [reason] = session.state.account.modes.reasons
    assert (reason.code, reason.about) == ("instrument_blocked", ETH.id)
    assert reason.text == f"{ETH.id} is blocked: no synchronised book"
    assert [order.order.instrument for order in session.orders] == [BTC.id]
    session.answer(depth[ETH.id], session._quiet(session.waiting[depth[ETH.id]]))
    session.quote()
    assert session.state.account.modes.reasons == ()
    assert sorted(order.order.instrument for order in session.orders) == sorted([BTC.id, ETH.id])


def test_the_rule_refuses_a_blocked_instrument_alone() -> None:
    """A strategy that decides on both instruments gets a verdict with the reason for the blocked one."""
    source = EACH.replace(" and not view.blocked(name)", "")
    session = ByHand(
        source=source,
        cls="Each",
        instruments=(BTC, ETH),
        engine=new_engine_settings(),
        held={"depth"},
        rules=recorded_rules([]),
    )
    depth = next(seq for seq, each in session.waiting.items() if each.instrument == BTC.id)
    session.answer(depth, session._quiet(session.waiting[depth])).quote()
    verdicts = [json.loads(record.body or "") for record in session.records if record.kind is Kind.VERDICT]
    assert [verdict["rules"]["blocked"] for verdict in verdicts] == ["", "no synchronised book"]
    assert [order.order.instrument for order in session.orders] == [BTC.id]


def test_a_blocked_single_instrument_leaves_running_and_replays(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "once").run(5)
    assert session.state.account.modes.mode == "running"
    assert session.facts("instrument_blocked")[-1] == {
        "fact": "instrument_blocked",
        "instrument": "binance_spot:BTCUSDT",
        "reasons": [],
    }
    session.stop()
    assert kernel_of(session.records[0]).session.settings.block_instruments
