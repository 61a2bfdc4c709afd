"""Decisions of an ordinary Python strategy inside the loop: machine code calls it by address at each decision.

The market that the loop folds is the session's own, so the strategy's view reads it as in the ordinary way. Its orders
and its position are made of the loop's events (own_account.py).
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache, partial
from operator import attrgetter
from typing import Final, NoReturn

from msgspec.structs import replace

from engine.facts import StrategyChanged
from engine.market.jit import python_callback
from engine.market.order_decision import (
    FAILED,
    FOLD_CANCEL,
    INTENTS_AT,
    INTENTS_MAX,
)
from engine.market.rows import Floats, Rows
from engine.market.views import DECIMALS_KEPT, kept_decimal
from engine.model import TimeInForce
from engine.session_context import SessionContext
from engine.sim.fold_orders import fold_layout as at
from engine.state.changes import Stamp
from engine.state.session_state import State
from engine.state.strategy_states import reduce as reduce_statuses
from engine.strategy.api import Cancel, Intent, Place
from engine.strategy.cadences import kind_of
from engine.strategy.loading import LoadedStrategy
from replay.fold_orders.events import CODES
from replay.fold_orders.fold_view import FoldView, MarketKinds
from replay.fold_orders.foldable import CannotFoldError, needs_ordinary_way
from replay.fold_orders.own_account import Fee, OwnAccount
from replay.fold_orders.unknown_values import ID_TYPE, Refusals

OTHER_TERMS: Final = (
    "stop_price", "reduce_only", "trailing_delta", "iceberg_quantity", "quote_quantity", "good_till_ns",
    "closes_position",
)  # fmt: skip
STATE_WITH_ID: Final = "a State that holds the id of an order is not possible in it"
_other_terms = attrgetter(*OTHER_TERMS)


@lru_cache(DECIMALS_KEPT)  # strategies place most orders at the book's prices
def _whole_number(number: Decimal, scale: int) -> int | None:
    """Return a number as a whole multiple of its unit; None if it is between two."""
    whole = int(number.scaleb(scale))
    return whole if kept_decimal(whole, scale) == number else None


class PythonDecider:
    """A strategy that the loop calls. `code` has the address for W_ADDRESS."""

    def __init__(self, session: SessionContext, loaded: LoadedStrategy, state: State, row: Floats, fee_of: Fee) -> None:
        """Prepare the strategy.

        Args:
            session: The session.
            loaded: The strategy.
            state: The state of the opened session. Its market is the one that the loop folds.
            row: The loop's row of the strategy's arguments; its intents are written there.
            fee_of: The fee of a fill.

        """
        self.code = python_callback(self._called)
        self.error: BaseException | None = None
        self.decisions = 0
        [self._instrument] = session.instruments.values()
        self._session = session
        self._name = loaded.settings.name
        self._fired = tuple(map(kind_of, loaded.cadences))
        self._account, self._market = state.account, state.market
        self._refusals = Refusals()
        self._own = OwnAccount(self._name, self._instrument, fee_of, self._refusals)
        self._decider = session.runner.deciders[self._name].with_views(
            partial(FoldView, self._own, row, MarketKinds(self._refusals), self._refusals)
        )
        self._decider.turn_to(self._account, self._market)
        self._intents = row[0, INTENTS_AT:].data
        self._numbers = memoryview(b"")
        self._events: Rows = row[:0]  # type: ignore[assignment]  # set before the first call
        self._seen = 0

    def follow(self, w: Rows, events: Rows) -> None:
        """Read the numbers and the events of the run from these tables."""
        self._numbers, self._events = w.data, events

    def _called(self, _row: object, _count: int, _length: int) -> float:
        """Decide, and return the number of intents. No exception leaves it: `error` keeps it, and the run ends."""
        try:
            count = self._decide()
        except BaseException as error:  # noqa: BLE001 - a user's code may raise anything
            self.error = error
            return FAILED
        self.decisions += 1
        return float(count)

    def _decide(self) -> int:
        numbers, decider = self._numbers, self._decider
        if numbers[at.W_EVENTS] != self._seen:
            self._read_events(numbers[at.W_EVENTS])
        time_ns = numbers[at.W_NOW]
        if decider.is_ordinary:
            decision = decider.run(self._account, self._market, time_ns, self._fired)
        else:
            view = decider.view
            view.time_ns, view.triggers = time_ns, self._fired
            found = decider.code(view, decider.state, decider.parameters)
            if not (found or decider.notes or (decider.may_leave_traces and decider.leaves_traces())):
                if self._refusals.first is not None:
                    raise self._refusals.first
                return 0
            decision = decider.conclude(found)
        if self._refusals.first is not None:
            raise self._refusals.first
        if decision.changed:
            if self._names_order(decision.changed):
                self._refuse(STATE_WITH_ID)
            changed = StrategyChanged(self._name, decision.changed)
            statuses = reduce_statuses(self._account.strategies, changed, Stamp(0, time_ns))
            self._account = replace(self._account, strategies=statuses)
        decider.turn_to(self._account, self._market)  # its state may be new
        return self._write(decision.intents)

    def _names_order(self, values: object) -> bool:
        """Return True if JSON values of a State hold an order's id as a plain text."""
        if isinstance(values, dict):
            return any(map(self._names_order, (*values, *values.values())))
        if isinstance(values, list | tuple):
            return any(map(self._names_order, values))
        return isinstance(values, str) and values in self._own.numbers

    def _read_events(self, count: int) -> None:
        own, positions = self._own, self._own.positions
        own.read(self._events, count)
        self._seen = count
        if own.positions is not positions:
            self._account = replace(self._account, positions=own.positions)
            self._decider.turn_to(self._account, self._market)

    # ---- intents

    def _write(self, intents: Sequence[Intent]) -> int:
        """Write the intents of a decision to the loop's row; return their number. Raises CannotFoldError."""
        row = self._intents
        for n, intent in enumerate(intents):
            if isinstance(intent, Cancel):
                row[n] = FOLD_CANCEL
                row[4 * INTENTS_MAX + n] = self._place_of(intent.client_order_id)
                continue
            if not isinstance(intent, Place):
                self._refuse(f"{type(intent).__name__} is no intent of the fold")
            row[n] = self._kind_of(intent)
            row[INTENTS_MAX + n] = intent.side.sign
            row[2 * INTENTS_MAX + n] = self._whole(intent.price, self._instrument.price_scale, "price")
            row[3 * INTENTS_MAX + n] = self._whole(intent.quantity, self._instrument.size_scale, "quantity")
        return len(intents)

    def _place_of(self, client_order_id: str) -> int:
        """Return the place in the loop's table of the order that is cancelled."""
        number = self._own.numbers.get(client_order_id)
        if number not in self._own.live:
            self._refuse("a cancel of an order that is not live is not possible in it")
        return list(self._own.live).index(number)

    def _kind_of(self, intent: Place) -> int:
        kind = CODES.get(intent.type)
        if kind is None or intent.time_in_force is not TimeInForce.GTC:
            self._refuse(f"an order of type {intent.type} {intent.time_in_force} is not possible in it")
        if self._session.instrument_by_name.get(intent.instrument) is not self._instrument:
            self._refuse(f"{intent.instrument} is not its instrument")
        if any(_other_terms(intent)):
            name = next(name for name in OTHER_TERMS if getattr(intent, name))
            self._refuse(f"an order with `{name}` is not possible in it")
        return kind

    def _whole(self, number: Decimal, scale: int, what: str) -> int:
        """Return a price or a quantity as a whole multiple of its unit. Risk would refuse one between two units."""
        whole = _whole_number(number, scale)
        if whole is None:
            self._refuse(f"the {what} {number} is between two units of {self._instrument.symbol}")
        return whole

    def _refuse(self, reason: str) -> NoReturn:
        raise needs_ordinary_way(reason)

    # ---- the end

    def check(self, decisions: int) -> None:
        """Raise what a decision raised. Raises CannotFoldError for an error of the strategy."""
        error = self._refusals.first or self.error
        if error is None and decisions == self.decisions:
            return
        if error is None:
            raise KeyboardInterrupt  # it came at the edge of a call, where no caller catches the exception
        if isinstance(error, CannotFoldError) or not isinstance(error, Exception):
            raise error
        if isinstance(error, TypeError) and ID_TYPE in str(error):  # as State is written down
            self._refuse(STATE_WITH_ID)
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise needs_ordinary_way(f"at {self._numbers[at.W_NOW]} strategy {self._name} raised {text}") from error
