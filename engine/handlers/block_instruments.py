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
    market = step.market
    if not step.account.blocks.by_instrument and market.are_live(with_book=session.settings.books):
        return
    for name, index in session.indexes.items():
        if market.is_live(index, with_book=session.settings.books) and not step.account.blocks.reasons(name):
            continue
        has_book = not session.settings.books or not market.awaits_book(index)
        if has_book:
            unblock(step, name, BlockCode.NO_BOOK)
        else:
            block(step, name, BlockReason(BlockCode.NO_BOOK, "no synchronised book"))
        if market.is_live(index, with_book=False):
            unblock(step, name, BlockCode.NO_QUOTE)
        else:
            block(step, name, BlockReason(BlockCode.NO_QUOTE, "no quote"))


def mode_reasons(session: SessionContext, step: StepContext) -> tuple[ModeReason, ...]:
    """Return the blocks as the mode states them, one reason for each blocked instrument."""
    blocks = step.account.blocks
    if not blocks.by_instrument:
        return ()
    return tuple(
        ModeReason(ReasonCode.INSTRUMENT_BLOCKED, f"{name} is blocked: {'; '.join(map(str, reasons))}", name)
        for name in session.instruments
        if (reasons := blocks.reasons(name))
    )
