"""A strategy's turn: view -> wishes -> intents -> verdicts -> requests. What a strategy does wrong costs only its own step.

Knows strategies and risk; knows venues only through RequestFactory.
"""

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation, localcontext
from itertools import islice
from typing import Any

from engine.bodies import IntentBody, IntentKind, VerdictBody
from engine.execution.order_ids import client_order_id
from engine.execution.request_factory import RequestFactory
from engine.facts import NewOrder, StrategyChanged, StrategyStopped
from engine.lifecycle import LIVE
from engine.market.market_state import Market
from engine.model import Instrument, OrderType, Side, TimeInForce, find_instrument
from engine.money import MONEY
from engine.risk.review import review
from engine.risk.rules import RiskContext
from engine.session_record import SECOND_NS, RiskSettings
from engine.state.session_state import Account
from engine.step_context import StepContext
from engine.strategy.api import Cancel, Decision, Intent, Place, View, state_values
from engine.strategy.loading import LoadedStrategy
from journal.record import canonical

CANCEL_AGAIN_NS = SECOND_NS  # a cancel that did not end its order is not repeated faster than this
NUMBER_MAX = Decimal(10) ** 15  # beyond it, money has no room for 1e-8 (engine/money.py)
WISHES_MAX = 32  # a decision: a loop that never ends its list is a mistake, not a wish


class StrategyRunner:
    """The strategies of a session and the limits they work under."""

    def __init__(
        self,
        *,
        session: str,
        strategies: dict[str, LoadedStrategy],
        instruments: dict[str, Instrument],
        indexes: dict[str, int],
        averages: dict[tuple[str, str, str], int],
        watches: dict[str, int],
        asking: dict[str, RequestFactory],
        limits: RiskSettings,
    ) -> None:
        self.session = session
        self.strategies = strategies
        self.instruments = instruments
        self.asking = asking
        self.limits = limits
        self._indexes = indexes
        self._watches = watches
        self._found: dict[str, Instrument | None] = {}
        self._views = {
            name: {wanted: (indexes[found.id], found) for wanted in loaded.instruments if (found := self.find(wanted))}
            for name, loaded in strategies.items()
        }
        self._averages = {
            name: {(average, wanted): index for (owner, average, wanted), index in averages.items() if owner == name}
            for name in strategies
        }

    def find(self, wanted: str) -> Instrument | None:
        """As find_instrument; looked for once."""
        if wanted not in self._found:
            self._found[wanted] = find_instrument(self.instruments, wanted)
        return self._found[wanted]

    def instruments_of(self, strategy: str) -> Iterable[tuple[int, Instrument]]:
        """The instruments that a strategy declared and the session has, with their places in the market."""
        return self._views[strategy].values()

    def first_said(self, account: Account, market: Market, time_ns: int, watches: int) -> dict[str, Decision] | None:
        """Asks the strategies of these watches until one says something: what was said up to there, by name. None: they all say nothing.

        What raises, and what a compiled strategy says, is not told: `evaluate` asks again, and puts it out.
        """
        said: dict[str, Decision] = {}
        for name, watch in self._watches.items():
            running = account.strategies.of(name)
            if not watches >> watch & 1 or running.stopped_for:
                continue
            if self.strategies[name].look is not None:
                return said
            try:
                said[name] = self._decision(account, market, time_ns, self.strategies[name], running.state)
            except Exception:  # noqa: BLE001 - whatever a user's code raises
                return said
            if said[name]:
                return said
        return None

    def says_nothing(self, account: Account, market: Market, time_ns: int, name: str) -> bool:
        """Whether a strategy that is asked at this time says nothing."""
        running = account.strategies.of(name)
        if running.stopped_for:
            return True
        try:
            return not self._decision(account, market, time_ns, self.strategies[name], running.state)
        except Exception:  # noqa: BLE001 - whatever a user's code raises: `evaluate` hears it again, and says it
            return False

    def evaluate(self, turn: StepContext, name: str, said: Decision | None = None) -> None:
        """Asks one strategy, unless it said before what it says. Its exception drops its wishes and state of this step, leaves a NOTE and stops it."""
        running = turn.account.strategies.of(name)
        if running.stopped_for:
            return
        loaded = self.strategies[name]
        try:
            changed, wishes = (
                said
                if said is not None
                else self._decision(turn.account, turn.market, turn.time_ns, loaded, running.state)
            )
        except Exception as error:  # noqa: BLE001 - whatever a user's code raises
            reason = f"{type(error).__name__}: {error}"
            turn.note("alarm", f"strategy {name} is stopped: {reason}")
            turn.fact(StrategyStopped(name, reason), source=f"strategy.{name}")
            return
        if changed:
            turn.fact(StrategyChanged(name, changed), source=f"strategy.{name}")
        for wish in wishes:
            if isinstance(wish, Place):
                self._place(turn, loaded, wish)
            else:
                self._cancel(turn, loaded, wish)

    def _decision(
        self, account: Account, market: Market, time_ns: int, loaded: LoadedStrategy, held: dict[str, Any]
    ) -> Decision:
        """What a strategy's code says. Raises whatever is wrong."""
        with localcontext(MONEY):  # its own: what it sets there is gone with its turn
            return self._said(account, market, time_ns, loaded, held)

    def _said(
        self, account: Account, market: Market, time_ns: int, loaded: LoadedStrategy, held: dict[str, Any]
    ) -> Decision:
        name = loaded.settings.name
        state = loaded.state(held)
        before = state_values(state)
        view = View(
            name=name,
            account=account,
            market=market,
            time_ns=time_ns,
            instruments=self._views[name],
            averages=self._averages[name],
        )
        if loaded.look is not None and not market.wants_again(self._watches[name], loaded.look, time_ns):
            raise AssertionError(
                "`wants` says no in plain Python where its machine code said yes: its numbers are not the same in both"
            )
        said = loaded.cls.decide(view, state, loaded.parameters) or ()
        wishes = [_checked(wish) for wish in islice(said, WISHES_MAX + 1)]
        assert len(wishes) <= WISHES_MAX, f"more than {WISHES_MAX} wishes in one decision"
        after = state_values(state)
        changed = {field: value for field, value in after.items() if value != before[field]}
        if changed:
            again = loaded.state({**held, **changed})
            assert state_values(again) == after, "its state is not the same once it was written down"
        if outside := loaded.changed_outside():
            raise AssertionError(f"{outside} was changed: nothing but State persists")
        return Decision(changed, wishes)

    def _place(self, turn: StepContext, loaded: LoadedStrategy, wish: Place) -> None:
        name, version = loaded.settings.name, loaded.settings.version
        instrument = self.find(wish.instrument)
        venue = self.asking[instrument.venue if instrument else next(iter(self.asking))]
        order_id = client_order_id(
            session=self.session,
            strategy=name,
            version=version,
            seq=turn.next_seq,
            leg=0,
            length_max=venue.venue.client_order_id_max,
        )
        order = NewOrder(
            instrument=instrument.id if instrument else wish.instrument,
            side=wish.side,
            type=wish.type,
            quantity=wish.quantity,
            price=wish.price,
            time_in_force=wish.time_in_force,
        )
        quote = turn.market.quote(self._indexes[instrument.id]) if instrument else None
        because = (
            {**wish.because, "quote_seq": quote.seq} if quote else dict(wish.because)
        )  # the record that the quote it saw came from
        seq = turn.intent(IntentBody(IntentKind.PLACE, name, version, order=order, because=because), key=order_id)
        if instrument is None:
            turn.verdict(
                VerdictBody(False, {"instrument": f"{wish.instrument} is not traded here"}), key=order_id, cause=seq
            )
            return
        question = RiskContext(
            order=order,
            strategy=name,
            instrument=instrument,
            instruments=self.instruments,
            account=turn.account,
            limits=self.limits,
            time_ns=turn.time_ns,
            bid=quote.bid if quote else instrument.tick_size * 0,
            ask=quote.ask if quote else instrument.tick_size * 0,
        )
        verdict, approved = review(question)
        verdict_seq = turn.verdict(verdict, key=order_id, cause=seq)
        if approved is not None:
            venue.place(
                turn, approved, client_order_id=order_id, strategy=name, instrument=instrument, cause=verdict_seq
            )

    def _cancel(self, turn: StepContext, loaded: LoadedStrategy, wish: Cancel) -> None:
        name, version = loaded.settings.name, loaded.settings.version
        key = wish.client_order_id
        seq = turn.intent(
            IntentBody(IntentKind.CANCEL, name, version, cancels=key, because=dict(wish.because)), key=key
        )
        order = turn.account.orders.get(key)
        known = None if order is None else self.instruments.get(order.order.instrument)
        rules = cancel_rules(turn, name, key, venue="" if known is None else known.venue)
        verdict_seq = turn.verdict(VerdictBody(not any(rules.values()), rules), key=key, cause=seq)
        if not any(rules.values()):
            instrument = self.instruments[turn.account.orders.live[key].order.instrument]
            self.asking[instrument.venue].cancel(turn, client_order_id=key, instrument=instrument, cause=verdict_seq)


def cancel_rules(turn: StepContext, strategy: str, order_id: str, *, venue: str) -> dict[str, str]:
    """A cancel lowers exposure: only what makes it senseless speaks against it."""
    order = turn.account.orders.get(order_id)
    again = order is not None and order.cancel_ns and turn.time_ns - order.cancel_ns < CANCEL_AGAIN_NS
    budget = turn.account.limits.of(venue)
    return {
        "known": "" if order is not None and order.strategy == strategy else "not an order of this strategy",
        "live": "" if order is not None and order.status in LIVE else "the order is closed",
        "one_at_a_time": ""
        if turn.account.requests.for_order(order_id) is None
        else "another request for this order is on its way",
        "again": "its cancel was asked for within this second" if again else "",
        "rate": f"{venue} asked us to wait: {budget.reason}" if turn.time_ns < budget.blocked_until_ns else "",
    }


def _checked(wish: Intent) -> Intent:
    """A wish made of what a wish is made of: a strategy's mistake stops it here, and not the engine later."""
    if isinstance(wish, Cancel):
        _is(wish, client_order_id=str)
    elif isinstance(wish, Place):
        _is(wish, instrument=str, side=Side, type=OrderType, time_in_force=TimeInForce)
        for name in ("quantity", "price"):
            number = getattr(wish, name)
            if not isinstance(number, Decimal) or not number.is_finite() or abs(number) > NUMBER_MAX:
                raise InvalidOperation(f"{name} must be a Decimal of at most {NUMBER_MAX:f}, not {number!r}")
    else:
        raise TypeError(f"a wish is Place or Cancel, not {wish!r}")
    canonical(dict(wish.because))  # raises where a record cannot hold it
    return wish


def _is(wish: Intent, **kinds: type) -> None:
    for name, kind in kinds.items():
        value = getattr(wish, name)
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be a {kind.__name__}, not {value!r}")
