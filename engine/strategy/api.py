"""The strategy API: the shape of a strategy, the view that it reads and the intents that it returns.

A strategy knows no venue, clock or file. It is a class:

    class Quoter:
        version = "1"
        instruments = ("BTCUSDT",)
        cadence = OnQuote(throttle_ms=100)

        @dataclass
        class Parameters: size: Decimal = Decimal("0.001")

        @dataclass
        class State: quotes: int = 0

        @staticmethod
        def decide(view, state, parameters): ...   # -> iterable of Place, Close, Amend, Cancel, Run

`instruments`, `cadence`, `averages`, `indicators` and `bars_s` may also be static methods of the parameters.

Only `State` persists: int, str, bool, Decimal, float, None, and tuples, lists and str-keyed dicts of these. A decision
that changes anything else (a variable of a module or class, a list or dict there, its parameters) stops the strategy.
Sort a set of strings before a loop over it: its order differs between processes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import msgspec

from engine.bodies import NoteBody, NoteLevel
from engine.facts import Position
from engine.lifecycle import LIVE
from engine.market.indicators.indicator import BARS, IndicatorSpec
from engine.market.indicators.registry import indicator_spec
from engine.market.market_state import Market
from engine.market.predicates import FAILED, MarketTick
from engine.market.user_update import KIND, UserSpec, user_spec
from engine.market.views import Bars, BookTop, Quote, Trade
from engine.model import Instrument, OrderType, Side, TimeInForce
from engine.money import ZERO, down_to_grid
from engine.plan_terms import PlanTerms
from engine.rounding import resting_price
from engine.session_record import SECOND_NS
from engine.state.execution_plans import EndedPlan, ExecutionPlan
from engine.state.orders import Order, Orders
from engine.state.pnl_figures import PnlFigures, marked_line, own_figures, total_figures
from engine.state.positions import Positions
from engine.state.protection import ProtectedBy, protected_by
from engine.state.rates import equity
from engine.state.reducer_settings import ReducerSettings
from engine.state.session_state import Account
from engine.state.strategy_events import OwnFill, Refusal
from engine.strategy.cadences import Cadence
from engine.strategy.own_order_numbers import own_order_numbers
from engine.strategy.plain_figures import plain_figure, plain_fill, plain_order, plain_pnl, plain_position
from engine.trigger_kinds import TriggerKind
from engine.valuation import Valuation

NOTES_MAX = 8  # of one decision
NOTE_CHARS_MAX = 500


class Range(msgspec.Struct, frozen=True):
    """The values that a parameter may have, both ends included: `length: Annotated[int, Range(2, 500)] = 20`."""

    least: int | float | Decimal | str
    most: int | float | Decimal | str

    def allows(self, value: float | Decimal) -> bool:
        """Return True for a number in the range."""
        least, most, number = (Decimal(str(each)) for each in (self.least, self.most, value))
        return number.is_finite() and least <= number <= most


class WarmUp(msgspec.Struct, frozen=True):
    """Decide only when every declared average and indicator is warm and each length of `bars_s` has closed bars enough.

    `bars` is that number of closed bars, of each length and instrument.
    """

    bars: int = 0


class Average(msgspec.Struct, frozen=True):
    """An exponential moving average of the mid price, updated by the compiled fold at every quote."""

    name: str
    length: int


class Indicator(msgspec.Struct, frozen=True):
    """Any indicator of engine/market/indicators, by its kind: `Indicator("slow", "ema", {"length": 50}, bars_s=60)`.

    It follows closed bars of `bars_s` seconds, or the source: "mid" (changes of the quote) or "trade". The kind may
    also be a user's class (engine/strategy/own_indicators.py).
    """

    name: str
    kind: str | type[Any]
    parameters: Mapping[str, Any] = MappingProxyType({})
    bars_s: int = 0
    source: str = ""  # "": the default of the kind

    @property
    def is_own(self) -> bool:
        """True if its kind is a class of the strategy."""
        return not isinstance(self.kind, str) or self.kind.startswith(KIND)

    def spec(self, instrument_id: str, strategy: str = "") -> IndicatorSpec:
        """Return the indicator of an instrument as the market knows it. One of a user's class is its strategy's alone.

        Raises:
            UnknownIndicatorError: the kind is unknown.
            TypeError, ValueError: the kind does not accept the parameters.
        """
        if not isinstance(self.kind, str):
            raise TypeError(f"the class {self.kind.__name__} is read when its strategy is loaded")
        if self.kind.startswith(KIND):
            return user_spec(self.kind, instrument_id, self.parameters, strategy)
        return indicator_spec(self.kind, instrument_id, self.all_parameters())

    def all_parameters(self) -> dict[str, Any]:
        """Return the parameters with the source, as a SESSION record has them. Raises ValueError."""
        source = self.source
        if self.bars_s:
            if source or type(self.bars_s) is not int or self.bars_s < 1:
                raise ValueError(f"bars_s is a whole number of seconds, without a source, not {self.bars_s!r}")
            source = f"{BARS}{self.bars_s}"
        if source and "source" in self.parameters:
            raise ValueError("the source is given twice")
        return dict(self.parameters) | ({"source": source} if source else {})


class Place(msgspec.Struct, frozen=True):
    """An intent to place an order. `rationale` holds the values behind it; `because` is its old spelling."""

    instrument: str
    side: Side
    quantity: Decimal = ZERO  # not given with `quote_quantity`
    price: Decimal = ZERO  # 0: without a limit
    type: OrderType = OrderType.LIMIT
    time_in_force: TimeInForce = TimeInForce.GTC
    rationale: Mapping[str, Any] = MappingProxyType({})
    because: Mapping[str, Any] = MappingProxyType({})
    stop_price: Decimal = ZERO  # 0: without a stop
    # True: cut to the rest of the strategy's position, its open orders of that side counted
    reduce_only: bool = False
    trailing_delta: int = 0  # of a stop that the venue moves with the market, in basis points of the best price
    iceberg_quantity: Decimal = ZERO  # the part of a limit order that the book shows; 0: all of it
    quote_quantity: Decimal = ZERO  # amount of the quote asset that a market order buys or sells for
    good_till_ns: int = 0  # session time at which the engine cancels the order, over a restart too; 0: never
    # of a stop of contracts: when it is triggered, the venue closes all that the account holds
    closes_position: bool = False

    def __post_init__(self) -> None:
        _one_rationale(self)
        if self.quantity and self.quote_quantity:
            raise ValueError("give either quantity or quote_quantity")


class Close(msgspec.Struct, frozen=True):
    """An intent to close the strategy's position in an instrument: a reduce-only order for all that is left of it."""

    instrument: str
    price: Decimal = ZERO  # 0: at market
    time_in_force: TimeInForce = TimeInForce.GTC
    rationale: Mapping[str, Any] = MappingProxyType({})


class Cancel(msgspec.Struct, frozen=True):
    """An intent to cancel one of the strategy's own open orders."""

    client_order_id: str
    rationale: Mapping[str, Any] = MappingProxyType({})
    because: Mapping[str, Any] = MappingProxyType({})

    def __post_init__(self) -> None:
        _one_rationale(self)


class Amend(msgspec.Struct, frozen=True):
    """An intent to reduce one of the strategy's own open orders, which keeps its place in the queue.

    `quantity` is the whole order, its fills included, and smaller than before. For more, place another order.
    """

    client_order_id: str
    quantity: Decimal
    rationale: Mapping[str, Any] = MappingProxyType({})


class Run(msgspec.Struct, frozen=True):
    """An intent to run an execution plan. `Cancel` with the id of a plan that runs (`view.plans()`) ends it."""

    plan: PlanTerms
    rationale: Mapping[str, Any] = MappingProxyType({})


Intent = Place | Close | Cancel | Amend | Run


def _one_rationale(intent: Place | Cancel) -> None:
    """Give both spellings the same value. Strategies inside recorded sessions use the old one."""
    if intent.because and intent.rationale and intent.because != intent.rationale:
        raise ValueError("`because` is the old spelling of `rationale`: give one of them")
    if intent.because:
        msgspec.structs.force_setattr(intent, "rationale", intent.because)
    elif intent.rationale:
        msgspec.structs.force_setattr(intent, "because", intent.rationale)


class Decision(NamedTuple):
    """The result of one decision; most often empty."""

    changed: dict[str, Any]  # the fields of its state
    intents: list[Intent]
    notes: list[NoteBody]  # its remarks for people

    def __bool__(self) -> bool:
        return bool(self.changed or self.intents or self.notes)


class Strategy(Protocol):
    """The shape of a strategy class (see the module's head).

    `averages`, `indicators`, `bars_s` (lengths in seconds) and `warm_up` are optional. These and `instruments` and
    `cadence` may be static methods that return the value for some parameters.
    """

    version: str
    instruments: tuple[str, ...]
    cadence: Cadence | tuple[Cadence, ...]
    Parameters: type[Any]
    State: type[Any]

    @staticmethod
    def decide(view: "View", state: Any, parameters: Any) -> Iterable[Intent]:
        """Return the orders to place and to cancel, and change `state` in place."""


class View:
    """A strategy's read-only view as of the current record. Instruments have the names that the strategy declared."""

    __slots__ = (
        "_account",
        "_indicators",
        "_instruments",
        "_is_plain",
        "_keeps",
        "_kept_orders",
        "_kept_positions",
        "_market",
        "_name",
        "_notes",
        "_settings",
        "time_ns",
        "triggers",
    )

    def __init__(
        self,
        *,
        name: str,
        account: Account,
        market: Market,
        time_ns: int,
        instruments: Mapping[str, tuple[int, Instrument]],
        indicators: Mapping[tuple[str, str], int],
        triggers: tuple[TriggerKind, ...] = (),
        notes: list[NoteBody] | None = None,  # gets what `log` records
        is_plain: bool = False,  # figures have no trailing zeros (session_record.EngineSettings.plain_figures)
        settings: ReducerSettings | None = None,
        keeps: bool = False,  # orders and positions that did not change are the same objects, made in one context
    ) -> None:
        self._settings = settings
        self._keeps = keeps
        # the part of the account from which these were made, and of positions their fees, which a strategy can change
        self._kept_orders: dict[str | None, tuple[Orders, list[Order]]] = {}
        self._kept_positions: dict[str, tuple[Positions, Position, dict[str, Decimal]]] = {}
        self._is_plain = is_plain
        self._name = name
        self._account = account
        self._market = market
        self._instruments = instruments
        self._indicators = indicators
        self._notes = [] if notes is None else notes
        self.time_ns = time_ns
        self.triggers = triggers  # all that fired at this record, in the order of `cadence`

    def turn_to(self, account: Account, instruments: Mapping[str, tuple[int, Instrument]]) -> None:
        """Show another account, and the instruments as its venues describe them. The engine calls it."""
        self._account, self._instruments = account, instruments

    def __repr__(self) -> str:
        return f"View({self._name}, {self.time_ns})"  # no address: text of it may end up in a record

    @property
    def instruments(self) -> tuple[str, ...]:
        """The names of the strategy's instruments, in their order."""
        return tuple(self._instruments)

    @property
    def trigger(self) -> TriggerKind:
        """The trigger that fired: "quote", "trade", "book", "bar", "timer", "fill", "order_end", "refusal" or "mode".

        `triggers` has all that fired at this record.
        """
        return self.triggers[0]

    def log(self, text: str, level: NoteLevel = NoteLevel.INFO) -> None:
        """Record a remark for people as a NOTE: 500 characters at most, and 8 remarks a decision."""
        if len(self._notes) >= NOTES_MAX:
            raise ValueError(f"more than {NOTES_MAX} remarks in one decision")
        self._notes.append(NoteBody(NoteLevel(level), _note_text(str(text))))

    def instrument(self, name: str) -> Instrument:
        """Return the trading rules of an instrument."""
        return self._instruments[name][1]

    def listings(self, name: str) -> tuple[str, ...]:
        """Return the strategy's instruments that are the market of one, at all venues of the session."""
        one = self.instrument(name)
        return tuple(other for other in self._instruments if self.instrument(other).is_same_market(one))

    def quote(self, name: str) -> Quote | None:
        """Return the newest best bid and ask, with its age; None before the first."""
        return self._market.quote(self._instruments[name][0], self.time_ns)

    def tick(self, name: str) -> MarketTick:
        """Return the numbers of an instrument that `should_decide` and `decide_fold` get, without averages."""
        index, instrument = self._instruments[name]
        numbers = (
            *self._market.tick_numbers(index),
            0,
            int(instrument.tick_size.scaleb(instrument.price_scale)),
            int(instrument.lot_size.scaleb(instrument.size_scale)),
            *own_order_numbers(self._account, self._name, instrument),
        )
        position = float(self._account.positions.get(self._name, instrument.id).quantity)
        units = 10.0**-instrument.price_scale, 10.0**-instrument.size_scale
        return MarketTick._make((self.time_ns / 1e9, *map(float, numbers), position, *units, ()))

    def blocked(self, name: str) -> tuple[str, ...]:
        """Return why an instrument gets no new order now; () if it trades. Others may trade meanwhile."""
        return tuple(map(str, self._account.blocks.reasons(self.instrument(name).id)))

    def book(self, name: str, levels: int = 20) -> BookTop | None:
        """Return the best levels of each side; None while the book is not synchronised."""
        return self._market.book_top(self._instruments[name][0], levels)

    def last_trade(self, name: str) -> Trade | None:
        """Return the newest trade of the market; None before the first."""
        return self._market.last_trade(self._instruments[name][0])

    def bars(self, name: str, seconds: int) -> Bars:
        """Return declared bars of trades by the venue's time: the closed bars, and the forming one apart from them."""
        return self._market.bars(self._instruments[name][0], seconds * SECOND_NS)

    def average(self, name: str, instrument: str) -> float | None:
        """Return a declared average; None until the quote has changed as often as its length."""
        return self.indicator(name, instrument)

    def indicator(self, name: str, instrument: str, output: str = "") -> float | None:
        """Return the value of a declared average or indicator, or another output of it; None until it is warm.

        Raises:
            ValueError: It is a user's class, and its last update failed.

        """
        index = self._indicators[name, instrument]
        value = self._market.indicator(index, warm_only=True, output=output)
        if value == FAILED and isinstance(self._market.indicator_specs[index], UserSpec):
            raise ValueError(f"indicator {name!r} of {instrument} is not a number: its update raised, or returned none")
        return value

    def orders(self, name: str | None = None) -> list[Order]:
        """Return the strategy's own live orders, oldest first; with `name`, those of that instrument."""
        orders = self._account.orders
        kept = self._kept_orders.get(name)
        if kept is not None and kept[0] is orders:
            return kept[1][:]
        instrument_id = None if name is None else self.instrument(name).id
        own = [
            order
            for order in orders.live_by_age()
            if order.strategy == self._name and instrument_id in (None, order.order.instrument)
        ]
        own = [plain_order(order) for order in own] if self._is_plain else own
        if self._keeps:
            self._kept_orders[name] = orders, own[:]
        return own

    def closed_orders(self, name: str | None = None) -> list[Order]:
        """Return the strategy's orders that ended in the last 5 minutes, oldest first."""
        instrument_id = None if name is None else self.instrument(name).id
        own = [
            order
            for order in self._account.orders.all()
            if order.status not in LIVE
            and order.strategy == self._name
            and instrument_id in (None, order.order.instrument)
        ]
        return [plain_order(order) for order in own] if self._is_plain else own

    def fills(self, name: str | None = None) -> list[OwnFill]:
        """Return the strategy's newest fills, oldest first: at most 50."""
        instrument_id = None if name is None else self.instrument(name).id
        own = self._account.events.fills.get(self._name, ())
        own = tuple(fill for fill in own if instrument_id in (None, fill.instrument))
        return [plain_fill(fill) for fill in own]

    def refusals(self) -> list[Refusal]:
        """Return the newest refusals by risk and rejections by the venue with their reasons, oldest first."""
        return list(self._account.events.refusals.get(self._name, ()))

    def age_ns(self, event: Order | OwnFill | Refusal | Trade | BookTop) -> int:
        """Return the session time since an order was made, or since anything else that a view returns came."""
        return self.time_ns - (event.created_ns if isinstance(event, Order) else event.time_ns)

    def plans(self) -> list[ExecutionPlan]:
        """Return the strategy's execution plans that run, oldest first."""
        return [plan for plan in self._account.plans.by_age() if plan.strategy == self._name]

    def protected_by(self, plan_id: str) -> ProtectedBy | None:
        """Return who protects the position of a plan that runs: the venue or the engine; None if it protects none."""
        plan = self._account.plans.running.get(plan_id)
        return None if plan is None else protected_by(plan, self._account.orders.live)

    def ended_plans(self) -> list[EndedPlan]:
        """Return the strategy's plans that have ended, oldest first: the newest of the session."""
        return [plan for plan in self._account.plans.ended if plan.strategy == self._name]

    def position(self, name: str) -> Position:
        """Return the strategy's own position in an instrument."""
        positions = self._account.positions
        kept = self._kept_positions.get(name)
        if kept is not None and kept[0] is positions and kept[1].fees == kept[2]:
            return kept[1]
        position = positions.get(self._name, self.instrument(name).id)
        if self._is_plain:
            position = plain_position(position)
        else:
            position = msgspec.structs.replace(position, fees=dict(position.fees))  # a copy: the strategy may change it
        if self._keeps:
            self._kept_positions[name] = positions, position, dict(position.fees)
        return position

    def balance(self, asset: str, venue: str = "") -> Decimal:
        """Return the free balance of an asset, in a session of several venues that at one of them.

        Raises:
            LookupError: The session has several venues, and `venue` names no venue of the session.

        """
        venues = self._account.account_modes.by_venue
        if venues and venue not in venues:
            raise LookupError(f"venue {venue!r} is none of this session's: {', '.join(sorted(venues))}")
        free = self._account.balances.get(asset, venue if venues else "").free
        return plain_figure(free) if self._is_plain else free

    def pnl(self, name: str | None = None) -> PnlFigures:
        """Return the strategy's P&L: realised, unrealised, fees, funding and what the sums lack.

        Args:
            name: An instrument, for its P&L in its own asset. Without it, all instruments in the reporting currency.

        Raises:
            LookupError: The session keeps no P&L: it was recorded before accounting 3.

        """
        settings = self._settings_with_pnl()
        if name is None:
            return plain_pnl(total_figures(self._account, self._market, settings, strategy=self._name))
        index = self._instruments[name][0]
        return plain_pnl(own_figures(marked_line(self._account, self._market, settings, self._name, index), settings))

    def equity(self) -> Valuation:
        """Return what the account is worth in the reporting currency, and the assets without a rate.

        Raises:
            LookupError: The session keeps no P&L: it was recorded before accounting 3.

        """
        settings = self._settings_with_pnl()
        found = equity(self._account, self._market, settings.reporting_currency, choice=settings.engine.pnl_mark)
        return Valuation(plain_figure(found.amount), found.missing)

    def _settings_with_pnl(self) -> ReducerSettings:
        if self._settings is None or not self._settings.has_pnl:
            raise LookupError("this session keeps no P&L: it was recorded before accounting 3")
        return self._settings

    def round_price(self, name: str, price: Decimal | float, side: Side | None = None) -> Decimal:
        """Round a price to the tick: down for a buy and without a side, up for a sale. So no order is worse than it."""
        exact = price if isinstance(price, Decimal) else Decimal(str(price))
        return resting_price(exact, self.instrument(name), side or Side.BUY)

    def round_quantity(self, name: str, quantity: Decimal) -> Decimal:
        """Round a quantity down to the lot."""
        return down_to_grid(quantity, self.instrument(name).lot_size)


def _note_text(text: str) -> str:
    """Return a remark as its record has it: bounded, and each character that is not printable as its escape."""
    if len(text) > NOTE_CHARS_MAX:
        text = text[: NOTE_CHARS_MAX - 1] + "…"
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def state_from(kind: type[Any], values: Mapping[str, Any]) -> Any:
    """Return a declared state with the recorded values; fields without one keep their defaults."""
    return msgspec.convert(dict(values), type=kind, strict=False)


def state_values(state: Any) -> dict[str, Any]:
    """Return a state as JSON values, field by field, in the order of declaration."""
    return {name: msgspec.to_builtins(getattr(state, name)) for name in _names(state.__class__)}


@cache
def _names(kind: Any) -> tuple[str, ...]:
    assert is_dataclass(kind), "a strategy's State is a dataclass"
    return tuple(field.name for field in fields(kind))
