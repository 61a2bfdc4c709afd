"""The account of a paper session: the simulated venue of a backtest, beside a session that receives a real market.

    market records ──► session ──► requests about the account ──► broker ──► answers and events, as inputs

Nothing here reaches a network. The broker's answers are recorded like those of any venue, so a replay needs no model.

A real venue has a message before we receive it, and a backtest models that. Here the market comes first, so the venue's
clock runs behind the session's by the time that an answer takes: all that it sends is then due in the session at once,
and all that it can know has arrived, since a market message takes no longer than an answer (`check_paper_model`). The
venue's events depend on the times of the records alone.

A restarted session begins with the balances and the open orders of its journal, each order at the end of its queue. A
request that no record answers was never placed. Trades between the sessions fill nothing: the next book that crosses an
order does.
"""

from collections.abc import Mapping
from functools import partial
from typing import Protocol

import msgspec

from engine.bodies import RequestBody
from engine.market import rows as r
from engine.market.layout import NEVER
from engine.market.rows import Rows
from engine.paper_settings import PaperSettings
from engine.requests import FEED_PURPOSES, LinkRole, Purpose
from engine.sequencer import Arrival
from engine.session_record import SessionBody
from engine.sim.feeds.followed_market import FollowedMarket
from engine.sim.feeds.recorded_feed import DepthAnswer
from engine.sim.feeds.sim_market import Line
from engine.sim.modelled_venue import ACCOUNT_KEY, ModelledVenue, adopt_state, build_venue, symbol_rules
from engine.sim.simulated_wires import SimulatedWires, Wires
from engine.sim.units import units
from engine.sim.venue_model import UnknownSettingError, VenueModel
from engine.state.session_state import State
from engine.venues.signing import Credentials
from engine.venues.venue import Venue
from journal.record import Record


class PaperReceiver(Protocol):
    """The session, as the broker needs it."""

    def accept(self, arrival: Arrival) -> None:
        """Queue an answer, or the news that the account's link is up."""

    def frame(self, source: str, payload: bytes) -> None:
        """Queue a frame of the account's link."""

    def link_down(self, source: str, reason: str) -> None:
        """Queue the news that the account's link is down."""


def check_paper_model(model: VenueModel) -> None:
    """Refuse a model that only a whole recording can have.

    Raises:
        UnknownSettingError: A setting of it cannot be had while the market is still coming.
    """
    if model.feed_ns > model.answer_ns:
        raise UnknownSettingError(
            f"feed_ms={model.feed_ns / 1e6:g} is more than answer_ms={model.answer_ns / 1e6:g}: a paper session cannot "
            "receive a fill before the market message that causes it"
        )
    if model.clock == "venue":
        raise UnknownSettingError("clock=venue is for recordings: it needs the fastest message of the whole session")
    if model.latency == "measured":
        raise UnknownSettingError("latency=measured is for recordings of sessions with orders; use lognormal")


def paper_model(settings: PaperSettings) -> VenueModel:
    """Return the model that a SESSION record states."""
    return msgspec.convert(settings.model, VenueModel)


class PaperBroker(SimulatedWires):
    """The account's side of a paper session. The session's time is given to `perform` and `advance`."""

    def __init__(self, body: SessionBody, state: State, dialect: Venue, receiver: PaperReceiver) -> None:
        """Open the account.

        Args:
            body: The session, whose `paper` states the model.
            state: Its state as it begins: the account continues from it.
            dialect: The protocol of the account.
            receiver: Gets the answers.
        """
        assert body.paper is not None, "a paper session states its account"
        model = paper_model(body.paper)
        self._model = model
        self._market = FollowedMarket(symbol_rules(body), ahead_ns=model.feed_ns)
        sim = build_venue(self._market, body, model)
        adopt_state(sim, state, opening_totals(state, body.paper.balances))
        wires = Wires(model.request_ns, model.answer_ns, scatter_ppm=model.scatter_ppm, lag_ns=model.answer_ns)
        super().__init__(
            ModelledVenue(sim, state.time_ns - wires.lag_ns),
            dialect,
            dialect.signer.load_key(Credentials(ACCOUNT_KEY, ACCOUNT_KEY)),  # no credential: the venue is in here
            wires,
            is_read_only=body.read_only,
        )
        self._receiver = receiver

    # ---- the session

    def perform(self, record: Record, request: RequestBody) -> None:
        """Send a request about the account."""
        arrives_ns = record.time_ns + self._way_ns(self.wires.request_ns)
        if request.purpose in (Purpose.CONNECT, Purpose.DISCONNECT):  # a socket opens and closes without an answer
            arrives_ns -= self.wires.lag_ns
        self._enter_at(max(arrives_ns, self.venue.now_ns), partial(self._send, record, request))

    def follow(self, rows: Rows) -> None:
        """Follow market records that the session has applied."""
        if self._model.quotes == "ignored":
            rows = rows[rows[:, r.TYPE] != r.QUOTE]
        self._market.push(rows)

    def follow_depth(self, record: Record, instrument: str) -> None:
        """Follow the answer to a request for a book."""
        payload = record.payload or b""
        found = self._dialect.market.decode_snapshot(payload, instrument, record.seq, record.time_ns)
        if not isinstance(found, tuple):
            sent_ns = record.time_ns - self._model.answer_ns - self._model.venue_ns
            self._market.push(DepthAnswer(Line(sent_ns, "", instrument.partition(":")[2], payload), found))

    # ---- time

    @property
    def due_ns(self) -> int:
        """The session time at which `advance` must be called next."""
        due_ns = self._due_ns(NEVER - self.wires.lag_ns)
        return due_ns + self.wires.lag_ns if due_ns < NEVER - self.wires.lag_ns else NEVER

    def advance(self, now_ns: int) -> None:
        """Move the venue to the session's time, event by event, and give the session what is due."""
        target_ns = max(now_ns - self.wires.lag_ns, self.venue.now_ns)
        while (due_ns := self._due_ns(target_ns)) < target_ns:
            self._move(due_ns)
        self._move(target_ns)

    def _due_ns(self, before_ns: int) -> int:
        """Return the venue's time of the next event before `before_ns`; else that time."""
        sim = self.venue.sim
        sent_ns = before_ns if sim.next_sent_ns is None else sim.next_sent_ns
        touch_ns = sim.touch_ns(before_ns)
        return min(before_ns, self.coming_ns, sent_ns, before_ns if touch_ns is None else touch_ns)

    def _move(self, time_ns: int) -> None:
        self.venue.now_ns = max(self.venue.now_ns, time_ns)
        self.pass_market()
        self._come(self.venue.now_ns)

    # ---- what arrives

    def accept(self, arrival: Arrival) -> None:
        """Give the session an answer."""
        self._receiver.accept(arrival)

    def _frame_arrived(self, source: str, frame: bytes) -> None:
        self._receiver.frame(source, frame)

    def _link_ended(self, source: str, reason: str) -> None:
        self._receiver.link_down(source, reason)

    def _stamp_ns(self, request: RequestBody) -> int:
        del request  # its clock offset is that of the market's venue
        return self.venue.now_ns


def opening_totals(state: State, given: Mapping[str, str]) -> dict[str, int]:
    """Return the balances in units: by our records of the session before, else those that are given."""
    ledger = state.account.ledger.by_asset
    if ledger:
        return {asset: units(f"{ours.expected:f}") for asset, ours in ledger.items()}
    return {asset: units(amount) for asset, amount in given.items()}


def concerns_account(request: RequestBody, private: frozenset[str]) -> bool:
    """Return True if the account answers a request, and not the market's venue. `private` are the account's links."""
    if request.link is not None:
        return request.link.role is LinkRole.PRIVATE
    return request.source in private if request.source else request.purpose not in FEED_PURPOSES
