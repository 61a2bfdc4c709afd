"""The answers of the account's endpoints as JSON, without orders (broker_orders.py)."""

from typing import Any, Final

from engine.model import Side
from engine.sim.alpaca.broker_exchange import CASH, BrokerExchange, BrokerFunds, is_crypto
from engine.sim.alpaca.broker_orders import BrokerOrder, uuid_of
from engine.sim.alpaca.market_hours import DAY_NS, MarketHours
from engine.sim.exchange.order_values import SimFill
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.units import ONE, plain, product
from engine.venues.timestamps import time_text

ACCOUNT_ID: Final = uuid_of(4, 1)


def account(exchange: BrokerExchange, name: str) -> dict[str, Any]:
    """Return the account, without the fields of day trades that Alpaca removed on 2026-07-06."""
    funds = exchange.funds(name)
    cash, held = funds.total(CASH), sum(value for _, _, value in holdings(exchange, funds))
    power, equity = plain(funds.free.get(CASH, 0)), plain(cash + held)
    return {
        "id": ACCOUNT_ID,
        "account_number": "PA000000001",
        "status": "ACTIVE",
        "crypto_status": "ACTIVE",
        "currency": CASH,
        "cash": plain(cash),
        "buying_power": power,
        "regt_buying_power": power,
        "non_marginable_buying_power": power,
        "options_buying_power": power,
        "portfolio_value": equity,
        "equity": equity,
        "last_equity": equity,
        "long_market_value": plain(held),
        "short_market_value": "0",
        "initial_margin": "0",
        "maintenance_margin": "0",
        "last_maintenance_margin": "0",
        "sma": "0",
        "multiplier": "1",
        "accrued_fees": "0",
        "pending_reg_taf_fees": "0",
        "shorting_enabled": False,
        "trading_blocked": not funds.can_trade,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": False,
        "created_at": "2026-01-01T00:00:00Z",
    }


def holdings(exchange: BrokerExchange, funds: BrokerFunds) -> list[tuple[SymbolMarket, int, int]]:
    """Return (market, quantity, value) of each asset but the cash."""
    found = []
    for market in exchange.markets.values():
        quantity = funds.total(market.rules.base)
        if quantity:
            found.append((market, quantity, product(market.last_price(), quantity)))
    return found


def positions(exchange: BrokerExchange, name: str, held: dict[str, int]) -> list[dict[str, Any]]:
    """Return the positions; `held` is what orders outside the exchange hold, by asset. Crypto has no slash here."""
    funds = exchange.funds(name)
    return [_position(funds, *each, held) for each in holdings(exchange, funds)]


def _position(
    funds: BrokerFunds, market: SymbolMarket, quantity: int, value: int, held: dict[str, int]
) -> dict[str, Any]:
    rules, cost = market.rules, funds.costs.get(market.rules.base)
    basis = cost.cost if cost is not None and cost.quantity > 0 else value
    average = basis * ONE // cost.quantity if cost is not None and cost.quantity > 0 else market.last_price()
    gain = value - basis
    return {
        "asset_id": asset_id(market),
        "symbol": rules.symbol.replace("/", ""),
        "exchange": "CRYPTO" if is_crypto(rules.symbol) else "NASDAQ",
        "asset_class": "crypto" if is_crypto(rules.symbol) else "us_equity",
        "asset_marginable": False,
        "qty": plain(quantity),
        "qty_available": plain(funds.free.get(rules.base, 0) - held.get(rules.base, 0)),
        "side": "long",
        "avg_entry_price": plain(average),
        "market_value": plain(value),
        "cost_basis": plain(basis),
        "unrealized_pl": plain(gain),
        "unrealized_plpc": plain(gain * ONE // basis if basis else 0),
        "unrealized_intraday_pl": plain(gain),
        "unrealized_intraday_plpc": plain(gain * ONE // basis if basis else 0),
        "current_price": plain(market.last_price()),
        "lastday_price": plain(market.last_price()),
        "change_today": "0",
    }


def asset_id(market: SymbolMarket) -> str:
    """Return the id of a market's asset."""
    return uuid_of(2, market.place + 1)


def asset(market: SymbolMarket) -> dict[str, Any]:
    """Return an asset."""
    rules = market.rules
    crypto, fractional = is_crypto(rules.symbol), "fractional" not in rules.forbidden
    own = {
        "min_order_size": plain(rules.quantity_min),
        "min_trade_increment": plain(rules.lot_size),
        "price_increment": plain(rules.tick_size),
    }
    return {
        "id": asset_id(market),
        "class": "crypto" if crypto else "us_equity",
        "exchange": "CRYPTO" if crypto else "NASDAQ",
        "symbol": rules.symbol,
        "name": rules.symbol,
        "status": "active" if rules.status == "TRADING" else "inactive",
        "tradable": rules.status == "TRADING",
        "marginable": False,
        "shortable": False,
        "easy_to_borrow": False,
        "borrow_status": "hard_to_borrow",
        "fractionable": fractional,
        "attributes": [],
        # the broker states no step of a fraction, which has nine places there: this one counts eight
        **(own if crypto else {"min_trade_increment": plain(rules.lot_size)} if fractional else {}),
    }


def activity(order: BrokerOrder, fill: SimFill, traded: int) -> dict[str, Any]:
    """Return a fill as an activity. It has another id than on the stream, and no fee."""
    digits = "".join(filter(str.isdigit, time_text(fill.time_ns)))
    quantity = order.new.quantity if order.sim is None else order.sim.quantity
    return {
        "id": f"{digits[:17]}::{uuid_of(3, fill.trade_id)}",
        "activity_type": "FILL",
        "transaction_time": time_text(fill.time_ns),
        "type": "fill" if traded == quantity else "partial_fill",
        "price": plain(fill.price),
        "qty": plain(fill.quantity),
        "side": "buy" if fill.side is Side.BUY else "sell",
        "symbol": fill.symbol,
        "leaves_qty": plain(quantity - traded),
        "order_id": order.order_id,
        "cum_qty": plain(traded),
        "order_status": "filled" if traded == quantity else "partially_filled",
    }


def clock(hours: MarketHours, now_ns: int) -> dict[str, Any]:
    """Return the venue's clock. Without hours the next session is a day away."""
    opens, closes = hours.next_open_ns(now_ns), hours.next_close_ns(now_ns)
    return {
        "timestamp": time_text(now_ns),
        "is_open": hours.is_open(now_ns),
        "next_open": time_text(now_ns + DAY_NS if opens is None else opens),
        "next_close": time_text(now_ns + DAY_NS if closes is None else closes),
    }


def calendar(hours: MarketHours) -> list[dict[str, Any]]:
    """Return the sessions, with their own close: half days exist. Times are UTC here."""
    days = []
    for begin, end in hours.windows:
        opens, closes = time_text(begin), time_text(end)
        days.append(
            {
                "date": opens[:10],
                "open": opens[11:16],
                "close": closes[11:16],
                "session_open": "0400",
                "session_close": "2000",
                "settlement_date": opens[:10],
            }
        )
    return days
