"""Blocking one instrument and letting it trade again. Each change is one FACT with all reasons that hold after it."""

from engine.block_reasons import BlockCode, BlockReason
from engine.facts import InstrumentBlocked
from engine.mode_reasons import ModeReason, ReasonCode
from engine.session_context import SessionContext
from engine.state.instrument_blocks import with_reason, without_reason
from engine.step_context import StepContext

BLOCKS = "blocks"  # source of the facts about blocked instruments


def block(step: StepContext, instrument: str, reason: BlockReason) -> bool:
    """Block an instrument for a reason. Return False if that reason blocks it already."""
    before = step.account.blocks.reasons(instrument)
    after = with_reason(before, reason)
    if after == before:
        return False
    step.emit(InstrumentBlocked(instrument, after), source=BLOCKS)
    return True


def unblock(step: StepContext, instrument: str, code: BlockCode, about: str = "") -> bool:
    """End one reason of an instrument. Return False if it did not block it."""
    before = step.account.blocks.reasons(instrument)
    after = without_reason(before, code, about)
    if after == before:
        return False
    step.emit(InstrumentBlocked(instrument, after), source=BLOCKS)
    return True


def block_unready(session: SessionContext, step: StepContext) -> None:
    """Block each instrument that has no quote or no synchronised book, and let those trade that have both."""
    market, with_books, state = step.market, session.settings.books, step.state
    blocked = step.account.blocks.by_instrument
    if not blocked and market.are_live(with_book=with_books):
        return
    liveness = market.liveness()
    if state.blocks_decided is step.account.blocks and state.blocks_liveness == liveness:
        return  # both lead to the decision: a start of many instruments waits for minutes
    for name, index in session.indexes.items():
        codes = [reason.code for reason in blocked.get(name, ())]
        has_book = not with_books or not market.awaits_book(index)
        has_quote = market.is_live(index, with_book=False)
        if has_book is (BlockCode.NO_BOOK in codes):
            _set_block(step, name, BlockReason(BlockCode.NO_BOOK, "no synchronised book"), is_blocked=not has_book)
        if has_quote is (BlockCode.NO_QUOTE in codes):
            _set_block(step, name, BlockReason(BlockCode.NO_QUOTE, "no quote"), is_blocked=not has_quote)
    state.blocks_decided, state.blocks_liveness = step.account.blocks, liveness


def _set_block(step: StepContext, name: str, reason: BlockReason, *, is_blocked: bool) -> None:
    if is_blocked:
        block(step, name, reason)
    else:
        unblock(step, name, reason.code)


def mode_reasons(session: SessionContext, step: StepContext) -> tuple[ModeReason, ...]:
    """Return the blocks as the mode states them, one reason for each blocked instrument."""
    blocks, state = step.account.blocks, step.state
    if not blocks.by_instrument:
        return ()
    if state.blocks_told is not blocks:
        state.blocks_told = blocks
        state.blocks_reasons = tuple(
            ModeReason(ReasonCode.INSTRUMENT_BLOCKED, f"{name} is blocked: {'; '.join(map(str, reasons))}", name)
            for name in session.instruments
            if (reasons := blocks.reasons(name))
        )
    return state.blocks_reasons
