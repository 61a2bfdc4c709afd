"""Run a strategy with its orders in the fold, from the time at which the ordinary way is ready to trade.

The beginning is the ordinary way itself: links, the first reconciliation, the join of the books. Then the loop of
engine/sim/fold_orders continues on the arrays of the session's market and of the simulated venue. The account's money
is computed from the fills by the functions of the simulated venue.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal, localcontext
from typing import Final, NamedTuple, Self

import msgspec
import numpy as np

from engine.bodies import IntentBody
from engine.gc_tuning import rare_collections
from engine.market import layout as market_at
from engine.market import rows as r
from engine.market.jit import Callback
from engine.market.market_state import Market
from engine.market.order_decision import PARAMETERS_AT
from engine.market.predicates import CannotCompileError
from engine.market.rows import Floats, Rows
from engine.mode_reasons import Mode
from engine.model import Instrument
from engine.money import MONEY
from engine.session_context import SessionContext
from engine.sim.exchange import venue_arrays
from engine.sim.exchange.venue_books import VenueBooks
from engine.sim.fold_orders import fold_layout as at
from engine.sim.fold_orders.loop import run_loop
from engine.sim.modelled_venue import ACCOUNT_KEY
from engine.sim.units import PLACES
from engine.state.session_state import State
from engine.step_context import Output
from engine.strategy.loading import LoadedStrategy
from engine.strategy.predicate_inputs import refresh
from journal.reader import Journal
from journal.record import Record
from replay.fold_orders.foldable import CannotFoldError, needs_ordinary_way, refuse_unfoldable
from replay.fold_orders.money import FoldMoney
from replay.fold_orders.python_decider import PythonDecider
from replay.fold_orders.run_numbers import run_numbers, strategy_arguments
from replay.resim.model_run import ModelRun
from replay.resim.resimulate import ResimOptions, open_run
from replay.resim.timeline import RowSpan

LAG_MARGIN_NS: Final = 100_000_000  # the clock's offset is measured again now and then
FIRST_EVENTS: Final = 4 * at.EVENTS_OF_A_STEP
STOPS: Final = {
    at.FLAGGED: "the market data broke (a lost or crossed book, a bad value, or a limit of losses)",
    at.UNSUITABLE_ROW: "the venue's market has a further snapshot, a funding, or a number that is too large",
    at.STRATEGY_FAILED: "`decide_fold` raised, or returned no number of intents",
    at.BAD_INTENT: "the strategy made an intent that is none, or a kind of order that the fold does not have",
    at.TOO_MANY_ORDERS: f"more than {at.ORDERS_MAX} orders are live",
    at.TOO_MANY_MESSAGES: f"more than {at.MESSAGES_MAX} messages are on their way",
    at.NEAR_RATE_LIMIT: "requests come near the venue's limit",
    at.BREAKER: "so many orders were refused that a breaker pauses the strategy",
    at.NEAR_PRICE_BOUND: "a price is at the venue's bound around its average price, or the market has no price yet",
    at.SELF_TRADE: "two orders of the strategy would trade with each other",
    at.STALE_CANCEL: "an order is to be cancelled again",
    at.MARKET_NOTIONAL: "a market order is placed, and order_notional_max is set",
}


class FoldedRun(msgspec.Struct, frozen=True):
    """The result of a run with orders in the fold."""

    instrument: Instrument
    events: Rows  # as replay/fold_orders/events.py describes them
    decisions: int  # of the strategy, with or without intents
    fees: tuple[int, ...]  # of each fill, in units of 1e-8; a buy of spot pays in base
    position: Decimal  # at the end
    asset: str  # the settlement asset of a contract, the quote asset of spot
    cash: Decimal  # change of it: of a contract the realised P&L less fees
    pnl: Decimal  # cash, and the position's P&L at the last mid price

    def count(self, kind: int) -> int:
        """Return the number of events of a kind."""
        return int(np.count_nonzero(self.events[:, at.X_KIND] == kind))


def run_folded(source: Journal, options: ResimOptions) -> FoldedRun:
    """Run a session's strategy with its orders in the fold.

    Args:
        source: The session or capture.
        options: As of a resimulation.

    Raises:
        CannotFoldError: The run needs the ordinary way.
        CannotResimulateError: The session cannot be resimulated at all.
    """
    with rare_collections():
        return prepare_run(source, options).run()


def prepare_run(source: Journal, options: ResimOptions) -> "PreparedRun":
    """Open a session the ordinary way, up to the time at which it is ready to trade. See `run_folded`."""
    intents: list[IntentBody] = []  # also of orders that risk refused

    def note_intents(_inputs: Sequence[Record], outputs: Sequence[Output]) -> None:
        intents.extend(output.body for output in outputs if isinstance(output.body, IntentBody))

    opened, session, is_ready = open_run(source, options, _is_ready, note_intents)
    loaded = refuse_unfoldable(session, options)
    if not is_ready or intents or opened.gateway.state.account.positions.by_key:
        raise CannotFoldError("orders in the fold: the session was not ready to trade before its first order.")
    return PreparedRun(opened, session, loaded, options)


def _is_ready(run: ModelRun) -> bool:
    """Return True if the session may trade and nothing is on its way."""
    account, sim = run.gateway.state.account, run.venue.sim
    return (
        account.modes.mode is Mode.RUNNING
        and run.gateway.state.quiescent
        and not account.requests.by_seq
        and run.gateway.coming_ns == market_at.NEVER
        and sim.next_sent_ns is None
        and not sim.is_waited_for
    )


def _machine_code(loaded: LoadedStrategy) -> Callback:
    assert loaded.decision is not None, "another strategy is called as Python"
    try:
        return loaded.decision.compiled()
    except CannotCompileError as error:
        raise CannotFoldError(f"orders in the fold: `decide_fold` cannot be compiled: {error}.") from None


class Tables(NamedTuple):
    """The tables of the loop behind the arrays of the market and of the venue's books, as `run_loop` takes them."""

    orders: Rows
    fronts: Floats
    rest: Rows
    own: Rows
    requests: Rows
    answers: Rows

    @classmethod
    def empty(cls) -> Self:
        """Return tables without an order or a message."""
        return cls(
            orders=np.zeros((at.ORDERS_MAX + 1, venue_arrays.O_FIELDS), np.int64),
            fronts=np.zeros(at.ORDERS_MAX + 1, np.float64),
            rest=np.zeros((at.ORDERS_MAX + 1, at.B_FIELDS), np.int64),
            own=np.zeros((at.ORDERS_MAX, at.A_FIELDS), np.int64),
            requests=np.zeros((at.MESSAGES_MAX, at.M_FIELDS), np.int64),
            answers=np.zeros((at.MESSAGES_MAX, at.M_FIELDS), np.int64),
        )


def warm_loop() -> None:
    """Compile the loop. It does nothing here, because there is no room for events."""
    instrument = Instrument("w", "w", "W", "w", "w", 0, 0, Decimal(1), Decimal(1))
    market, books = Market.empty([instrument], [], [], []), VenueBooks(1)
    rows: Rows = np.zeros((0, r.COLUMNS), np.int64)
    events: Rows = np.zeros((0, at.X_FIELDS), np.int64)
    w: Rows = np.zeros(at.W_FIELDS, np.int64)
    floats: Floats = np.zeros((1, PARAMETERS_AT), np.float64)
    run_loop(
        w, rows, *market.arrays, rows, books.v, books.levels, books.prints, books.minutes, books.known,
        *Tables.empty(), events, floats,
    )  # fmt: skip


class PreparedRun:
    """A run with orders in the fold before its first row: its arrays and blocks of rows. It runs once."""

    def __init__(
        self, opened: ModelRun, session: SessionContext, loaded: LoadedStrategy, options: ResimOptions
    ) -> None:
        self._opened, self._options = opened, options
        self._state: State = opened.gateway.state
        self._market = self._state.market
        self._books = opened.venue.sim.exchange.books
        [self._instrument] = session.instruments.values()
        self._slippage = session.limits_of[self._instrument.id].market_slippage_max
        exchange = opened.venue.sim.exchange
        market = exchange.markets[self._instrument.symbol]
        self._money = FoldMoney(self._instrument, market, exchange.accounts[ACCOUNT_KEY])
        refresh(session.runner, self._state)  # a predicate is enabled
        self._engine_blocks = self._engine_rows()
        self._venue_blocks = self._venue_rows()
        self._tables = Tables.empty()
        self._events: Rows = np.zeros((FIRST_EVENTS, at.X_FIELDS), np.int64)
        self._lag_ns_max = session.settings.venue_lag_max_ns
        self._clock_offset_ns = self._state.account.limits.get(self._instrument.venue).clock_offset_ns
        self._floats = strategy_arguments(loaded, self._instrument)
        self._python = (
            PythonDecider(session, loaded, self._state, self._floats, self._money.fee_of)
            if loaded.decision is None
            else None
        )
        self._code = _machine_code(loaded) if self._python is None else self._python.code  # kept: the loop calls it
        self._w = run_numbers(session, loaded, self._code, options.model, opened)

    # ---- the run

    def load_rows(self) -> None:
        """Decompress all rows before the run, instead of block by block."""
        self._engine_blocks, self._venue_blocks = iter(list(self._engine_blocks)), iter(list(self._venue_blocks))

    def run(self) -> FoldedRun:
        """Run to the end of the session. Raises CannotFoldError."""
        with localcontext(MONEY):  # of decisions in Python
            return self._run()

    def _run(self) -> FoldedRun:
        w, books = self._w, self._books
        engine_rows, venue_rows = (
            self._next_block(self._engine_blocks, at.W_ENGINE_ROW, at.W_ENGINE_LAST),
            (self._next_block(self._venue_blocks, at.W_VENUE_ROW, at.W_VENUE_LAST)),
        )
        while True:
            if self._python is not None:
                self._python.follow(w, self._events)
            why = run_loop(
                w, engine_rows, *self._market.arrays, venue_rows, books.v, books.levels, books.prints,
                books.minutes, books.known, *self._tables, self._events, self._floats,
            )  # fmt: skip
            if self._python is not None:
                self._python.check(int(w[at.W_DECISIONS]))
            if why == at.ENDED:
                return self._result()
            if why == at.NEEDS_ENGINE_ROWS:
                engine_rows = self._next_block(self._engine_blocks, at.W_ENGINE_ROW, at.W_ENGINE_LAST)
            elif why == at.NEEDS_VENUE_ROWS:
                venue_rows = self._next_block(self._venue_blocks, at.W_VENUE_ROW, at.W_VENUE_LAST)
            elif why == at.GROW_MARKET:
                self._market.grow(engine_rows[w[at.W_ENGINE_ROW]])
            elif why == at.GROW_BOOKS:
                row = venue_rows[w[at.W_VENUE_ROW]]
                books.grow(0, 2 if row[r.TYPE] == r.QUOTE else int(row[r.DIFF_LEVELS]))
            elif why == at.GROW_EVENTS:
                self._events = np.concatenate([self._events, np.zeros_like(self._events)])
            else:
                raise needs_ordinary_way(f"at {int(w[at.W_NOW])} {STOPS[why]}")

    def _worst_ask(self) -> int:
        """Return the highest price at which risk estimated what a market order costs, as a multiple of its unit."""
        return int(int(self._w[at.W_TOUCH_MAX]) * (1 + self._slippage)) + 1

    def _next_block(self, blocks: Iterator[Rows], row: int, last: int) -> Rows:
        """Return the next block of rows, and begin at its first."""
        self._w[row] = 0
        block = next(blocks, None)
        self._w[last] = block is None
        return np.zeros((0, r.COLUMNS), np.int64) if block is None else block

    def _engine_rows(self) -> Iterator[Rows]:
        for item in self._opened.cursor.remaining():
            if not isinstance(item, RowSpan):
                raise needs_ordinary_way(f"record {item.record.seq} ({item.record.kind}) comes from outside the market")
            self._refuse_lag(item)
            yield np.ascontiguousarray(item.rows)

    def _refuse_lag(self, span: RowSpan) -> None:
        """Refuse rows so long after the venue's stamps that a check may block the instrument."""
        allowed_ns = self._lag_ns_max - LAG_MARGIN_NS - self._clock_offset_ns
        if not self._lag_ns_max or span.delay_ns_max <= allowed_ns:
            return
        rows, stamps_ns = span.rows, span.rows[:, r.VENUE_NS]
        took_ns = (rows[:, r.TIME_NS] - stamps_ns)[(stamps_ns > 0) & (rows[:, r.TYPE] != r.BAR)]
        if len(took_ns) and int(took_ns.max()) > allowed_ns:
            raise needs_ordinary_way(
                "market data lags behind the venue's stamps so much that it may block the instrument"
            )

    def _venue_rows(self) -> Iterator[Rows]:
        sim = self._opened.venue.sim
        assert sim.recorded is not None, "its market is recorded"
        for piece in sim.recorded.remaining(sim.exchange):
            if not isinstance(piece, np.ndarray):
                raise needs_ordinary_way("the market has a further depth snapshot")
            yield np.ascontiguousarray(piece)

    # ---- the result

    def _result(self) -> FoldedRun:
        events = self._events[: self._w[at.W_EVENTS]].copy()
        fees = self._money.settle(events, self._worst_ask())
        held = Decimal(int(self._w[at.W_POSITION])).scaleb(-PLACES)
        quote, cash = self._market.quote(0), self._money.cash()
        mid = Decimal(0) if quote is None else (quote.bid + quote.ask) / 2
        return FoldedRun(
            instrument=self._instrument,
            events=events,
            decisions=int(self._w[at.W_DECISIONS]),
            fees=tuple(fees),
            position=held,
            asset=self._money.asset,
            cash=cash,
            pnl=cash + held * mid - self._money.cost(),
        )
