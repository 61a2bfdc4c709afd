"""Strategies that decide nothing at most records, and at some of them one of all the things that a decision may do."""

from dataclasses import dataclass, field
from decimal import Decimal, getcontext

from verbatim import Average, Cancel, Every, OnBar, OnFill, OnQuote, OnTrade, OrderType, Place, Side, WarmUp

SEEN = []
LIMITS = {"a": 1}


def number_of(view):
    """Return a whole number that follows from the market: the bid in ticks, the ask's size, the time."""
    quote = view.quote("*")
    if quote is None:
        return 0
    return int(quote.bid * 100) * 31 + int(quote.ask_size * 1000) * 7 + view.time_ns // 1_000_000 % 97


class Quiet:
    version = "1"
    instruments = ("*",)
    cadence = OnQuote()

    @dataclass
    class Parameters:
        size: int = 10

    @dataclass
    class State:
        pass

    @staticmethod
    def decide(view, state, parameters):
        return []


class Trades(Quiet):
    """Rest and cancel orders, at prices that move away and come back."""

    cadence = (OnQuote(), OnFill(), Every(ms=700))

    @staticmethod
    def decide(view, state, parameters):
        number, live = number_of(view), view.orders("*")
        if number % 11 == 0 and live:
            yield Cancel(live[0].client_order_id)
        if number % 13 == 0 and len(live) < 4:
            quote, of = view.quote("*"), view.instrument("*")
            held = view.position("*").quantity
            side = Side.SELL if held > 0 else Side.BUY
            price = quote.bid if side is Side.BUY else quote.ask
            yield Place("*", side, parameters.size * of.lot_size, price, rationale={"number": number})
        if number % 57 == 0:
            yield Place("*", Side.BUY, parameters.size * view.instrument("*").lot_size, type=OrderType.MARKET)


class Counts(Quiet):
    @dataclass
    class State:
        turns: int = 0
        last: Decimal = Decimal("0.0")
        places: tuple[int, ...] = ()

    @staticmethod
    def decide(view, state, parameters):
        number = number_of(view)
        if number % 17 == 0:
            state.turns += 1
            state.last = view.quote("*").bid
        if number % 5 == 0:
            state.turns = state.turns  # stored, and the same
        if number % 29 == 0:
            state.places = (*state.places, number)[-3:]
        if hasattr(state, "extra"):
            raise ValueError("an attribute that is not declared persists")
        if number % 19 == 0:
            state.extra = number


class Nests(Quiet):
    @dataclass
    class State:
        rows: list[int] = field(default_factory=list)
        by_name: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def decide(view, state, parameters):
        number = number_of(view)
        state.rows.append(number)
        if number % 23:
            state.rows.pop()
        elif len(state.rows) > 3:
            state.rows = state.rows[-2:]
        if number % 31 == 0:
            state.by_name["last"] = number
        return iter(())


class Spoils(Quiet):
    """Change what the view returned, which no later read may show."""

    @staticmethod
    def decide(view, state, parameters):
        live, position = view.orders("*"), view.position("*")
        assert None not in live
        assert "X" not in position.fees
        if position != view.position("*") or live != view.orders("*") or view.quote("*") != view.quote("*"):
            raise ValueError("two reads differ")
        live.append(None)
        position.fees["X"] = Decimal(1)
        if number_of(view) % 27 == 0:
            return [Place("*", Side.BUY, parameters.size * view.instrument("*").lot_size, type=OrderType.MARKET)]
        return []


class Raises(Quiet):
    @dataclass
    class State:
        turns: int = 0

    @staticmethod
    def decide(view, state, parameters):
        number = number_of(view)
        if number % 41 == 0:
            state.turns += 1
            view.log("before it raises")
            raise ArithmeticError(f"at {number}")


class RaisesInside(Quiet):
    class UnreadableError(LookupError):
        def __str__(self):
            raise ValueError("its own text raises")

    @staticmethod
    def decide(view, state, parameters):
        if number_of(view) % 43 == 0:
            yield Place("*", Side.BUY, Decimal(1), Decimal(1))
            raise RaisesInside.UnreadableError


class Parameterises(Quiet):
    @staticmethod
    def decide(view, state, parameters):
        if number_of(view) % 37 == 0:
            parameters.size = 11


class Remembers(Quiet):
    @staticmethod
    def decide(view, state, parameters):
        if number_of(view) % 37 == 0:
            SEEN.append(view.time_ns)


class Rebinds(Quiet):
    limit = 1

    @staticmethod
    def decide(view, state, parameters):
        global LIMITS
        if number_of(view) % 37 == 0:
            LIMITS = {"a": 2}


class Classes(Quiet):
    @staticmethod
    def decide(view, state, parameters):
        if number_of(view) % 37 == 0:
            Classes.limit = 2


class Rounds(Quiet):
    """Change the context, which no later decision may see."""

    @staticmethod
    def decide(view, state, parameters):
        context = getcontext()
        assert context.prec == 34
        Decimal(1) / Decimal(3)
        context.prec = 5
        if number_of(view) % 33 == 0:
            view.log(f"{Decimal(2) / Decimal(3)}")


class Divides(Quiet):
    """Leave flags behind for a strategy that reads them."""

    @staticmethod
    def decide(view, state, parameters):
        return [] if Decimal(1) / Decimal(3) < 1 else None


def keep():
    kept = []

    def decide(view, state, parameters):
        kept.append(view)
        del kept[2:]
        if kept[0].time_ns != view.time_ns or kept[0].quote("*") != view.quote("*"):
            raise ValueError("a kept view shows another time than the present")
        if number_of(view) % 61 == 0:
            view.log(f"{kept[0].triggers} at {kept[0].time_ns}")

    return decide


class Keeps(Quiet):
    """Keep a view: it shows the present."""

    cadence = (OnQuote(throttle_ms=30), Every(ms=250), OnTrade(throttle_ms=90))
    decide = staticmethod(keep())


class Overwrites(Quiet):
    """Store attributes in the view, which no later decision may see."""

    @staticmethod
    def decide(view, state, parameters):
        if view.trigger != "quote":
            raise ValueError("an earlier decision changed it")
        if number_of(view) % 21 == 0:
            view.triggers = ("changed",)
        if number_of(view) % 63 == 0:
            view.log("changed")


class Beats(Quiet):
    cadence = Every(ms=100)

    @staticmethod
    def decide(view, state, parameters):
        if number_of(view) % 47 == 0:
            view.log(f"{view.trigger} at {view.time_ns}")


class Throttled(Quiet):
    cadence = OnQuote(throttle_ms=100)

    @staticmethod
    def decide(view, state, parameters):
        number = number_of(view)
        if number % 23 == 0:
            return [Place("*", Side.BUY, parameters.size * view.instrument("*").lot_size, view.quote("*").bid)]
        return None


class Averages(Quiet):
    cadence = (OnQuote(), OnBar(5))
    averages = (Average("slow", 30),)
    bars_s = (5,)
    warm_up = WarmUp(bars=2)

    @staticmethod
    def decide(view, state, parameters):
        assert view.average("slow", "*") is not None
        if number_of(view) % 71 == 0 or "bar" in view.triggers:
            view.log(f"{view.average('slow', '*'):.6f} {view.bars('*', 5).closed_count} {view.triggers}")
