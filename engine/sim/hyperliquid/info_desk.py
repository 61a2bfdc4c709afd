"""What POST /info answers: the market for anyone, and accounts by their address, which needs no signature.

An address that is no account has empty lists, as the address of an API wallet has.
"""

from collections.abc import Callable
from typing import Any, Final

from engine.model import Side
from engine.sim.binance.candles import Interval
from engine.sim.exchange.contract_events import AlgoOrder
from engine.sim.exchange.contract_exchange import ContractExchange
from engine.sim.exchange.margin import AssetMargin, asset_margin
from engine.sim.exchange.margin_account import IncomeType
from engine.sim.exchange.order_values import SimOrder
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.faults import Faults
from engine.sim.hyperliquid import order_rows as rows
from engine.sim.hyperliquid.action_desk import ActionDesk
from engine.sim.hyperliquid.perp_rules import LEVERAGE_MAX, QUOTE, money, universe
from engine.sim.hyperliquid.signers import AddressLimits, SignerBook
from engine.sim.units import ONE, plain

MS: Final = 1_000_000
LEVELS_MAX: Final = 20  # of a side of a book
FILLS_MAX: Final = 2_000
FUNDINGS_MAX: Final = 500
TRADES_MAX: Final = 30
LIGHT: Final = frozenset(
    {"l2Book", "allMids", "clearinghouseState", "orderStatus", "spotClearinghouseState", "exchangeStatus"}
)
NOBODY: Final = "0x" + "0" * 40
Body = dict[str, Any]


class UnreadableError(Exception):
    """The body has another form than the venue reads."""


def weight_of(body: Body) -> int:
    """Return the weight of a query, without its rows."""
    name = body.get("type")
    return 2 if name in LIGHT else 60 if name == "userRole" else 20


class InfoDesk:
    """Answers queries."""

    def __init__(
        self, exchange: ContractExchange, desk: ActionDesk, wallets: SignerBook, limits: AddressLimits, faults: Faults
    ) -> None:
        self._exchange = exchange
        self._desk = desk
        self._wallets = wallets
        self._limits = limits
        self._faults = faults
        self._answers: dict[str, Callable[[Body, int], Any]] = {
            "meta": lambda _body, _now_ns: self.meta(),
            "metaAndAssetCtxs": lambda _body, _now_ns: [self.meta(), [{}, *map(self.context, exchange.markets)]],
            "spotMeta": lambda _body, _now_ns: {"tokens": [], "universe": []},
            "allMids": lambda _body, _now_ns: {coin: self._mid(market) for coin, market in exchange.markets.items()},
            "l2Book": lambda body, now_ns: self.book(_text(body, "coin"), now_ns),
            "recentTrades": lambda body, _now_ns: self.trades(_text(body, "coin")),
            "candleSnapshot": self._candles,
            "openOrders": lambda body, _now_ns: [_short(row) for row in self._open_rows(body)],
            "frontendOpenOrders": lambda body, _now_ns: self._open_rows(body),
            "orderStatus": self._order_status,
            "historicalOrders": self._history,
            "userFills": lambda body, now_ns: self._fills(body, now_ns)[-FILLS_MAX:],
            "userFillsByTime": self._fills_by_time,
            "clearinghouseState": self.state,
            "spotClearinghouseState": lambda _body, _now_ns: {"balances": []},
            "userFunding": self._fundings,
            "userNonFundingLedgerUpdates": self._ledger,
            "fundingHistory": self._funding_history,
            "userRateLimit": self._rate_limit,
            "userRole": self._role,
            "userFees": self._fees,
            "extraAgents": lambda _body, _now_ns: [],
            "subAccounts": lambda _body, _now_ns: [],
            "activeAssetData": self._asset_data,
        }

    def answer(self, body: Body, now_ns: int) -> Any:
        """Return the answer to a query. Raises UnreadableError for one that the venue does not have."""
        answer = self._answers.get(str(body.get("type")))
        if answer is None:
            raise UnreadableError
        found = answer(body, now_ns)
        return rows.newest_first(found) if body.get("type") in ("userFills", "userFillsByTime") else found

    # ---- the market

    def meta(self) -> Body:
        """Return the list of perpetuals."""
        return {"universe": universe(list(self._exchange.markets)), "marginTables": []}

    def context(self, coin: str) -> Body:
        """Return mark price, oracle price and funding rate of a coin."""
        mark = self._exchange.mark_prints.get(coin)
        price = self._exchange.mark(coin)
        return {
            "funding": plain(mark.rate) if mark is not None else "0.0",
            "openInterest": "0.0",
            "prevDayPx": money(price),
            "dayNtlVlm": "0.0",
            "premium": "0.0",
            "oraclePx": money(mark.index_price if mark is not None else price),
            "markPx": money(price),
            "midPx": self._mid(self._exchange.markets[coin]),
            "impactPxs": [money(price), money(price)],
        }

    def _market(self, coin: str) -> SymbolMarket:
        market = self._exchange.markets.get(coin)
        if market is None:
            raise UnreadableError
        return market

    def _mid(self, market: SymbolMarket) -> str:
        bid, ask = market.best(Side.BUY), market.best(Side.SELL)
        return money((bid + ask) // 2 if bid is not None and ask is not None else market.last_price())

    def book(self, coin: str, now_ns: int) -> Body:
        """Return the best levels of a book, all that the venue shows."""
        sides = self._market(coin).top(LEVELS_MAX)
        levels = [[{"px": money(px), "sz": money(sz), "n": 1} for px, sz in side] for side in sides]
        return {"coin": coin, "time": now_ns // MS, "levels": levels}

    def trades(self, coin: str) -> list[Body]:
        """Return the last trades, oldest first."""
        return [trade_row(coin, trade) for trade in self._market(coin).prints[-TRADES_MAX:]]

    def _candles(self, body: Body, now_ns: int) -> list[Body]:
        wanted = body.get("req")
        if not isinstance(wanted, dict):
            raise UnreadableError
        coin, interval = _text(wanted, "coin"), _text(wanted, "interval")
        start_ms, end_ms = _millis(wanted, "startTime"), wanted.get("endTime") or now_ns // MS
        first_ns, last_ns = start_ms * MS, min(int(end_ms) * MS, now_ns)
        found = Interval(interval, 0).candles(self._market(coin).minutes, now_ns, first_ns, last_ns)
        return [
            {"t": each[0], "T": each[6], "s": coin, "i": interval, "o": each[1], "h": each[2], "l": each[3],
             "c": each[4], "v": each[5], "n": each[8]}
            for each in found
        ]  # fmt: skip

    # ---- orders

    def account_of(self, body: Body) -> str:
        """Return the account at an address, or "" for any other address. Raises UnreadableError without one."""
        return self._wallets.account_of.get(_text(body, "user").lower(), "")

    def _open_rows(self, body: Body) -> list[Body]:
        account, exchange = self.account_of(body), self._exchange
        if not account:
            return []
        found = [rows.full_row(order, self._algo_of(order)) for order in exchange.open_orders(account)]
        found += [rows.full_row(algo.held, algo) for algo in exchange.open_algos(account)]
        return sorted(found, key=lambda row: -int(row["oid"]))

    def _algo_of(self, order: SimOrder) -> AlgoOrder | None:
        return self._exchange.algos.get(order.contract.algo_id) if order.contract is not None else None

    def _order_status(self, body: Body, now_ns: int) -> Body:
        account, oid = self.account_of(body), body.get("oid")
        by_oid = isinstance(oid, int)
        found = self._desk.find(account, oid=oid) if by_oid else self._desk.find(account, cloid=str(oid))
        if found is None or self._is_hidden(found, now_ns):
            return {"status": "unknownOid"}
        return {"status": "order", "order": self._with_status(found)}

    def _is_hidden(self, found: SimOrder | AlgoOrder, now_ns: int) -> bool:
        order = found.held if isinstance(found, AlgoOrder) else found
        return self._faults.hidden(order.client_order_id, now_ns)

    def _with_status(self, found: SimOrder | AlgoOrder) -> Body:
        if isinstance(found, AlgoOrder) and found.order is None:
            return _stated(found.held, rows.ALGO_STATUSES[found.status], found)
        order = found.order if isinstance(found, AlgoOrder) else found
        assert order is not None, "it was triggered"
        return _stated(order, rows.status_of(order), self._algo_of(order))

    def _history(self, body: Body, _now_ns: int) -> list[Body]:
        account = self.account_of(body)
        own = [each for each in self._exchange.orders.values() if each.account == account]
        return [self._with_status(each) for each in sorted(own, key=lambda order: -order.updated_ns)[:FILLS_MAX]]

    # ---- fills and money

    def _fills(self, body: Body, now_ns: int) -> list[Body]:
        account = self.account_of(body)
        return [
            rows.fill_row(fill, order, before, body["user"].lower())
            for fill, order, before in rows.fills_of(self._exchange.orders.values(), account)
            if not self._faults.is_unlisted(fill.trade_id, fill.order_id, now_ns)
        ]

    def _fills_by_time(self, body: Body, now_ns: int) -> list[Body]:
        start_ms, end_ms = _millis(body, "startTime"), body.get("endTime")
        found = [row for row in self._fills(body, now_ns) if start_ms <= row["time"] and _until(row["time"], end_ms)]
        return found[:FILLS_MAX]

    def traded(self, account: str) -> int:
        """Return the dollars that an account ever traded."""
        own = (order.executed_quote for order in self._exchange.orders.values() if order.account == account)
        return sum(own) // ONE

    def state(self, body: Body, now_ns: int) -> Body:
        """Return money and positions of an account."""
        account, exchange = self.account_of(body), self._exchange
        if not account:
            none = {"accountValue": "0.0", "totalNtlPos": "0.0", "totalRawUsd": "0.0", "totalMarginUsed": "0.0"}
            return _state([], none, none, 0, now_ns)
        owner, margins = exchange.margin_accounts[account], exchange.margins(account)
        sums = asset_margin(owner, QUOTE, exchange.rules, margins)
        held = [each for each in margins if each.position.quantity]
        shown = [rows.position_row(owner, each, exchange.liquidation_price(account, each)) for each in held]
        worth = sum(each.notional for each in held), sum(abs(each.notional) for each in held)
        return _state(shown, _summary(sums, *worth), _summary(sums, *worth), sums.available, now_ns)

    def _fundings(self, body: Body, _now_ns: int) -> list[Body]:
        account, start_ms = self.account_of(body), _millis(body, "startTime")
        if not account:
            return []
        rates = {(each.symbol, each.time_ns // MS): each for each in self._exchange.fundings}
        found = []
        for entry in self._exchange.margin_accounts[account].incomes:
            if entry.kind is IncomeType.FUNDING_FEE and start_ms <= entry.time_ns // MS:
                at = rates.get((entry.symbol, entry.time_ns // MS))
                found.append(rows.funding_row(entry, 0, at.rate if at is not None else 0))
        return found[:FUNDINGS_MAX]

    def _ledger(self, body: Body, _now_ns: int) -> list[Body]:
        account, start_ms = self.account_of(body), _millis(body, "startTime")
        own = self._exchange.margin_accounts[account].incomes if account else []
        return [
            {"time": each.time_ns // MS, "hash": rows.NO_HASH, "delta": {"type": "deposit", "usdc": money(each.amount)}}
            for each in own
            if each.kind is IncomeType.TRANSFER and start_ms <= each.time_ns // MS
        ]

    def _funding_history(self, body: Body, _now_ns: int) -> list[Body]:
        coin, start_ms = _text(body, "coin"), _millis(body, "startTime")
        return [
            {"coin": coin, "fundingRate": money(each.rate), "premium": "0.0", "time": each.time_ns // MS}
            for each in self._exchange.fundings
            if each.symbol == coin and start_ms <= each.time_ns // MS
        ]

    def _rate_limit(self, body: Body, _now_ns: int) -> Body:
        traded = self.traded(self.account_of(body))
        used, cap = self._limits.used.get(_text(body, "user").lower(), 0), self._limits.cap(traded)
        return {"cumVlm": f"{traded}.0", "nRequestsUsed": used, "nRequestsCap": cap, "nRequestsSurplus": 0}

    def _role(self, body: Body, _now_ns: int) -> Body:
        address = _text(body, "user").lower()
        if address in self._wallets.account_of:
            return {"role": "user"}
        if address in self._wallets.agents:
            return {"role": "agent", "data": {"user": self._wallets.agents[address]}}
        return {"role": "missing"}

    def _fees(self, body: Body, _now_ns: int) -> Body:
        account = self.account_of(body)
        owner = self._exchange.margin_accounts.get(account)
        taker, maker = (owner.rate(maker=False), owner.rate(maker=True)) if owner is not None else (0, 0)
        return {"userCrossRate": plain(taker), "userAddRate": plain(maker), "dailyUserVlm": []}

    def _asset_data(self, body: Body, _now_ns: int) -> Body:
        coin, owner = _text(body, "coin"), self._exchange.margin_accounts.get(self.account_of(body))
        self._market(coin)
        isolated, leverage = (False, LEVERAGE_MAX) if owner is None else (owner.is_isolated(coin), owner.leverage(coin))
        return {
            "user": body["user"],
            "coin": coin,
            "leverage": {"type": "isolated" if isolated else "cross", "value": leverage},
            "maxTradeSzs": ["0.0", "0.0"],
            "availableToTrade": ["0.0", "0.0"],
            "markPx": money(self._exchange.mark(coin)),
        }


def trade_row(coin: str, trade: Any) -> Body:
    """Return a public trade."""
    return {
        "coin": coin,
        "side": "A" if trade.buyer_is_maker else "B",
        "px": money(trade.price),
        "sz": money(trade.quantity),
        "time": trade.time_ns // MS,
        "hash": rows.NO_HASH,
        "tid": rows.tid_of(trade.trade_id),
        "users": [NOBODY, NOBODY],
    }


def _summary(sums: AssetMargin, worth: int, notional: int) -> Body:
    return {
        "accountValue": money(sums.margin_balance),
        "totalNtlPos": money(notional),
        "totalRawUsd": money(sums.margin_balance - worth),
        "totalMarginUsed": money(sums.initial),
    }


def _state(positions: list[Body], summary: Body, cross: Body, withdrawable: int, now_ns: int) -> Body:
    return {
        "assetPositions": positions,
        "marginSummary": summary,
        "crossMarginSummary": cross,
        "crossMaintenanceMarginUsed": "0.0",
        "withdrawable": money(withdrawable),
        "time": now_ns // MS,
    }


def _stated(order: SimOrder, status: str, algo: AlgoOrder | None) -> Body:
    return {"order": rows.full_row(order, algo), "status": status, "statusTimestamp": order.updated_ns // MS}


def _short(row: Body) -> Body:
    """Return a row of `openOrders`, which lacks the whole size and the client's id."""
    return {name: row[name] for name in ("coin", "limitPx", "oid", "side", "sz", "timestamp")}


def _text(body: Body, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise UnreadableError
    return value


def _millis(body: Body, name: str) -> int:
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UnreadableError
    return value


def _until(time_ms: int, end_ms: Any) -> bool:
    return not isinstance(end_ms, int) or time_ms <= end_ms
