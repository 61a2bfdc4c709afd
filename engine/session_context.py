"""Everything that a SESSION record fixes: venues, instruments, strategies, limits, and who is looked at by which index.

Made once a session, never changed. Holds no state of the session itself and decides nothing.
"""

from collections.abc import Sequence

from engine.events import OrderReport
from engine.execution.request_factory import RequestFactory
from engine.market import views
from engine.market.market_state import Market
from engine.market.views import BarSpec, EmaSpec, Stream, TriggerSpec
from engine.model import RateLimits, find_instrument
from engine.requests import LinkPlan
from engine.session_record import MILLISECOND_NS, SECOND_NS, SessionBody
from engine.state.session_state import Rules
from engine.state.timers import periods
from engine.strategy.api import Every, OnQuote, Predicate, PriceMove
from engine.strategy.loading import LoadedStrategy, load
from engine.strategy.runner import StrategyRunner
from engine.venues.registry import make_venue, venue_class
from engine.venues.venue import Venue

PROOF_SLACK_NS = SECOND_NS


class SessionContext:
    """See the module's head."""

    def __init__(self, session: SessionBody, strategies: dict[str, LoadedStrategy] | None = None) -> None:
        """`strategies` replaces the recorded ones by others (replay with an edited strategy)."""
        self.session = session
        self.settings = session.engine
        loaded = (
            {settings.name: load(settings) for settings in session.strategies} if strategies is None else strategies
        )
        self.strategies = loaded
        self.instruments = {instrument.id: instrument for instrument in session.instruments}
        self.indexes = {name: index for index, name in enumerate(self.instruments)}
        self.venues: dict[str, Venue] = {}
        self.allowances: dict[str, RateLimits] = {}
        for settings in session.venues:
            mine = [found for found in session.instruments if found.venue == venue_class(settings).name]
            venue = make_venue(settings, mine)
            self.venues[venue.name] = venue
            self.allowances[venue.name] = settings.allowance
        self.asking = {name: RequestFactory(venue, session.engine) for name, venue in self.venues.items()}
        self._venue_of_source: dict[str, Venue] = {}
        self._indexes_of_source: dict[str, list[int]] = {}
        self._link_of: dict[tuple[int, Stream], str] = {}
        self.assets = frozenset(
            asset for found in session.instruments for asset in (found.base, found.quote, found.margin or found.quote)
        )
        self.recurring = periods(
            session.engine,
            {name: found.cadence.period_ns for name, found in loaded.items() if isinstance(found.cadence, Every)},
        )
        self.rules = Rules(
            session.engine,
            self.recurring,
            session.seed,
            rates={name: venue.rates for name, venue in self.venues.items()},
            cursors={name: venue.fill_cursor for name, venue in self.venues.items()},
        )
        self.watch_names = [name for name, found in loaded.items() if isinstance(found.cadence, OnQuote)]
        self.looks = {name: found.look for name, found in loaded.items() if found.look is not None}
        self._averages = self._declared_averages()
        self.deciding = StrategyRunner(
            session=session.session,
            strategies=loaded,
            instruments=self.instruments,
            indexes=self.indexes,
            averages={key: index for index, (key, _) in enumerate(self._averages)},
            watches={name: index for index, name in enumerate(self.watch_names)},
            asking=self.asking,
            limits=session.risk,
        )
        self.own_marks = (session.session, *((session.previous.session,) if session.previous else ()))

    def empty_market(self) -> Market:
        watches = []
        for name in self.watch_names:
            found = self.strategies[name]
            assert isinstance(found.cadence, OnQuote), name
            ids = tuple(wanted.id for asked in found.instruments if (wanted := self.deciding.find(asked)))
            conditions = self._conditions(name, found.cadence, ids)
            watches.append(TriggerSpec(name, ids, found.cadence.throttle_ns, conditions=conditions))
        market = Market.empty(
            list(self.instruments.values()),
            bars=self._declared_bars(),
            averages=[spec for _, spec in self._averages],
            watches=watches,
        )
        for name, look in self.looks.items():
            market.compile_in(self.watch_names.index(name), look)
        return market

    def _conditions(
        self, strategy: str, cadence: OnQuote, ids: Sequence[str]
    ) -> tuple[views.CrossOverSpec | views.PriceMoveSpec | views.PredicateSpec, ...]:
        """What the strategy waits for, on each of its instruments."""
        when = cadence.when
        if isinstance(when, PriceMove):
            return tuple(views.PriceMoveSpec(name, when.ppm) for name in ids)
        if when is None:
            return ()
        if isinstance(when, Predicate):
            places_of = {
                name: tuple(
                    k
                    for k, ((owner, _, _), spec) in enumerate(self._averages)
                    if (owner, spec.instrument_id) == (strategy, name)
                )
                for name in ids
            }
            return tuple(views.PredicateSpec(name, which, places_of[name]) for which, name in enumerate(ids))
        places = {
            (owner, average, spec.instrument_id): k for k, ((owner, average, _), spec) in enumerate(self._averages)
        }
        return tuple(
            views.CrossOverSpec(name, places[strategy, when.first, name], places[strategy, when.second, name])
            for name in ids
        )

    def _declared_bars(self) -> list[BarSpec]:
        wanted = {
            (instrument.id, seconds * SECOND_NS)
            for found in self.strategies.values()
            for asked in found.instruments
            if (instrument := self.deciding.find(asked)) is not None
            for seconds in found.bars_s
        }
        return [BarSpec(instrument_id, interval_ns) for instrument_id, interval_ns in sorted(wanted)]

    def _declared_averages(self) -> list[tuple[tuple[str, str, str], EmaSpec]]:
        return [
            ((name, average.name, wanted), EmaSpec(instrument.id, average.length))
            for name, found in self.strategies.items()
            for average in found.averages
            for wanted in found.instruments
            if (instrument := find_instrument(self.instruments, wanted)) is not None
        ]

    def links(self, venue: str) -> tuple[LinkPlan, ...]:
        """The connections of this session; without an account, those for what the public may see."""
        plans = self.venues[venue].links()
        return plans if self.session.account else tuple(plan for plan in plans if plan.role == "market")

    def indexes_of(self, source: str) -> list[int]:
        """The instruments whose streams come over this market link."""
        found = self._indexes_of_source.get(source)
        if found is None:
            found = [self.indexes[of.id] for of in self.venue_of(source).instruments_of(source)]
            self._indexes_of_source[source] = found
        return found

    def streams_of(self, source: str) -> tuple[Stream, ...]:
        """Return the kinds of market data that arrive over this market link."""
        return self.venue_of(source).streams_of(source)

    def link_of(self, index: int, stream: Stream) -> str:
        """The market link over which this stream of an instrument comes."""
        found = self._link_of.get((index, stream))
        if found is None:
            plans = (plan for name in self.venues for plan in self.links(name) if plan.role == "market")
            wanted = (
                plan.source
                for plan in plans
                if index in self.indexes_of(plan.source) and stream in self.streams_of(plan.source)
            )
            found = self._link_of[index, stream] = next(wanted)
        return found

    def venue_of(self, source: str) -> Venue:
        """The venue whose connection a source names."""
        venue = self._venue_of_source.get(source)
        if venue is None:
            venue = self._venue_of_source[source] = self.venues[source.split(".", 1)[0]]
        return venue

    def is_own_order(self, report: OrderReport) -> bool:
        """Return True if this session or the one before it made the client order id of a reported order."""
        instrument = self.instruments.get(report.instrument)
        venue = None if instrument is None else self.venues.get(instrument.venue)
        return venue is not None and venue.order_ids.session_of(report.client_order_id) in self.own_marks

    def proof_after_ns(self, venue: Venue) -> int:
        """How long after sending a "not found" begins to prove absence (binance_spot.md section 12)."""
        return venue.recv_window_ms * MILLISECOND_NS + self.settings.venue_timeout_ns + PROOF_SLACK_NS
