"""The fixed part of a session: venues, instruments, strategies, limits, and the indexes by which arrays name them.

Made from the SESSION record and never changed. It holds no state and decides nothing.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property

from engine.events import OrderReport
from engine.execution.request_factory import RequestFactory
from engine.facts import NewOrder
from engine.market import views
from engine.market.indicators.ema import EmaSpec
from engine.market.indicators.indicator import TRADE, IndicatorSpec
from engine.market.market_state import Market
from engine.market.views import BarSpec, Stream, TriggerSpec
from engine.model import ONLY, Instrument, find_instrument
from engine.requests import LinkPlan, LinkRole
from engine.risk.budget_answers import has_budgets
from engine.risk.context import BoundRule, RiskContext
from engine.risk.limits_of import limits_of
from engine.risk.loss_limits import loss_limits
from engine.risk.rule_choice import RuleChoice
from engine.session_accounts import SessionAccounts
from engine.session_record import MILLISECOND_NS, SECOND_NS, SessionBody
from engine.session_venues import SessionVenues
from engine.state.orders import Order
from engine.state.reducer_settings import ReducerSettings
from engine.state.safety_orders import SafetyOrders
from engine.state.timers import periods
from engine.strategy.api import Indicator
from engine.strategy.cadences import OnBar, OnBook, OnQuote, OnTrade, Predicate, PriceMove, kind_of
from engine.strategy.loading import LoadedStrategy, load
from engine.strategy.rule_loading import load_rules
from engine.strategy.runner import StrategyRunner
from engine.trigger_kinds import ACCOUNT_KINDS, TriggerKind, split_trigger, trigger_name
from engine.venues.optional_parts import HasHistory, HistoryCodec
from engine.venues.order_ids import ORDER_MARK
from engine.venues.polling import PolledLinks
from engine.venues.venue import MarketCodec, Venue
from engine.venues.venue_lookup import venue_class

PROOF_SLACK_NS = SECOND_NS


def _by_name(instruments: Mapping[str, Instrument]) -> dict[str, Instrument]:
    """Return all names of instruments as find_instrument knows them: id, symbols, or "*" for a single one."""
    names = {*instruments, *(name for each in instruments.values() for name in each.names), ONLY}
    return {name: found for name in names if (found := find_instrument(instruments, name)) is not None}


def _bars_order(bars: BarSpec) -> tuple[str, int]:
    return bars.instrument_id, bars.interval_ns


class _MarketDialects(dict[str, MarketCodec]):
    """Source of market frames -> what decodes them, found once."""

    def __init__(self, session: "SessionContext") -> None:
        super().__init__()
        self._session = session

    def __missing__(self, source: str) -> MarketCodec:
        dialect = self[source] = self._session.venue_of(source).market
        return dialect


class SessionContext(SessionVenues):
    """The fixed part of a session: see the module's head."""

    def __init__(self, body: SessionBody, strategies: dict[str, LoadedStrategy] | None = None) -> None:
        """Load what a SESSION record names.

        Args:
            body: The SESSION record's body.
            strategies: Replace the recorded strategies, for a replay with an edited one.

        """
        super().__init__(body)
        self.settings = body.engine
        self.safeguards = body.safeguards
        loaded = {settings.name: load(settings) for settings in body.strategies} if strategies is None else strategies
        self.strategies = loaded
        self.instrument_by_name = _by_name(self.instruments)  # as strategies name them
        self.limits_of = {name: limits_of(body.risk, each) for name, each in self.instruments.items()}
        self.review_contexts: dict[str, RiskContext] = {}  # by instrument: what the reviews of its orders share
        self.loss_limits = loss_limits(body.risk, list(self.venues))
        venue_settings = {venue_class(settings).name: settings for settings in body.venues}
        self.rate_limits = {name: settings.rate_limits for name, settings in venue_settings.items()}
        self.factories = {
            name: RequestFactory(venue, body.engine, body.safeguards) for name, venue in self.venues.items()
        }
        self.accounts = SessionAccounts(body, venue_settings, self.factories)
        self._venue_of_source: dict[str, Venue] = {}
        self.market_dialects = _MarketDialects(self)
        self._indexes_of_source: dict[str, list[int]] = {}
        self._streams_of_source: dict[str, tuple[Stream, ...]] = {}
        self._link_of: dict[tuple[int, Stream], str] = {}
        self._declared = self._declared_indicators()
        self._indicators = self._market_indicators()
        self._bars = self._declared_bars()
        self.timer_periods_ns = periods(
            body.engine,
            {name: each.period_ns for name, each in loaded.items() if each.period_ns},
            body.safeguards,
            {bars.interval_ns for bars in self._bars},
        )
        self.polled = PolledLinks((self.venues[name], plan) for name in self.venues for plan in self.links(name))
        self.reducer_settings = self._reducer_settings()
        self.trigger_names = self._market_triggers()
        self._fired: dict[tuple[str, ...], dict[str, tuple[TriggerKind, ...]]] = {}
        self._indicator_index = self._indexes_of_indicators()
        self.history_needs = self._history_needs()
        self.runner = self._strategy_runner()
        self.own_sessions = (body.session, *((body.previous.session,) if body.previous else ()), *body.safety.also_ours)

    def _strategy_runner(self) -> StrategyRunner:
        """Return the runner of the session's strategies."""
        return StrategyRunner(
            strategies=self.strategies,
            instruments=self.instrument_by_name,
            indexes=self.indexes,
            indicators=self._indicator_index,
            triggers={name: number for number, name in enumerate(self.trigger_names)},
            is_plain=self.settings.plain_figures,
            settings=self.reducer_settings,
            history={
                name: [(bars.instrument_id, bars.interval_ns, self._bars.index(bars)) for bars in self.history_of(name)]
                for name in self.strategies
            },
        )

    def _reducer_settings(self) -> ReducerSettings:
        """Return the settings that reducers need."""
        body = self.body
        return ReducerSettings(
            body.engine,
            self.timer_periods_ns,
            body.seed,
            rates={name: venue.rates for name, venue in self.venues.items()},
            cursors={name: venue.fill_cursor for name, venue in self.venues.items()},
            instruments=self.instruments,
            risk=body.risk,
            safeguards=body.safeguards,
            safety=body.safety,
            has_order_budgets=has_budgets(body.risk),
            rounds_every_ns=body.safeguards.account_poll_every_ns if self.polled.has_account else 0,
            fundings_from_ns=(body.previous.last_ns if body.previous else 0) or body.started_ns,
            has_accounts=self.accounts.are_several,
            wanted_events={
                name: frozenset(map(kind_of, each.cadences)) & ACCOUNT_KINDS for name, each in self.strategies.items()
            },
        )

    def fired(self, triggers: tuple[str, ...]) -> Mapping[str, tuple[TriggerKind, ...]]:
        """Return strategy -> the kinds of its triggers that fired, of the market's triggers by name."""
        found = self._fired.get(triggers)
        if found is None:
            found = {}
            for strategy, kind in map(split_trigger, triggers):
                found[strategy] = (*found.get(strategy, ()), kind)
            self._fired[triggers] = found
        return found

    def _market_triggers(self) -> list[str]:
        """Return the names of the triggers that the market fires, in the order of their bits."""
        return [
            trigger_name(name, kind_of(cadence))
            for name, each in self.strategies.items()
            for cadence in each.cadences
            if isinstance(cadence, OnQuote | OnTrade | OnBook | OnBar)
        ]

    @property
    def names_refused(self) -> bool:
        """True if a refusal by risk names its strategy: a breaker counts it, or its view has it."""
        return self.safeguards.refusals_max > 0 or self.settings.events_kept > 0

    @cached_property
    def risk_rules(self) -> dict[str, BoundRule]:
        """The session's risk rules.

        They load with the first order: a rebuild decides nothing, so it runs no user's code.
        """
        return load_rules(self.body.rules, tuple(self.limits_of.values()))

    @cached_property
    def rule_choice(self) -> RuleChoice:
        """The rules by the kind of an order."""
        return RuleChoice(self.risk_rules)

    def empty_market(self) -> Market:
        """Return the market before any message, with the bars and indicators that strategies declare."""
        triggers = []
        for name in self.trigger_names:
            strategy, kind = split_trigger(name)
            [cadence] = (each for each in self.strategies[strategy].cadences if kind_of(each) is kind)
            assert isinstance(cadence, OnQuote | OnTrade | OnBook | OnBar), name
            ids = tuple(instrument.id for _, instrument in self.runner.instruments_of(strategy))
            if isinstance(cadence, OnBar):
                triggers.append(TriggerSpec(name, ids, bars_ns=(cadence.seconds * SECOND_NS,)))
                continue
            conditions = self._conditions(strategy, cadence, ids)
            triggers.append(TriggerSpec(name, ids, cadence.throttle_ns, conditions=conditions))
        market = Market.empty(
            list(self.instruments.values()),
            bars=self._bars,
            indicators=self._indicators,
            triggers=triggers,
            bars_by_time=self.settings.bar_close_after_ns > 0,
            bar_rules=self.settings.bar_rules,
            user_updates={
                spec: self.strategies[strategy].own_updates[name]
                for (strategy, name, _), spec in self._declared
                if name in self.strategies[strategy].own_updates
            },
        )
        for name, number in self.runner.compiled.items():
            predicate = self.strategies[name].predicate
            assert predicate is not None, name
            market.install_predicate(number, predicate)
        return market

    def _conditions(
        self, strategy: str, cadence: OnQuote | OnTrade | OnBook, ids: Sequence[str]
    ) -> tuple[views.CrossOverSpec | views.PriceMoveSpec | views.PredicateSpec | views.StreamSpec, ...]:
        """Return the conditions under which the market triggers the strategy, one for each instrument."""
        if not isinstance(cadence, OnQuote):
            stream = Stream.TRADE if isinstance(cadence, OnTrade) else Stream.BOOK
            return tuple(views.StreamSpec(name, stream) for name in ids)
        when = cadence.when
        if isinstance(when, PriceMove):
            return tuple(views.PriceMoveSpec(name, when.ppm) for name in ids)
        if when is None:
            return ()
        if isinstance(when, Predicate):
            indexes_of = {
                name: tuple(
                    self._indicator_index[key]
                    for key, spec in self._declared
                    if (key[0], spec.instrument_id) == (strategy, name)
                )
                for name in ids
            }
            return tuple(views.PredicateSpec(name, which, indexes_of[name]) for which, name in enumerate(ids))
        index_of = {(key[0], key[1], spec.instrument_id): self._indicator_index[key] for key, spec in self._declared}
        return tuple(
            views.CrossOverSpec(name, index_of[strategy, when.first, name], index_of[strategy, when.second, name])
            for name in ids
        )

    def _declared_bars(self) -> list[BarSpec]:
        declared = {
            (instrument.id, seconds * SECOND_NS)
            for loaded in self.strategies.values()
            for name in loaded.instruments
            if (instrument := self.instrument_by_name.get(name)) is not None
            for seconds in (
                *loaded.bars_s,
                *((loaded.on_bar_s,) if loaded.on_bar_s else ()),
            )
        } | {(spec.instrument_id, spec.interval_ns) for spec in self._indicators if spec.interval_ns}
        return [BarSpec(instrument_id, interval_ns) for instrument_id, interval_ns in sorted(declared)]

    def history_of(self, strategy: str) -> Mapping[BarSpec, int]:
        """Return the bars for whose history a strategy waits, with the number of bars that it wants of each."""
        loaded = self.strategies[strategy]
        if loaded.warm_up is None or not self.settings.history_percent or not self.settings.bar_close_after_ns:
            return {}
        ids = {instrument.id for _, instrument in self._instruments_of(loaded)}
        wanted = {BarSpec(name, seconds * SECOND_NS): loaded.warm_up.bars for name in ids for seconds in loaded.bars_s}
        for (owner, _, _), spec in self._declared:
            if owner == strategy and spec.interval_ns:
                bars = BarSpec(spec.instrument_id, spec.interval_ns)
                wanted[bars] = max(wanted.get(bars, 0), spec.settled_count)
        return {bars: wanted[bars] for bars in sorted(wanted, key=_bars_order) if wanted[bars]}

    def _history_needs(self) -> dict[BarSpec, int]:
        """Return the bars whose history is requested, with the number of bars."""
        needs: dict[BarSpec, int] = {}
        for name in self.strategies:
            for bars, count in self.history_of(name).items():
                needs[bars] = max(needs.get(bars, 0), count)
        return {bars: needs[bars] for bars in sorted(needs, key=_bars_order)}

    def history_codec(self, venue: str) -> HistoryCodec | None:
        """Return what requests and reads a venue's candles; None if it has none."""
        found = self.venues[venue]
        return found.history if isinstance(found, HasHistory) else None

    def _instruments_of(self, loaded: LoadedStrategy) -> list[tuple[str, Instrument]]:
        """Return (name, instrument) of the instruments that a strategy declared and the session has."""
        named = ((name, self.instrument_by_name.get(name)) for name in loaded.instruments)
        return [(name, instrument) for name, instrument in named if instrument is not None]

    def _declared_indicators(self) -> list[tuple[tuple[str, str, str], IndicatorSpec]]:
        """Return ((strategy, indicator, instrument as declared), spec) of all strategies."""
        return [
            ((strategy, each.name, name), each.spec(instrument.id, strategy))
            for strategy, loaded in self.strategies.items()
            for each in (
                *(Indicator(average.name, EmaSpec.name, {"length": average.length}) for average in loaded.averages),
                *loaded.indicators,
            )
            for name in loaded.instruments
            if (instrument := self.instrument_by_name.get(name)) is not None
        ]

    def _market_indicators(self) -> list[IndicatorSpec]:
        """Return the market's indicators: those over quotes, then those over trades, then those over bars."""
        specs = [spec for _, spec in self._declared]
        if self.settings.bar_close_after_ns:
            specs = list(dict.fromkeys(specs))  # equal ones are one
        return sorted(specs, key=lambda spec: (spec.interval_ns > 0, spec.followed == TRADE))

    def _indexes_of_indicators(self) -> dict[tuple[str, str, str], int]:
        """Return the index in the market of each declared indicator. Several have the same if equal ones are one."""
        left: dict[IndicatorSpec, list[int]] = {}
        for k, spec in reversed(list(enumerate(self._indicators))):
            left.setdefault(spec, []).append(k)
        return {key: left[spec].pop() if len(left[spec]) > 1 else left[spec][0] for key, spec in self._declared}

    def links(self, venue: str) -> tuple[LinkPlan, ...]:
        """Return the links of this session to a venue: market links only if it has no account there."""
        plans = self.venues[venue].links()
        return plans if venue in self.accounts.known else tuple(plan for plan in plans if plan.role is LinkRole.MARKET)

    def indexes_of(self, source: str) -> list[int]:
        """Return the indexes of the instruments whose streams come over a market link."""
        indexes = self._indexes_of_source.get(source)
        if indexes is None:
            indexes = [self.indexes[each.id] for each in self.venue_of(source).instruments_of(source)]
            self._indexes_of_source[source] = indexes
        return indexes

    def streams_of(self, source: str) -> tuple[Stream, ...]:
        """Return the streams that come over a market link."""
        streams = self._streams_of_source.get(source)
        if streams is None:
            streams = self._streams_of_source[source] = self.venue_of(source).streams_of(source)
        return streams

    def link_of(self, index: int, stream: Stream) -> str:
        """Return the market link over which a stream of an instrument comes."""
        link = self._link_of.get((index, stream))
        if link is None:
            plans = (plan for name in self.venues for plan in self.links(name) if plan.role is LinkRole.MARKET)
            sources = (
                plan.source
                for plan in plans
                if index in self.indexes_of(plan.source) and stream in self.streams_of(plan.source)
            )
            link = self._link_of[index, stream] = next(sources)
        return link

    def venue_of(self, source: str) -> Venue:
        """Return the venue of a connection."""
        venue = self._venue_of_source.get(source)
        if venue is None:
            venue = self._venue_of_source[source] = self.venues[source.split(".", 1)[0]]
        return venue

    def bears_mark(self, instrument: str, client_order_id: str, also: Sequence[str] = ()) -> bool:
        """Return True if this session, the one before, or one that it cancels for made a client order id.

        It cancels for those of its SESSION record, and for those of `also`, which a safety order in force names.
        """
        found = self.instruments.get(instrument)
        if found is None or (venue := self.venues.get(found.venue)) is None:
            return False
        maker = venue.order_ids.session_of(client_order_id)
        return maker in self.own_sessions or maker in also

    def is_ours(self, order: Order, safety: SafetyOrders) -> bool:
        """Return True for an order that this journal placed, and for an adopted one that bears our mark.

        Every cancel of "our orders" follows this rule: a stop, safety orders, kill, the guard and the emergency cancel.
        """
        return not order.adopted or self.bears_mark(order.order.instrument, order.client_order_id, safety.also)

    def is_own_order(self, report: OrderReport) -> bool:
        """Return True for a reported order that bears our mark."""
        return self.bears_mark(report.instrument, report.client_order_id)

    def rival_of(self, order: NewOrder, client_order_id: str) -> str:
        """Return the session of another engine of ours that made an order's id, or "" for any other order."""
        instrument = self.instruments.get(order.instrument)
        venue = None if instrument is None else self.venues.get(instrument.venue)
        mark = ORDER_MARK if venue is None else getattr(venue.order_ids, "mark", ORDER_MARK)
        if venue is None or not mark.fullmatch(client_order_id):
            return ""
        maker = venue.order_ids.session_of(client_order_id)
        return "" if maker in self.own_sessions else maker

    def recorded_name(self, about: str) -> str:
        """Return the id of the instrument with this own symbol; any other name of a command as it is."""
        found = self.instrument_by_name.get(about)
        return found.id if found is not None and about == found.own_symbol else about

    def proof_after_ns(self, venue: Venue) -> int:
        """Return the time after sending from which "not found" proves absence (Binance Spot API, timing)."""
        return venue.recv_window_ms * MILLISECOND_NS + self.settings.venue_timeout_ns + PROOF_SLACK_NS
