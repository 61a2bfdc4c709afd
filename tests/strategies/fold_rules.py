"""Strategies with `decide_fold` and in Python: a quoter, one that does a bit of everything, and some that go wrong."""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import (
    FOLD_CANCEL,
    FOLD_LIMIT,
    FOLD_LIMIT_MAKER,
    FOLD_MARKET,
    Amend,
    Average,
    Cancel,
    Every,
    OnQuote,
    OnTrade,
    OrderType,
    Place,
    Side,
    TimeInForce,
)


class Quoter:
    """One bid at the best bid, one ask at the best ask."""

    version = "1"
    instruments = ("*",)
    cadence = Every(ms=100)

    @dataclass
    class Parameters:
        lots: int = 20
        position_max: Decimal = Decimal("0.1")

    @dataclass
    class State:
        pass

    @staticmethod
    def decide_fold(now, orders, intents, parameters) -> int:
        if now.book_bid == 0 or now.book_ask == 0:
            return 0
        count = 0
        has_bid = False
        has_ask = False
        for k in range(orders.count):
            if orders.price[k] != (now.book_bid if orders.side[k] > 0 else now.book_ask):
                if orders.is_open[k] > 0 and orders.is_cancelling[k] == 0:
                    intents.kind[count] = FOLD_CANCEL
                    intents.order[count] = k
                    count += 1
            elif orders.side[k] > 0:
                has_bid = True
            else:
                has_ask = True
        if not has_bid and now.position < parameters.position_max:
            count = place(intents, count, FOLD_LIMIT_MAKER, 1, now.book_bid, parameters.lots * now.lot)
        if not has_ask and -now.position < parameters.position_max:
            count = place(intents, count, FOLD_LIMIT_MAKER, -1, now.book_ask, parameters.lots * now.lot)
        return count


class Anything(Quoter):
    """Places, takes and cancels by the digits of the market: in the spread, beyond it, far from it, off the grid."""

    @staticmethod
    def decide_fold(now, orders, intents, parameters) -> int:
        if now.book_bid == 0 or now.book_ask == 0:
            return 0
        digits = (now.time_s * 10 + now.trade_price * 7 + now.book_bid_size * 3 + now.unsettled) % 97
        count = 0
        for k in range(orders.count):
            if (digits + 5 * k) % 4 < 1:  # also of orders that wait for their answer, or whose cancel is under way
                intents.kind[count] = FOLD_CANCEL
                intents.order[count] = k
                count += 1
        side = 1 if digits % 2 < 1 else -1
        if now.position * side > parameters.position_max:
            side = -side
        near = now.book_bid if side > 0 else now.book_ask
        kind = FOLD_LIMIT if digits % 5 < 2 else FOLD_LIMIT_MAKER
        price = near + side * now.tick * ((digits // 8) % 6 // 1 - 3)
        if orders.count < 8 and not crosses_own(orders, side, price):
            lots = parameters.lots * (1 + digits // 1 % 3)
            if digits % 11 < 1:
                lots = 0  # risk refuses it
            count = place(intents, count, kind, side, price, lots * now.lot)
        return count


class Follower(Quoter):
    """The quoter that follows quotes, at most every 100 ms."""

    cadence = OnQuote(throttle_ms=100)


class FollowsAnything(Anything):
    """Decides at each change of the quote."""

    cadence = OnQuote()


class Taker(Quoter):
    """Takes at the market's prices, also more than it offers, and sometimes leaves a limit order behind."""

    cadence = OnQuote(throttle_ms=60)

    @staticmethod
    def decide_fold(now, orders, intents, parameters) -> int:
        if now.bid == 0 or now.ask == 0:
            return 0
        digits = (now.time_s * 10 + now.bid_size * 7 + now.ask_size * 3) % 97
        count = 0
        for k in range(orders.count):
            if orders.is_open[k] > 0 and orders.is_cancelling[k] == 0:
                intents.kind[count] = FOLD_CANCEL
                intents.order[count] = k
                count += 1
        side = 1 if digits % 2 < 1 else -1
        if now.position * side > parameters.position_max:
            side = -side
        if digits % 5 < 1:
            return place(intents, count, FOLD_LIMIT, side, now.bid if side > 0 else now.ask, parameters.lots * now.lot)
        lots = parameters.lots * (digits // 1 % 13)  # 0 lots are refused
        return place(intents, count, FOLD_MARKET, side, 0, lots * now.lot)


class Wrong(Quoter):
    """Raises, wants a price between two units, or one that no venue counts, or divides by zero."""

    @dataclass
    class Parameters:
        kind: int = 0

    @staticmethod
    def decide_fold(now, orders, intents, parameters) -> int:
        if now.book_bid == 0:
            return 0
        if parameters.kind > 2 and parameters.kind / now.position > 0:
            return 0
        price = now.book_bid * 1e9 if parameters.kind > 1 else now.book_bid - 0.5
        return place(intents, 0 if parameters.kind > 0 else 32, FOLD_LIMIT_MAKER, 1, price, now.lot)


class Behind(Quoter):
    """Reads the places behind the last order, which are 0."""

    @staticmethod
    def decide_fold(now, orders, intents, parameters) -> int:
        if now.book_bid == 0 or orders.price[0] != 0:
            return 0
        return place(
            intents,
            0,
            FOLD_LIMIT,
            1 if now.position <= 0 else -1,
            now.book_ask if now.position <= 0 else now.book_bid,
            now.lot,
        )


class Both(Quoter):
    """Has a `decide` beside `decide_fold`."""

    @staticmethod
    def decide(view, state, parameters):
        return []


class Endless(Quoter):
    """Has a loop that might never end."""

    @staticmethod
    def decide_fold(now, orders, intents, parameters) -> int:
        while now.position == 0:
            pass
        return 0


class Python:
    """An ordinary strategy: a bid and an ask at the top of the book. It remembers how many orders it placed."""

    version = "1"
    instruments = ("*",)
    cadence = Every(ms=100)
    Parameters = Quoter.Parameters

    @dataclass
    class State:
        placed: int = 0
        sides: tuple[str, ...] = ()

    @staticmethod
    def decide(view, state, parameters):
        top, one = view.book("*", 1), view.instrument("*")
        if top is None or not top.bids or not top.asks:
            return []
        prices = {Side.BUY: top.bids[0][0], Side.SELL: top.asks[0][0]}
        held = view.position("*").quantity
        wanted = {side for side in prices if held * side.sign < parameters.position_max}
        intents = []
        for order in view.orders("*"):
            if order.order.price == prices[order.order.side]:
                wanted.discard(order.order.side)
            elif order.venue_order_id and not order.cancel_ns:
                intents.append(Cancel(order.client_order_id))
        size = parameters.lots * one.lot_size
        for side in sorted(wanted):
            intents.append(Place("*", side, size, prices[side], OrderType.LIMIT_MAKER))
            state.placed += 1
            state.sides = (*state.sides[-3:], side.value)
        return intents


class PythonAnything(Python):
    """Decides by the digits of all that a view of the fold offers, and of its memory."""

    averages = (Average("fast", 5),)

    @staticmethod
    def decide(view, state, parameters):
        top, trade, one = view.book("*", 3), view.last_trade("*"), view.instrument("*")
        if top is None or not top.bids or not top.asks:
            return []
        own, quote = view.orders(), view.quote("*")
        texts = [str(view.tick("*")), str(view.position("*")), str(state), str((top.bids, top.asks, top.update_id))]
        texts += [str((quote.bid, quote.ask_size, quote.time_ns, quote.age_ns, view.age_ns(top)))] if quote else []
        texts += [str((trade.price, trade.size, trade.trade_id, view.age_ns(trade)))] if trade else []
        texts += [str((view.average("fast", "*"), view.blocked("*"), view.triggers, view.time_ns, view))]
        for order in own:
            texts += [str(order.order), str(order.status), str(order.filled_quantity), str(order.filled_notional)]
            texts += [str((order.created_ns, order.updated_ns, order.cancel_ns, order.strategy, view.age_ns(order)))]
            texts += [str((order.leaves_quantity, bool(order.venue_order_id), order.adopted, order.doubt))]
        digits = sum(map(ord, "".join(texts))) % 97
        state.placed = digits
        intents = [Cancel(order.client_order_id) for k, order in enumerate(own) if (digits + 5 * k) % 4 < 1]
        side = Side.BUY if digits % 2 else Side.SELL
        if view.position("*").quantity * side.sign > parameters.position_max:
            side = Side.SELL if digits % 2 else Side.BUY
        near = top.bids[0][0] if side is Side.BUY else top.asks[0][0]
        price = near + side.sign * one.tick_size * (digits // 8 % 6 - 3)
        if len(own) < 8 and all(
            order.order.side is side or (order.order.price - price) * side.sign > 0 for order in own
        ):
            lots = 0 if digits % 11 < 1 else parameters.lots * (1 + digits % 3)  # risk refuses none at all
            kind = OrderType.LIMIT if digits % 5 < 2 else OrderType.LIMIT_MAKER
            intents.append(Place(one.symbol, side, lots * one.lot_size, price, kind, rationale={"digits": digits}))
            view.log(f"{digits} of {len(own)} orders")
        return intents


class Timed(Python):
    """Decides at trades."""

    cadence = OnTrade()


class PythonWrong(Python):
    """Uses what the fold does not know, or raises, by its kind."""

    @dataclass
    class Parameters:
        kind: str = ""
        lots: int = 20

    @staticmethod
    def decide(view, state, parameters):
        own, one, top = view.orders("*"), view.instrument("*"), view.book("*", 1)
        if top is None or not top.bids:
            return []
        price, lot = top.bids[0][0], one.lot_size
        match parameters.kind:
            case "raises":
                raise ValueError("two\nlines")
            case "between":
                return [Place("*", Side.BUY, lot, price - one.tick_size / 1000)]
            case "small":
                return [Place("*", Side.BUY, lot / 1000, price)]
            case "ioc":
                return [Place("*", Side.BUY, lot, price, time_in_force=TimeInForce.IOC)]
            case "term":
                return [Place("*", Side.BUY, lot, price, reduce_only=True)]
            case "stranger":
                return [Place("OTHER", Side.BUY, lot, price)]
            case "amend":
                return [Amend("any", lot)]
            case "caught":
                try:
                    view.balance("USDT")
                except Exception:
                    return []
            case "field" if own:
                view.log(own[0].request_seq)
            case "seq":
                view.log(top.seq)
            case "text":
                view.log(top)
            case "id" if own:
                view.log(own[0].client_order_id[1:])
            case "stored" if own:
                state.sides = (own[0].client_order_id,)
            case "printed" if own:
                state.sides = (f"{own[0].client_order_id}",)
            case "ended":
                return [Cancel("any")]
        return [] if own else [Place("*", Side.BUY, lot, price)]


def crosses_own(orders, side, price) -> bool:
    found = False
    for k in range(orders.count):
        found = found or (orders.side[k] != side and (orders.price[k] - price) * side <= 0)
    return found


def place(intents, count, kind, side, price, quantity) -> int:
    intents.kind[count] = kind
    intents.side[count] = side
    intents.price[count] = price
    intents.quantity[count] = quantity
    return count + 1
