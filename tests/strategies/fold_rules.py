"""Strategies with `decide_fold`: a quoter, one that does a bit of everything, and some that go wrong."""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import FOLD_CANCEL, FOLD_LIMIT, FOLD_LIMIT_MAKER, FOLD_MARKET, Every, OnQuote


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
    """Has no `decide_fold`."""

    version = "1"
    instruments = ("*",)
    cadence = Every(ms=100)
    Parameters = Quoter.Parameters
    State = Quoter.State

    @staticmethod
    def decide(view, state, parameters):
        return []


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
