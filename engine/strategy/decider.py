"""A strategy of a session with the objects that its decisions share: one view, and one state while nothing moves it.

Most decisions lead to nothing, so nothing is made for them. The view is always the same object and shows the record at
hand. The state object is made from the recorded values again when these changed, after a decision that stored an
attribute, and at each decision if a value in it can change in place.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import localcontext
from itertools import islice
from math import isnan
from operator import is_
from typing import Any, Final

from engine.bodies import NoteBody
from engine.market.market_state import Market
from engine.model import Instrument
from engine.money import MONEY
from engine.state.reducer_settings import ReducerSettings
from engine.state.session_state import Account
from engine.state.strategy_states import StrategyStatuses
from engine.strategy.api import Decision, Intent, View, state_from, state_values
from engine.strategy.intent_checks import INTENTS_MAX, check_intent
from engine.strategy.loading import LoadedStrategy, predicate_name
from engine.strategy.source_guard import UNCHANGING
from engine.trigger_kinds import TriggerKind

Fired = tuple[TriggerKind, ...]
_ABSENT: Final = object()
NOTHING: Final = Decision({}, [], [])


class Decider:
    """Runs one strategy's code. `account`, `market` and time are given to each decision."""

    __slots__ = (
        "_account", "_held", "_indicators", "_instruments", "_is_plain", "_make_view", "_makes_views", "_market",
        "_names", "_settable", "_settings", "_statuses", "_stored", "_trigger", "_values", "_values_before", "code",
        "loaded", "may_leave_traces", "name", "notes", "parameters", "state", "view",
    )  # fmt: skip

    def __init__(
        self,
        loaded: LoadedStrategy,
        *,
        instruments: Mapping[str, tuple[int, Instrument]],
        indicators: Mapping[tuple[str, str], int],
        trigger: int,
        is_plain: bool,
        settings: ReducerSettings | None,
        make_view: Callable[..., View] = View,
    ) -> None:
        """Prepare a strategy.

        Args:
            loaded: The strategy.
            instruments: As it declared them -> (index in the market, instrument).
            indicators: (name, instrument as declared) -> index in the market.
            trigger: The number in the market of its trigger by quotes.
            is_plain: Views have plain figures (EngineSettings.plain_figures).
            settings: How P&L is kept and marked.
            make_view: Makes the views that its decisions read.

        """
        self.loaded = loaded
        self._make_view = make_view
        self.name = loaded.settings.name
        self.parameters = loaded.parameters
        self.code: Any = getattr(loaded.cls, "decide", None)  # None: it is rebuilt, and never decides
        self._instruments = instruments
        self._indicators = indicators
        self._trigger = trigger
        self._is_plain = is_plain
        self._settings = settings
        self._makes_views = loaded.reach.can_store(View.__slots__)  # it could change the one of later decisions
        self._stored = loaded.reach.names_in_state
        self.may_leave_traces = self._stored != frozenset() or (
            loaded.outside is not None and loaded.outside.can_change
        )
        self.view: Any = None
        self.notes: list[NoteBody] = []
        self.state: Any = None
        self._account: Account | None = None
        self._market: Market | None = None
        self._statuses: StrategyStatuses | None = None
        self._values: Mapping[str, Any] = {}  # the recorded values that the state has
        self._names: list[str] = []  # of the state's attributes, and their values if they cannot change in place
        self._held: tuple[Any, ...] | None = None
        self._settable: list[tuple[str, Any]] = []  # the attributes that the code may set, with these values
        self._values_before: dict[str, Any] | None = None  # as JSON values, if one of them can

    def with_views(self, make_view: Callable[..., View]) -> "Decider":
        """Return a decider of the same strategy whose decisions read other views."""
        return Decider(
            self.loaded, instruments=self._instruments, indicators=self._indicators, trigger=self._trigger,
            is_plain=self._is_plain, settings=self._settings, make_view=make_view,
        )  # fmt: skip

    def run(self, account: Account, market: Market, time_ns: int, fired: Fired) -> Decision:
        """Run the strategy's code and check its decision.

        Raises:
            Exception: The strategy's code fails, or its decision is invalid.

        """
        with localcontext(MONEY):  # a copy: changes that the strategy makes to it are dropped
            try:
                self.turn_to(account, market)
                self.view.time_ns, self.view.triggers = time_ns, fired
                if self.loaded.predicate is not None and TriggerKind.QUOTE in fired:
                    self._check_predicate(market, time_ns)
                return self.conclude(self.code(self.view, self.state, self.parameters))
            except BaseException:
                self.forget()
                raise

    def _check_predicate(self, market: Market, time_ns: int) -> None:
        predicate = self.loaded.predicate
        assert predicate is not None, "the caller has looked"
        if not market.predicate_holds(self._trigger, predicate, time_ns):
            raise AssertionError(
                f"`{predicate_name(self.loaded.cls)}` says no in plain Python where its machine code said yes: "
                "its numbers are not the same in both"
            )

    def turn_to(self, account: Account, market: Market) -> None:
        """Show an account and a market, and make the state again if it is not the recorded one."""
        if account is not self._account or market is not self._market or self._makes_views:
            if self.view is None or market is not self._market or self._makes_views:
                self.view = self._new_view(account, market)
            self.view.turn_to(account, self._current_instruments(account))
            self._account, self._market = account, market
        if account.strategies is not self._statuses or self._held is None:
            values = account.strategies.get(self.name).state
            if self.state is None or self._held is None or values is not self._values:
                self._renew_state(values)
            self._statuses = account.strategies

    def can_turn_to(self, account: Account, market: Market) -> bool:
        """Turn to an account and a market. Return False if the recorded state does not fit the strategy's class."""
        try:
            self.turn_to(account, market)
        except BaseException as error:  # a user's code may raise anything
            self.forget()
            if not isinstance(error, Exception):
                raise
            return False
        return True

    @property
    def is_ordinary(self) -> bool:
        """True if each decision needs `run`: it gets new objects, or could see what an earlier one left."""
        return self._makes_views or self._held is None or self.loaded.reach.uses_contexts

    def _new_view(self, account: Account, market: Market) -> View:
        return self._make_view(
            name=self.name,
            account=account,
            market=market,
            time_ns=0,
            instruments=self._instruments,
            indicators=self._indicators,
            is_plain=self._is_plain,
            notes=self.notes,
            settings=self._settings,
            keeps=not self.loaded.reach.uses_contexts,
        )

    def _current_instruments(self, account: Account) -> Mapping[str, tuple[int, Instrument]]:
        """Return the instruments as the venue described them last."""
        changes, declared = account.instruments, self._instruments
        if not changes.by_id:
            return declared
        return {name: (index, changes.current(instrument)) for name, (index, instrument) in declared.items()}

    def _renew_state(self, values: Mapping[str, Any]) -> None:
        self.state, self._values = state_from(self.loaded.cls.State, values), values
        attributes: Mapping[str, Any] | None = getattr(self.state, "__dict__", None)
        is_fixed = attributes is not None and all(map(_is_fixed, attributes.values()))
        self._held = tuple(attributes.values()) if attributes is not None and is_fixed else None
        self._names = list(attributes or ())
        self._settable = [(name, (attributes or {}).get(name, _ABSENT)) for name in self._stored or ()]
        self._values_before = None if is_fixed else state_values(self.state)

    def forget(self) -> None:
        """Drop the objects that a decision may have changed."""
        self.notes = []
        self.view = self.state = self._account = self._statuses = self._held = None

    def _has_moved_state(self) -> bool:
        """Return True unless the state is the one that was made of the recorded values."""
        if self._held is None:
            return True
        now = vars(self.state)
        if self._stored is None:
            return list(now) != self._names or not all(map(is_, now.values(), self._held))
        return True in [now.get(name, _ABSENT) is not value for name, value in self._settable]

    def leaves_traces(self) -> bool:
        """Return True if the last decision may have changed the state or anything else."""
        outside = self.loaded.outside
        return self._has_moved_state() or (outside is not None and outside.changed(self.parameters) != "")

    def conclude(self, found: Iterable[Intent] | None) -> Decision:
        """Return the decision that the code's answer and the changes of its state make.

        Raises:
            Exception: The code fails, or the decision is invalid.

        """
        intents = []
        if found:
            for intent in islice(found, INTENTS_MAX + 1):
                check_intent(intent)
                intents.append(intent)
            assert len(intents) <= INTENTS_MAX, f"more than {INTENTS_MAX} wishes in one decision"
        changed = self._changed_state() if self._has_moved_state() else {}
        outside = self.loaded.outside
        if outside is not None and outside.can_change and (name := outside.changed(self.parameters)):
            raise AssertionError(f"{name} was changed: nothing but State persists")
        if not (intents or changed or self.notes):
            return NOTHING
        decision = Decision(changed, intents, self.notes[:])
        self.notes.clear()
        return decision

    def _changed_state(self) -> dict[str, Any]:
        """Return the fields whose values changed, and drop the state object."""
        kind, values = self.loaded.cls.State, self._values
        before = state_values(state_from(kind, values)) if self._values_before is None else self._values_before
        after = state_values(self.state)
        self.state = self._statuses = self._held = None
        changed = {field: value for field, value in after.items() if value != before[field]}
        if changed:
            again = state_from(kind, {**values, **changed})
            assert state_values(again) == after, "its state is not the same once it was written down"
        return changed


def _is_fixed(value: Any) -> bool:
    """Return True if nothing in a value can change, and it equals itself."""
    if type(value) is tuple:
        return all(map(_is_fixed, value))
    return type(value) in UNCHANGING and not (type(value) is float and isnan(value))
