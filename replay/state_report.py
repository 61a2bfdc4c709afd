"""What the engine believed at a moment, and what it waited for: a state as plain values, for people and scripts."""

from decimal import Decimal
from typing import Any

import msgspec

from engine.kernel import Kernel
from engine.lifecycle import LIVE, Status
from engine.sequencer import next_timer
from engine.state.session_state import State
from journal.record import Record, plain
from replay.causal_chain import time_text

BOOK_LEVELS = 5


def belief(kernel: Kernel, state: State, record: Record) -> dict[str, Any]:
    """JSON values; decimals as text. `record` is the last one folded."""
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
        "positions": [_plain(held) for held in state.account.positions.by_key.values()],
        "balances": {
            asset: {"free": plain(held.free), "locked": plain(held.locked)}
            for asset, held in sorted(state.account.balances.by_asset.items())
        },
        "markets": _markets(kernel, state),
        "strategies": _strategies(kernel, state),
        "waiting_for": _waiting(state),
        "unknown_orders": _unknown(state),
        "timers": _timers(state),
    }


def _plain(value: msgspec.Struct) -> dict[str, Any]:
    return {name: _text(getattr(value, name)) for name in value.__struct_fields__}


def _text(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    return {name: _text(item) for name, item in value.items()} if isinstance(value, dict) else value


def _mode(state: State) -> dict[str, Any]:
    modes = state.account.modes
    return {
        "mode": str(modes.mode),
        "reasons": list(modes.reasons),
        "since_ns": modes.since_ns,
        "paused_by": modes.paused_by,
        "halted_for": modes.halted_for,
        "stopping": bool(modes.stopping_since_ns),
        "reconciled_round": state.account.reconciling.done_round,
        "reconciling": state.account.reconciling.running,
    }


def _orders(state: State) -> list[dict[str, Any]]:
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
        }
        for order in state.account.orders.all()
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
                "quote": None if quote is None else _plain(quote),
                "bids": [] if top is None else [[plain(price), plain(size)] for price, size in top.bids],
                "asks": [] if top is None else [[plain(price), plain(size)] for price, size in top.asks],
                "book_seq": None if top is None else top.seq,
                "last_trade": None if trade is None else _plain(trade),
            }
        )
    return markets


def _strategies(kernel: Kernel, state: State) -> list[dict[str, Any]]:
    return [
        {
            "strategy": name,
            "version": loaded.settings.version,
            "state": state.account.strategies.of(name).state,
            "stopped_for": state.account.strategies.of(name).stopped_for,
        }
        for name, loaded in kernel.session.strategies.items()
    ]


def _waiting(state: State) -> list[dict[str, Any]]:
    """Requests on their way: each with when it was made, until when it may be sent and answered, and what it is for."""
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
            "why": _why_asked(awaited.request.purpose, awaited.request.round),
        }
        for awaited in state.account.requests.by_seq.values()
    ]


def _why_asked(purpose: str, reconcile_round: int) -> str:
    if reconcile_round:
        return f"reconciliation {reconcile_round}"
    return {
        "place": "a strategy's order",
        "cancel": "an order is to end",
        "query_order": "an order's fate is not known",
        "depth": "a book has no snapshot",
        "server_time": "the venue's clock is measured",
        "subscribe": "the private stream begins with it",
        "fills": "fills are missing",
    }.get(purpose, "")


def _unknown(state: State) -> list[dict[str, Any]]:
    """Orders of which nobody knows whether they exist, and when they will be asked about next."""
    due_ns = state.account.timers.due_ns
    return [
        {
            "client_order_id": order.client_order_id,
            "reason": order.reason,
            "asks": order.asks,
            "asked_by": order.ask_seq or None,
            "asks_next_ns": due_ns.get(f"ask.{order.client_order_id}"),
            "not_found_is_proof_after_ns": order.proof_ns,
        }
        for order in state.account.orders.live.values()
        if order.status is Status.UNKNOWN
    ]


def _timers(state: State) -> list[dict[str, Any]]:
    timers = [{"timer": name, "due_ns": due} for name, due in state.account.timers.due_ns.items()]
    next_ns, name = next_timer(state)
    if name.startswith("watch."):
        timers.append({"timer": name, "due_ns": next_ns})
    return sorted(timers, key=lambda timer: (timer["due_ns"], timer["timer"]))


def told(held: dict[str, Any]) -> list[str]:
    """A belief in lines."""
    mode, now_ns = held["mode"], held["time_ns"]
    record = held["record"]
    lines = [
        (
            f"session {held['session']} after record {held['seq']} ({record['kind']} of {record['source']}) "
            f"at {time_text(now_ns)} UTC"
        ),
        f"mode        {mode['mode']}" + (f": {'; '.join(mode['reasons'])}" if mode["reasons"] else ""),
    ]
    lines += [
        f"link        {link['source']}: {link['state']} since {time_text(link['since_ns'])}" for link in held["links"]
    ]
    for market in held["markets"]:
        quote = market["quote"]
        said = (
            "no quote"
            if quote is None
            else f"{quote['bid']} x {quote['bid_size']} / {quote['ask']} x {quote['ask_size']} (record {quote['seq']})"
        )
        lines.append(f"market      {market['instrument']}: {said}; book {market['book']}")
        for ask, bid in zip(market["asks"], market["bids"], strict=False):
            lines.append(f"              {bid[1]:>14} {bid[0]:>12} | {ask[0]:<12} {ask[1]:<14}")
    lines += [
        f"position    {one['strategy']} {one['instrument']}: {one['quantity']} at {_short(one['price_avg'])}, "
        f"realised {_short(one['realised_pnl'])}, fees {_short(one['fees_quote'])}"
        for one in held["positions"]
    ]
    lines += [
        f"balance     {asset}: {one['free']} free, {one['locked']} locked" for asset, one in held["balances"].items()
    ]
    lines += [
        f"order       {order['client_order_id']} {order['side']} {order['quantity']} {order['instrument']} "
        f"{order['terms']}: "
        f"{order['status']}, {order['filled_quantity']} filled (request {order['request_seq']})"
        for order in held["orders"]
        if order["live"]
    ]
    closed = sum(not order["live"] for order in held["orders"])
    lines += [f"            and {closed} closed orders not yet forgotten"] if closed else []
    lines += [
        f"waits for   {asked['purpose']} {asked['client_order_id'] or asked['instrument']}".rstrip()
        + f" (request {asked['request_seq']}, {(now_ns - asked['since_ns']) // 1_000_000} ms ago): {asked['why']}"
        for asked in held["waiting_for"]
    ]
    lines += [
        f"unknown     {order['client_order_id']}: {order['reason']}; asked {order['asks']} times, "
        + ("an answer is awaited" if order["asked_by"] else _next_ask(order))
        for order in held["unknown_orders"]
    ]
    lines += [f"timer       {timer['timer']} in {(timer['due_ns'] - now_ns) / 1e9:.3f} s" for timer in held["timers"]]
    return lines


def _short(number: str) -> str:
    """An average has as many digits as money has room for; nobody reads more than these."""
    return plain(round(Decimal(number), 8))


def _next_ask(order: dict[str, Any]) -> str:
    return (
        "to be asked about when a link allows"
        if order["asks_next_ns"] is None
        else f"next at {time_text(order['asks_next_ns'])}"
    )
