"""The P&L of an account's day, over restarts of the trader and of the watcher: its begin, and its highest value."""

from collections.abc import Iterable
from decimal import Decimal

from verbatim.alerts.alert_events import DayFigures
from verbatim.alerts.observation import DayLoss, PnlPoint


def day_events(
    figures: DayFigures | None, target: str, points: Iterable[PnlPoint], now_ns: int, *, step: Decimal
) -> tuple[DayFigures | None, DayLoss | None]:
    """Return the figures to record, or None, and the loss of the day, or None before the first P&L.

    Args:
        figures: As last recorded.
        target: The account.
        points: The P&L since the last call, in their order.
        now_ns: The time.
        step: A new day is recorded at once, a higher P&L once it rose by this.
    """
    recorded, pnl = figures, None
    for point in points:
        if figures is None or point.day > figures.day or point.currency != figures.currency:
            figures = DayFigures(now_ns, target, point.day, point.currency, point.pnl, point.pnl)
        elif point.day == figures.day and point.pnl > figures.peak:
            figures = DayFigures(now_ns, target, figures.day, figures.currency, figures.opening, point.pnl)
        if point.day == figures.day:
            pnl = point.pnl
    if figures is None or pnl is None:
        return None, None
    loss = DayLoss(figures.currency, figures.opening - pnl, figures.peak - pnl)
    is_new = recorded is None or (recorded.day, recorded.currency) != (figures.day, figures.currency)
    if is_new or (recorded is not None and figures.peak - recorded.peak >= step > 0):
        return figures, loss
    return None, loss
