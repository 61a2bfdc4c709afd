"""Figures as a strategy sees them: without trailing zeros.

Live, a figure keeps the digits of the venue's message; rebuilt from records, it has those of its canonical text. Equal
numbers must have equal texts for a strategy that writes them, so that a replay may begin anywhere.
"""

from decimal import Decimal

from msgspec.structs import replace

from engine.facts import Position
from engine.money import MONEY
from engine.state.orders import Order
from engine.state.pnl_figures import PnlFigures
from engine.state.strategy_events import OwnFill

_UNIT = Decimal(1)
_to_text = MONEY.to_sci_string


def plain_figure(number: Decimal) -> Decimal:
    """Return the same number without trailing zeros and without a positive exponent.

    >>> plain_figure(Decimal("0.00999000")), plain_figure(Decimal("1.2E+3"))
    (Decimal('0.00999'), Decimal('1200'))
    """
    normal = number.normalize()
    return normal.quantize(_UNIT) if "E+" in _to_text(normal) else normal  # a tuple of its digits takes longer


def plain_position(position: Position) -> Position:
    """Return a position with plain figures, and a copy of its fees."""
    return replace(
        position,
        quantity=plain_figure(position.quantity),
        price_avg=plain_figure(position.price_avg),
        realised_pnl=plain_figure(position.realised_pnl),
        fees={asset: plain_figure(fee) for asset, fee in position.fees.items()},
        fees_quote=plain_figure(position.fees_quote),
    )


def plain_fill(fill: OwnFill) -> OwnFill:
    """Return a fill with plain figures."""
    return replace(
        fill, price=plain_figure(fill.price), quantity=plain_figure(fill.quantity), fee=plain_figure(fill.fee)
    )


def plain_pnl(figures: PnlFigures) -> PnlFigures:
    """Return P&L with plain figures."""
    return replace(
        figures,
        realised=plain_figure(figures.realised),
        unrealised=plain_figure(figures.unrealised),
        fees=plain_figure(figures.fees),
        funding=plain_figure(figures.funding),
        unrated={asset: plain_figure(amount) for asset, amount in figures.unrated.items()},
    )


def plain_order(order: Order) -> Order:
    """Return an order with plain figures."""
    terms = order.order
    return replace(
        order,
        order=replace(
            terms,
            quantity=plain_figure(terms.quantity),
            price=plain_figure(terms.price),
            stop_price=plain_figure(terms.stop_price),
        ),
        filled_quantity=plain_figure(order.filled_quantity),
        filled_notional=plain_figure(order.filled_notional),
        filled_reported=plain_figure(order.filled_reported),
    )
