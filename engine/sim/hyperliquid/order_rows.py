"""Orders, fills, positions and fundings of the simulated venue as Hyperliquid's JSON. Decides nothing."""

import re
from collections.abc import Iterable
from typing import Any, Final

from engine.model import Side
from engine.sim.exchange.contract_events import AlgoOrder, AlgoStatus
from engine.sim.exchange.contract_orders import REDUCED_AWAY
from engine.sim.exchange.liquidation import LIQUIDATED
from engine.sim.exchange.margin import PositionMargin
from engine.sim.exchange.margin_account import Income, MarginAccount
from engine.sim.exchange.order_values import Execution, SimFill, SimOrder, SimOrderStatus
from engine.sim.hyperliquid.perp_rules import LEVERAGE_MAX, QUOTE, money
from engine.sim.units import ONE

MS: Final = 1_000_000
CLOID: Final = re.compile(r"0x[0-9a-f]{32}")
AGAIN: Final = "#"  # between a cloid and a number, where an account uses a cloid again
NO_HASH: Final = "0x" + "0" * 64
TIDS: Final = 1 << 50
TID_FACTOR: Final = 0x2F63B94E0AD1D  # odd: each trade has another tid, in no order
SIDES: Final = {Side.BUY: "B", Side.SELL: "A"}
CANCELED: Final = {REDUCED_AWAY: "reduceOnlyCanceled", LIQUIDATED: "liquidatedCanceled"}
ALGO_STATUSES: Final = {
    AlgoStatus.NEW: "open",
    AlgoStatus.TRIGGERED: "triggered",
    AlgoStatus.CANCELED: "canceled",
    AlgoStatus.EXPIRED: "liquidatedCanceled",
    AlgoStatus.REJECTED: "rejected",
}


def oid_of(order: SimOrder) -> int:
    """Return the id of an order. One with a trigger keeps its id when it is triggered."""
    return (order.contract.algo_id if order.contract is not None else 0) or order.order_id


def cloid_of(order: SimOrder) -> str | None:
    """Return the client's id of an order, if it has one."""
    name = order.client_order_id.partition(AGAIN)[0]
    return name if CLOID.fullmatch(name) else None


def tid_of(trade_id: int) -> int:
    """Return the id of a trade, a number of 50 bits that does not rise."""
    return trade_id * TID_FACTOR % TIDS


def tif_of(order: SimOrder) -> str:
    """Return the time in force as the venue spells it."""
    if order.contract is not None and order.contract.time_in_force == "Alo":
        return "Alo"
    return "Ioc" if not order.terms.rests else "Gtc"


def order_row(order: SimOrder) -> dict[str, Any]:
    """Return an order as `orderUpdates` shows it. `sz` is what is left."""
    return {
        "coin": order.symbol,
        "side": SIDES[order.side],
        "limitPx": money(order.price),
        "sz": money(order.leaves),
        "oid": oid_of(order),
        "timestamp": order.created_ns // MS,
        "origSz": money(order.quantity),
        "cloid": cloid_of(order),
    }


def full_row(order: SimOrder, algo: AlgoOrder | None = None) -> dict[str, Any]:
    """Return an order as `frontendOpenOrders` and `orderStatus` show it."""
    terms = order.contract
    assert terms is not None, "an order of a contract has its terms"
    waits = algo is not None and algo.is_open
    return {
        **order_row(order),
        "triggerCondition": f"Price at {money(terms.trigger_price)}" if waits else "N/A",
        "isTrigger": waits,
        "triggerPx": money(terms.trigger_price),
        "children": [],
        "isPositionTpsl": False,
        "reduceOnly": terms.reduce_only,
        "orderType": algo.order_type if algo is not None else "Limit",
        "tif": None if waits else tif_of(order),
    }


def status_of(order: SimOrder, execution: Execution | None = None) -> str:
    """Return the status of an order in the venue's words. An IOC order without a match counts as rejected."""
    if execution in (Execution.NEW, Execution.AMENDMENT) or order.is_open:
        return "open"
    match order.status:
        case SimOrderStatus.FILLED:
            return "filled"
        case SimOrderStatus.EXPIRED if order.expiry_reason in CANCELED:
            return CANCELED[order.expiry_reason]
        case SimOrderStatus.EXPIRED if not order.terms.rests:
            return "canceled" if order.executed else "iocCancelRejected"
        case SimOrderStatus.EXPIRED_IN_MATCH | SimOrderStatus.EXPIRED:
            return "selfTradeCanceled"
        case _:
            return "canceled"


def fill_row(fill: SimFill, order: SimOrder, before: int, address: str) -> dict[str, Any]:
    """Return a fill of an account; `before` is the position before it."""
    signed = fill.quantity * fill.side.sign
    forced = order.contract is not None and order.contract.is_forced
    row = {
        "coin": fill.symbol,
        "px": money(fill.price),
        "sz": money(fill.quantity),
        "side": SIDES[fill.side],
        "time": fill.time_ns // MS,
        "startPosition": money(before),
        "dir": _direction(before, signed),
        "closedPnl": money(fill.realised),
        "hash": NO_HASH,
        "oid": oid_of(order),
        "crossed": not fill.maker,
        "fee": money(fill.fee),
        "tid": tid_of(fill.trade_id),
        "cloid": cloid_of(order),
        "feeToken": QUOTE,
        "twapId": None,
    }
    if forced:
        row["liquidation"] = {"liquidatedUser": address, "markPx": money(fill.price), "method": "market"}
    return row


def _direction(before: int, signed: int) -> str:
    """Return the effect of a fill on a position, as people read it."""
    after = before + signed
    if before * after < 0:
        return "Long > Short" if before > 0 else "Short > Long"
    side = "Long" if (before or after) > 0 else "Short"
    return f"{'Close' if before * signed < 0 else 'Open'} {side}"


def fills_of(orders: Iterable[SimOrder], account: str) -> list[tuple[SimFill, SimOrder, int]]:
    """Return an account's fills as they happened, each with its order and the position before it."""
    own = [(fill, order) for order in orders if order.account == account for fill in order.fills]
    positions: dict[str, int] = {}
    found = []
    for fill, order in sorted(own, key=lambda pair: (pair[0].time_ns, pair[0].trade_id)):
        before = positions.get(fill.symbol, 0)
        positions[fill.symbol] = before + fill.quantity * fill.side.sign
        found.append((fill, order, before))
    return found


def newest_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows, oldest first, with the newest millisecond first and within one still the oldest first."""
    return sorted(rows, key=lambda row: -row["time"])


def position_row(owner: MarginAccount, margin: PositionMargin, liquidation: int) -> dict[str, Any]:
    """Return a position."""
    position = margin.position
    isolated = owner.is_isolated(position.symbol)
    leverage: dict[str, Any] = {"type": "isolated" if isolated else "cross", "value": owner.leverage(position.symbol)}
    if isolated:
        leverage["rawUsd"] = money(position.isolated_wallet - position.cost)
    return {
        "type": "oneWay",
        "position": {
            "coin": position.symbol,
            "szi": money(position.quantity),
            "entryPx": money(position.entry_price),
            "leverage": leverage,
            "liquidationPx": money(liquidation) if liquidation else None,
            "marginUsed": money(margin.initial),
            "positionValue": money(abs(margin.notional)),
            "unrealizedPnl": money(margin.unrealised),
            "returnOnEquity": money(margin.unrealised * ONE // margin.initial if margin.initial else 0),
            "maxLeverage": LEVERAGE_MAX,
            "cumFunding": {"allTime": "0.0", "sinceOpen": "0.0", "sinceChange": "0.0"},
        },
    }


def funding_row(entry: Income, quantity: int, rate: int) -> dict[str, Any]:
    """Return a funding as `userFunding` lists it."""
    return {
        "time": entry.time_ns // MS,
        "hash": NO_HASH,
        "delta": {
            "type": "funding",
            "coin": entry.symbol,
            "usdc": money(entry.amount),
            "szi": money(quantity),
            "fundingRate": money(rate),
            "nSamples": None,
        },
    }
