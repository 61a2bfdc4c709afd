"""P&L that a session of accounting 4 begins with: lines in its reporting currency, as its positions are.

Sessions before accounting 3 fold no lines and carry them over unchanged, and a session may report in another currency
than the one before it.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from engine import contracts
from engine.facts import Position
from engine.model import Instrument
from engine.money import ZERO
from engine.state.pnl_lines import Amounts, PnlLine, PnlLines, earned, opening_line
from engine.state.positions import Positions
from engine.state.reducer_settings import ReducerSettings
from engine.state.session_state import Account

SAME: Final = Decimal("1e-9")  # positions round otherwise than lots, by less


def restore_pnl(account: Account, settings: ReducerSettings) -> Account:
    """Return the account with lines in the session's currency. The day's P&L in another currency begins again."""
    lines = restored(account.pnl, account.positions, settings.instruments, settings.reporting_currency)
    if account.pnl.currency in ("", lines.currency):
        return replace(account, pnl=lines)
    return replace(account, pnl=lines, day_pnl=replace(account.day_pnl, reported={}))


def restored(lines: PnlLines, positions: Positions, instruments: Mapping[str, Instrument], currency: str) -> PnlLines:
    """Return the lines that a session of accounting 4 begins with, in its reporting currency.

    A line that its position left behind, in a session before accounting 3, opens again at the position's average.
    """
    is_other = lines.currency not in ("", currency)
    by_key = {
        key: line
        if (instrument := instruments.get(line.instrument)) is None
        else _restored(line, positions.get(line.strategy, line.instrument), instrument, currency, is_other=is_other)
        for key, line in lines.by_key.items()
    }
    return PnlLines(by_key, currency)


def _restored(line: PnlLine, held: Position, instrument: Instrument, currency: str, *, is_other: bool) -> PnlLine:
    asset = contracts.asset_of(instrument)
    found = _reported_in(line, asset, currency) if is_other else line
    return (
        _caught_up(found, opening_line(held, instrument, currency), asset, currency)
        if _is_behind(line, held)
        else found
    )


def _is_behind(line: PnlLine, held: Position) -> bool:
    moved = abs(line.own.realised - held.realised_pnl) > SAME or abs(line.own.fees - held.fees_quote) > SAME
    return moved or line.quantity != held.quantity or line.unvalued != held.fees_unvalued


def _caught_up(line: PnlLine, opened: PnlLine, asset: str, currency: str) -> PnlLine:
    """Return a line with the lots and sums of its position. No rate of the difference is recorded."""
    gained = Amounts(opened.own.realised - line.own.realised, opened.own.fees - line.own.fees)
    return earned(replace(line, lots=opened.lots, unvalued=opened.unvalued), gained, asset, currency, ZERO)


def _reported_in(line: PnlLine, asset: str, currency: str) -> PnlLine:
    """Return a line whose amounts are reported in another currency than before: no rate of theirs is recorded."""
    return earned(replace(line, own=Amounts(), reported=Amounts(), unrated={}), line.own, asset, currency, ZERO)
