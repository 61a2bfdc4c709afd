"""The facts of a session as metrics: outcomes of orders, money, mode, breakers, gaps."""

from typing import TYPE_CHECKING

from engine import facts
from engine.lifecycle import Report
from engine.mode_reasons import Mode
from engine.session_record import SECOND_NS

if TYPE_CHECKING:
    from analysis.metrics.session_metrics import SessionMetrics


def fold_fact(metrics: "SessionMetrics", time_ns: int, fact: facts.Fact) -> None:
    """Fold one fact."""
    values = metrics.values
    match fact:
        case facts.OrderFilled():
            metrics.settle(fact.client_order_id, "orders_accepted_total")
            values.add("fills_total", fact.strategy, fact.instrument, "maker" if fact.maker else "taker")
        case facts.OrderAccepted():
            metrics.settle(fact.client_order_id, "orders_accepted_total")
        case facts.OrderClosed() if fact.status is Report.REJECTED:
            metrics.settle(fact.client_order_id, "orders_rejected_total", fact.reason or "rejected")
        case facts.OrderClosed():
            metrics.settle(fact.client_order_id, "orders_accepted_total")
        case facts.OrderNotPlaced():
            metrics.settle(fact.client_order_id, "orders_not_placed_total")
        case facts.OrderUnknown():
            metrics.doubt(fact.client_order_id)
        case facts.ModeChanged():
            _mode(metrics, time_ns, fact)
        case facts.InstrumentBlocked():
            values.drop("instrument_blocked", fact.instrument)
            for reason in fact.reasons:
                values.put("instrument_blocked", 1, fact.instrument, reason.code.value)
        case facts.BreakerTripped():
            values.add("breakers_tripped_total", fact.scope.value, fact.subject)
            metrics.pause(fact.scope.value, fact.subject, fact.until_ns)
        case facts.StrategyStopped():
            values.add("strategies_stopped_total", fact.strategy)
        case facts.SafetyOrdered():
            values.add("safety_orders_total", fact.kind.value, fact.cause.value)
        case facts.DailyLossReached():
            values.add("loss_limits_reached_total", fact.name or "daily_loss_max")
        case facts.MarketGap():
            values.add("market_gaps_total", fact.link, amount=fact.to_ns == 0 or bool(fact.stream))
        case facts.RateBlocked() | facts.OrdersBlocked() | facts.AccessRefused():
            kind = {facts.RateBlocked: "rate", facts.OrdersBlocked: "orders"}.get(type(fact), "access")
            values.add("venue_blocks_total", fact.venue, kind, amount=fact.until_ns > 0)
        case facts.ClockMeasured():
            values.put("clock_offset_seconds", fact.offset_ns / SECOND_NS, fact.venue)
        case _:
            _fold_money(metrics, time_ns, fact)


def _mode(metrics: "SessionMetrics", time_ns: int, fact: facts.ModeChanged) -> None:
    values = metrics.values
    metrics.modes.add(time_ns, fact)
    if fact.mode is Mode.HALTED and metrics.mode is not Mode.HALTED:
        values.add("halts_total", fact.reasons[0].code.value if fact.reasons else "")
    metrics.mode = fact.mode
    values.drop("mode_reason")
    for reason in fact.reasons:
        values.put("mode_reason", 1, reason.code.value)


def _fold_money(metrics: "SessionMetrics", time_ns: int, fact: facts.Fact) -> None:
    values = metrics.values
    match fact:
        case facts.Position():
            values.put("position", float(fact.quantity), fact.strategy, fact.instrument)
        case facts.PortfolioPnl():
            parts = {
                "realised": fact.realised,
                "unrealised": fact.unrealised,
                "fees": -fact.fees,
                "funding": fact.funding,
                "total": fact.total,
            }
            for part, amount in parts.items():
                values.put("pnl", float(amount), fact.currency, part)
            values.put("equity", float(fact.equity), fact.currency)
        case facts.BooksCompared():
            _compare_books(metrics, time_ns, fact)
        case facts.BalanceDrift():
            values.put("balance_drift", float(fact.difference), fact.asset)
        case facts.Reconciled():
            values.add("reconciliations_total", "done")
        case facts.ReconcileFailed():
            values.add("reconciliations_total", "failed")
        case _:
            pass


def _compare_books(metrics: "SessionMetrics", time_ns: int, fact: facts.BooksCompared) -> None:
    values = metrics.values
    values.put("books_wrong_positions", len(fact.wrong))
    values.put("books_equity_drift_limit", float(fact.limit), fact.currency)
    if not fact.is_settled:
        values.add("books_compared_total", "differs" if fact.wrong else "unsettled")
        return
    values.add("books_compared_total", "differs" if fact.wrong or fact.drift else "agrees")
    values.put("books_equity", float(fact.expected), fact.currency, "own")
    values.put("books_equity", float(fact.reported), fact.currency, "venue")
    values.put("books_equity_drift", float(fact.drift), fact.currency)
    values.put("books_compared_timestamp_seconds", time_ns / SECOND_NS)
