"""The venue's own pages under /sim: status, state, sent frames, faults, injected messages.

For tests and demos, on loopback only. `/sim/state` is a witness: every order, fill and balance of the venue, and how
often each client order id was received. Nothing here is Binance's.
"""

from typing import TYPE_CHECKING, Any, Final

import msgspec

from engine.sim.exchange.contract_exchange import ContractExchange
from engine.sim.exchange.order_values import SimFill, SimOrder
from engine.sim.faults import Rule
from engine.sim.feeds.sim_market import Line, TradePrint, combined, trade_data
from engine.sim.units import text, units
from engine.sim.wire import HttpAnswer, HttpRequest

if TYPE_CHECKING:
    from engine.sim.sim_venue import SimVenue

MS: Final = 1_000_000


class Injection(msgspec.Struct, forbid_unknown_fields=True):
    """Either `stream` and `data` (a message as Binance would send it), or `symbol` and a trade."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    symbol: str = ""
    price: str = ""
    quantity: str = ""
    buyer_is_maker: bool = False


class BalanceMove(msgspec.Struct, forbid_unknown_fields=True):
    """A deposit or, if negative, a withdrawal. A streamed one is announced by an outboundAccountPosition."""

    asset: str
    amount: str
    streamed: bool = True


class Deleveraging(msgspec.Struct, forbid_unknown_fields=True):
    """A forced close of a part of the first account's position, as the venue's own deleveraging does it."""

    symbol: str
    quantity: str
    price: str
    side: str = "BOTH"


def handle(venue: "SimVenue", request: HttpRequest, now_ns: int) -> HttpAnswer:
    """Answer a request for one of these pages; an invalid body gets 400."""
    try:
        match request.method, request.path:
            case "GET", "/sim/status":
                return _answer(status(venue, now_ns))
            case "GET", "/sim/state":
                return _answer(state(venue))
            case "GET", "/sim/sent":
                return _answer(sent(venue))
            case "POST", "/sim/faults":
                wrapped = request.body if request.body.lstrip().startswith(b"[") else b"[" + request.body + b"]"
                rules = msgspec.json.decode(wrapped, type=list[Rule])
                for rule in rules:
                    venue.add_fault(rule, now_ns)
                return _answer({"added": len(rules)})
            case "GET", "/sim/faults":
                return _answer([{"rule": fault.rule, "struck": fault.struck} for fault in venue.faults.scripted])
            case "DELETE", "/sim/faults":
                venue.faults.clear()
                return _answer({})
            case "POST", "/sim/balances":
                moved = msgspec.json.decode(request.body, type=BalanceMove)
                venue.move_balance(moved.asset, units(moved.amount), now_ns, streamed=moved.streamed)
                return _answer({})
            case "POST", "/sim/deleveraging":
                venue.deleverage(msgspec.json.decode(request.body, type=Deleveraging), now_ns)
                return _answer({})
            case "POST", "/sim/feed":
                wanted = msgspec.json.decode(request.body, type=Injection)
                venue.publish(_line(venue, wanted, now_ns), now_ns)
                return _answer({})
            case _:
                return _answer({"error": f"no page {request.method} {request.path}"}, 404)
    except (msgspec.DecodeError, ValueError) as error:
        return _answer({"error": str(error)}, 400)


def _answer(body: Any, status_code: int = 200) -> HttpAnswer:
    headers = (("Content-Type", "application/json"),)
    return HttpAnswer(status=status_code, body=msgspec.json.encode(body), headers=headers)


def _line(venue: "SimVenue", wanted: Injection, now_ns: int) -> Line:
    if wanted.stream:
        symbol = wanted.stream.partition("@")[0].upper()
        line = Line(now_ns, wanted.stream, symbol, combined(wanted.stream, bytes(wanted.data)))
    else:
        symbol = wanted.symbol
        prints = venue.exchange.markets[symbol].prints if symbol in venue.exchange.markets else ()
        number = prints[-1].trade_id + 1 if prints else 1
        trade = TradePrint(number, units(wanted.price), units(wanted.quantity), now_ns, wanted.buyer_is_maker)
        stream = f"{symbol.lower()}@trade"
        line = Line(now_ns, stream, symbol, combined(stream, trade_data(symbol, trade)))
    if symbol not in venue.exchange.markets:
        raise ValueError(f"this venue has no symbol {symbol!r}; it has {', '.join(venue.exchange.markets)}")
    return line


def status(venue: "SimVenue", now_ns: int) -> dict[str, Any]:
    """Return the venue's time, its feed and its connections."""
    feed = venue.feed
    return {
        "now_ns": now_ns,
        "symbols": list(venue.exchange.markets),
        "streams": sorted(feed.market.streams),
        "feed": {
            "waiting_for_subscribers": feed.waiting_for_subscribers,
            "finished": feed.finished,
            "next_due_ns": feed.market.next_due_ns,
            "lines": feed.status.lines,
            "held_ns": feed.status.held_ns,
            "late_ns_max": feed.status.late_ns_max,
            "late_lines": feed.status.late_lines,
            "skipped": feed.status.skipped,
            "gaps": sum(market.gaps for market in venue.exchange.markets.values()),
        },
        "connections": [
            {
                "conn_id": connection.conn_id,
                "ws_api": connection.ws_api,
                "private": connection.private,
                "streams": list(connection.streams),
                "subscriptions": len(connection.accounts),
            }
            for connection in venue.connections
        ],
    }


def sent(venue: "SimVenue") -> list[dict[str, Any]]:
    """Return the frames sent to each market connection, oldest first, also for closed connections.

    The sha256 is over each frame's length (8 bytes, little-endian) and bytes. Frames that the client did not read are
    included.
    """
    open_ids = {connection.conn_id for connection in venue.connections}
    return [
        {
            "conn_id": connection.conn_id,
            "streams": list(connection.streams),
            "open": connection.conn_id in open_ids,
            "frames": connection.sent.frames,
            "sha256": connection.sent.sha256,
        }
        for connection in venue.streamed
    ]


def state(venue: "SimVenue") -> dict[str, Any]:
    """Return all balances, orders, fills and client order ids that the venue knows."""
    exchange = venue.exchange
    exchange.books.read_queues()
    return {
        "balances": {
            name: {
                asset: {"free": text(free), "locked": text(account.locked[asset])}
                for asset, free in sorted(account.free.items())
            }
            for name, account in sorted(exchange.accounts.items())
        },
        "orders": [_order(order) for order in exchange.orders.values()],
        "open_orders": [_order(order) for order in exchange.orders.values() if order.is_open],
        "fills": [
            _fill(order, fill)
            for order, fill in sorted(
                ((order, fill) for order in exchange.orders.values() for fill in order.fills),
                key=lambda pair: (pair[1].trade_id, pair[1].order_id),
            )
        ],
        "client_order_ids": dict(sorted(exchange.client_ids_seen.items())),
        **(_contract_state(exchange) if isinstance(exchange, ContractExchange) else {}),
    }


def _contract_state(exchange: ContractExchange) -> dict[str, Any]:
    """Return the positions, wallets and conditional orders of a venue of contracts, and its insurance fund."""
    return {
        "positions": [
            {
                "account": owner.name,
                "symbol": position.symbol,
                "side": position.side,
                "quantity": text(position.quantity),
                "entry_price": text(position.entry_price),
                "realised": text(position.realised),
                "isolated_wallet": text(position.isolated_wallet),
            }
            for owner in exchange.margin_accounts.values()
            for position in owner.open_positions()
        ],
        "wallets": {
            owner.name: {asset: text(owner.wallet(asset, exchange.margin_assets)) for asset in sorted(owner.free)}
            for owner in exchange.margin_accounts.values()
        },
        "conditional_orders": [
            {
                "account": algo.account,
                "algo_id": algo.algo_id,
                "client_algo_id": algo.client_algo_id,
                "type": algo.order_type,
                "status": algo.status,
                "order_id": algo.order.order_id if algo.order is not None else 0,
            }
            for algo in exchange.algos.values()
        ],
        "insurance_fund": text(exchange.insurance_fund),
    }


def _order(order: SimOrder) -> dict[str, Any]:
    return {
        "account": order.account,
        "symbol": order.symbol,
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        "side": order.side.value,
        "type": order.order_type.value,
        "time_in_force": order.time_in_force.value,
        "status": order.status.value,
        "price": text(order.price),
        "stop_price": text(order.stop_price),
        "trailing_delta": order.trailing_delta,
        "is_working": order.is_working,
        "list_id": order.list_id,
        "quantity": text(order.quantity),
        "executed_quantity": text(order.executed),
        "executed_quote": text(order.executed_quote),
        "locked": text(order.locked),
        "queue_ahead": text(order.queue_ahead),
        "created_ns": order.created_ns,
        "updated_ns": order.updated_ns,
    }


def _fill(order: SimOrder, fill: SimFill) -> dict[str, Any]:
    return {
        "account": order.account,
        "symbol": fill.symbol,
        "trade_id": fill.trade_id,
        "order_id": fill.order_id,
        "client_order_id": order.client_order_id,
        "side": fill.side.value,
        "price": text(fill.price),
        "quantity": text(fill.quantity),
        "fee": text(fill.fee),
        "fee_asset": fill.fee_asset,
        "maker": fill.maker,
        "time_ns": fill.time_ns,
    }
