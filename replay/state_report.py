"""The engine's state at a moment as plain values, for people and scripts."""

from decimal import Decimal
from typing import Any

import msgspec

from engine.apply.due_timers import next_timer
from engine.facts import BreakerScope
from engine.kernel import Kernel
from engine.lifecycle import LIVE, Status
from engine.mode_reasons import texts
from engine.requests import Purpose
from engine.state.positions import unvalued_text
from engine.state.protection import ProtectedBy, holds_stop, protected_by
from engine.state.session_state import State
from engine.timer_names import TimerKind, TimerName
from journal.printable import in_one_line
from journal.record import Record, plain
from replay.record_text import time_text

BOOK_LEVELS = 5


def describe_state(kernel: Kernel, state: State, record: Record) -> dict[str, Any]:
    """Return the state as JSON values, with decimals as text.

    Args:
        kernel: The kernel of the session.
        state: The state to describe.
        record: The last record that was folded.
    """
    return {
        "session": kernel.session.body.session,
        "seq": state.seq,
        "time_ns": state.time_ns,
        "record": {"kind": str(record.kind), "source": record.source, "key": record.key},
        "inputs": state.inputs,
        "mode": _mode(state),
        "links": [
            {"source": link.source, "state": link.state, "since_ns": link.changed_ns, "reconnects": link.reconnects}
            for link in state.account.links.by_source.values()
        ],
        "orders": _orders(state),
        "plans": _plans(state),
        "positions": [_plain_fields(item) for item in state.account.positions.by_key.values()],
        "balances": {
            asset: {"free": plain(item.free), "locked": plain(item.locked)}
            for asset, item in sorted(state.account.balances.by_asset.items())
        },
        "markets": _markets(kernel, state),
        "strategies": _strategies(kernel, state),
        "waiting_for": _waiting(state),
        "unknown_orders": _unknown(state),
        "timers": _timers(state),
    }


def _plain_fields(value: msgspec.Struct) -> dict[str, Any]:
    return {name: _plain_value(getattr(value, name)) for name in value.__struct_fields__}


def _plain_value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    return {name: _plain_value(item) for name, item in value.items()} if isinstance(value, dict) else value


def _mode(state: State) -> dict[str, Any]:
    modes = state.account.modes
    return {
        "mode": str(modes.mode),
        "reasons": [reason.text for reason in modes.reasons],
        "since_ns": modes.since_ns,
        "paused_by": modes.paused_by,
        "halted_for": texts(modes.halts),
        "stopping": bool(modes.stopping_since_ns),
        "reconciled_round": state.account.reconciling.done_round,
        "reconciling": state.account.reconciling.running,
    }


def _orders(state: State) -> list[dict[str, Any]]:
    live = state.account.orders.live
    return [
        {
            "client_order_id": order.client_order_id,
            "venue_order_id": order.venue_order_id,
            "strategy": order.strategy,
            "instrument": order.order.instrument,
            "side": str(order.order.side),
            "type": str(order.order.type),
            "quantity": plain(order.order.quantity),
            "price": plain(order.order.price),
            "stop_price": plain(order.order.stop_price),
            "venue_type": order.order.venue_type,
            "terms": order.order.terms.text(),
            "status": str(order.status),
            "filled_quantity": plain(order.filled_quantity),
            "request_seq": order.request_seq,
            "updated_seq": order.updated_seq,
            "cancel_seq": order.cancel_seq or None,
            "reason": order.reason,
            "live": order.status in LIVE,
            "good_till_ns": order.order.good_till_ns or None,
            "protected_by": ProtectedBy.VENUE.value if holds_stop(order, live) else None,
        }
        for order in state.account.orders.all()
    ]


def _plans(state: State) -> list[dict[str, Any]]:
    """Describe the execution plans that run, and the protection of the position of each."""
    live = state.account.orders.live
    return [
        {
            "plan_id": plan.plan_id,
            "strategy": plan.strategy,
            "plan": str(plan.terms.__struct_config__.tag),
            "instrument": plan.terms.instrument,
            "side": str(plan.terms.side),
            "quantity": plain(plan.terms.quantity),
            "phase": str(plan.phase),
            "protected_by": protected_by(plan, live),
            "orders": list(plan.orders),
        }
        for plan in state.account.plans.by_age()
    ]


def _markets(kernel: Kernel, state: State) -> list[dict[str, Any]]:
    markets = []
    for name, index in kernel.session.indexes.items():
        quote = state.market.quote(index)
        top = state.market.book_top(index, BOOK_LEVELS)
        trade = state.market.last_trade(index)
        markets.append(
            {
                "instrument": name,
                "book": state.market.book_state(index).name.lower(),
                "quote": None if quote is None else _plain_fields(quote),
                "bids": [] if top is None else [[plain(price), plain(size)] for price, size in top.bids],
                "asks": [] if top is None else [[plain(price), plain(size)] for price, size in top.asks],
                "book_seq": None if top is None else top.seq,
                "last_trade": None if trade is None else _plain_fields(trade),
            }
        )
    return markets


def _strategies(kernel: Kernel, state: State) -> list[dict[str, Any]]:
    return [
        {
            "strategy": name,
            "version": loaded.settings.version,
            "state": state.account.strategies.get(name).state,
            "stopped_for": state.account.strategies.get(name).stopped_for,
            "paused_for": state.account.breakers.pause_reason(BreakerScope.STRATEGY, name, state.time_ns),
        }
        for name, loaded in kernel.session.strategies.items()
    ]


def _waiting(state: State) -> list[dict[str, Any]]:
    """Describe the requests on their way: when each was made, until when it counts, and its purpose."""
    return [
        {
            "request_seq": awaited.seq,
            "purpose": awaited.request.purpose,
            "venue": awaited.request.venue,
            "client_order_id": awaited.request.client_order_id,
            "instrument": awaited.request.instrument,
            "since_ns": awaited.time_ns,
            "expires_ns": awaited.request.expires_ns,
            "timeout_ns": awaited.time_ns + awaited.request.timeout_ns,
            "why": _purpose_text(awaited.request.purpose, awaited.request.round),
        }
        for awaited in state.account.requests.by_seq.values()
    ]


def _purpose_text(purpose: Purpose, reconcile_round: int) -> str:
    if reconcile_round:
        return f"reconciliation {reconcile_round}"
    return {
        Purpose.PLACE: "a strategy's order",
        Purpose.PLACE_LIST: "the orders of a list",
        Purpose.CANCEL: "an order is to be canceled",
        Purpose.AMEND: "an order is to be reduced",
        Purpose.QUERY_ORDER: "the state of an order is unknown",
        Purpose.DEPTH: "a book has no snapshot",
        Purpose.POLL: "a stream is polled",
        Purpose.SERVER_TIME: "the venue's clock is measured",
        Purpose.SUBSCRIBE: "the private stream needs it",
        Purpose.ARM_SWITCH: "orders rest, and silence must cancel them",
        Purpose.DISARM_SWITCH: "the session ends in order",
        Purpose.FILLS: "fills are missing",
    }.get(purpose, "")


def _unknown(state: State) -> list[dict[str, Any]]:
    """Describe the orders whose existence at the venue is unknown, and when each will be queried next."""
    due_ns = state.account.timers.due_ns
    return [
        {
            "client_order_id": order.client_order_id,
            "reason": order.reason,
            "query_count": order.query_count,
            "query_seq": order.query_seq or None,
            "next_query_ns": due_ns.get(str(TimerName(TimerKind.QUERY_ORDER, order.client_order_id))),
            "not_found_is_proof_after_ns": order.proof_ns,
        }
        for order in state.account.orders.live.values()
        if order.status is Status.UNKNOWN
    ]


def _timers(state: State) -> list[dict[str, Any]]:
    timers = [{"timer": name, "due_ns": due} for name, due in state.account.timers.due_ns.items()]
    next_ns, name = next_timer(state)
    if TimerName.parse(name).kind is TimerKind.THROTTLE:
        timers.append({"timer": name, "due_ns": next_ns})
    return sorted(timers, key=lambda timer: (timer["due_ns"], timer["timer"]))


def state_lines(report: dict[str, Any]) -> list[str]:
    """Format a report of `describe_state` for people."""
    mode, record = report["mode"], report["record"]
    last = f"{record['kind']} of {record['source']}"
    reasons = f": {in_one_line('; '.join(mode['reasons']))}" if mode["reasons"] else ""
    return [
        f"session {report['session']} after record {report['seq']} ({last}) at {time_text(report['time_ns'])} UTC",
        f"mode        {mode['mode']}{reasons}",
        *(
            f"link        {link['source']}: {link['state']} since {time_text(link['since_ns'])}"
            for link in report["links"]
        ),
        *(line for market in report["markets"] for line in _market_lines(market)),
        *_account_lines(report),
        *_order_lines(report["orders"]),
        *_plan_lines(report["plans"]),
        *_pending_lines(report),
    ]


def _market_lines(market: dict[str, Any]) -> list[str]:
    quote = market["quote"]
    text = (
        "no quote"
        if quote is None
        else f"{quote['bid']} x {quote['bid_size']} / {quote['ask']} x {quote['ask_size']} (record {quote['seq']})"
    )
    lines = [f"market      {market['instrument']}: {text}; book {market['book']}"]
    for ask, bid in zip(market["asks"], market["bids"], strict=False):
        lines.append(f"              {bid[1]:>14} {bid[0]:>12} | {ask[0]:<12} {ask[1]:<14}")
    return lines


def _account_lines(report: dict[str, Any]) -> list[str]:
    lines = [
        f"position    {position['strategy']} {position['instrument']}: {position['quantity']} "
        f"at {_rounded_text(position['price_avg'])}, realised {_rounded_text(position['realised_pnl'])}, "
        f"fees {_rounded_text(position['fees_quote'])}{unvalued_text(position['fees_unvalued'])}"
        for position in report["positions"]
    ]
    return lines + [
        f"balance     {asset}: {balance['free']} free, {balance['locked']} locked"
        for asset, balance in report["balances"].items()
    ]


def _order_lines(orders: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"order       {order['client_order_id']} {order['side']} {order['quantity']} {order['instrument']} "
        f"{order['terms']}: {order['status']}, {order['filled_quantity']} filled (request {order['request_seq']})"
        + (f", good till {time_text(order['good_till_ns'])} UTC" if order["good_till_ns"] else "")
        + (f", protected by: {order['protected_by']}" if order["protected_by"] else "")
        for order in orders
        if order["live"]
    ]
    closed = sum(not order["live"] for order in orders)
    return [*lines, f"            and {closed} closed orders that are still in the state"] if closed else lines


def _plan_lines(plans: list[dict[str, Any]]) -> list[str]:
    return [
        f"plan        {plan['plan_id']} {plan['plan']} {plan['side']} {plan['quantity']} {plan['instrument']}: "
        f"{plan['phase']}" + (f", protected by: {plan['protected_by']}" if plan["protected_by"] else "")
        for plan in plans
    ]


def _pending_lines(report: dict[str, Any]) -> list[str]:
    """Format requests, orders of unknown state and timers."""
    now_ns = report["time_ns"]
    lines = [
        f"waits for   {request['purpose']} {request['client_order_id'] or request['instrument']}".rstrip()
        + f" (request {request['request_seq']}, {(now_ns - request['since_ns']) // 1_000_000} ms ago): {request['why']}"
        for request in report["waiting_for"]
    ]
    lines += [
        f"unknown     {order['client_order_id']}: {order['reason']}; queried {order['query_count']} times, "
        + ("the answer is pending" if order["query_seq"] else _next_query_text(order))
        for order in report["unknown_orders"]
    ]
    return lines + [
        f"timer       {timer['timer']} in {(timer['due_ns'] - now_ns) / 1e9:.3f} s" for timer in report["timers"]
    ]


def _rounded_text(number: str) -> str:
    """Round to 8 decimals: an average price has more digits than a reader needs."""
    return plain(round(Decimal(number), 8))


def _next_query_text(order: dict[str, Any]) -> str:
    next_ns = order["next_query_ns"]
    return "to be queried when a link allows it" if next_ns is None else f"next query at {time_text(next_ns)}"
