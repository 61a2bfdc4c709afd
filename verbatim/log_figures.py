"""Figures of a running session for its log: streams, orders, ledger. Nothing is decided on them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import quantiles
from typing import Any

from engine import facts
from engine.bodies import RequestBody, VerdictBody
from engine.handlers.freshness import venue_lag_ns
from engine.lifecycle import Report, Status
from engine.live.session_status import stream_ages
from engine.market.layout import M_COUNT
from engine.market.views import Stream
from engine.money import ZERO
from engine.requests import Purpose
from engine.session_context import SessionContext
from engine.session_record import SECOND_NS
from engine.state.ledger import difference
from engine.state.session_state import State
from engine.step_context import Output
from journal.record import plain

HOUR_NS = 3600 * SECOND_NS
MILLISECOND_NS = 1_000_000
COUNTED = ("orders", "accepted", "rejected", "not_placed", "refused", "fills", "reconnects")
Figures = Mapping[str, Any]


class TradingFigures:
    """Counts of orders, fills, refusals and connections since the session's start."""

    def __init__(self, session: SessionContext, latencies_ns: Sequence[int]) -> None:
        """Begin to count. `latencies_ns` holds the newest times from a decision to the sending of its order."""
        self._session = session
        self._latencies_ns = latencies_ns
        self._counts: Counter[str] = Counter()
        self._links: set[str] = set()  # that were connected

    def add(self, output: Output) -> None:
        """Count an output."""
        match output.body:
            case RequestBody() as request if request.placed:
                self._counts["orders"] += len(request.placed)
            case RequestBody() as request if request.purpose is Purpose.CONNECT:
                self._counts["reconnects"] += request.source in self._links
                self._links.add(request.source)
            case VerdictBody() as verdict if not verdict.approved:
                self._counts["refused"] += 1
            case facts.OrderNotPlaced():
                self._counts["not_placed"] += 1
            case facts.OrderClosed() as closed if closed.status is Report.REJECTED:
                self._counts["rejected"] += 1
            case facts.OrderFilled():
                self._counts["fills"] += 1
            case _:
                pass

    def measure(self, state: State) -> Figures:
        """Return the figures as of the state's last record."""
        counts = self._counts
        hours = (state.time_ns - self._session.body.started_ns) / HOUR_NS
        waiting = sum(
            order.status in (Status.PENDING, Status.UNKNOWN) and not order.adopted
            for order in state.account.orders.live.values()
        )
        counts["accepted"] = max(counts["orders"] - counts["rejected"] - counts["not_placed"] - waiting, 0)
        answered = counts["accepted"] + counts["rejected"] + counts["not_placed"]
        figures: dict[str, Any] = {
            name: counts[name]
            for name in ("orders", "accepted", "rejected", "not_placed", "refused", "fills", "reconnects")
        }
        figures["success_rate"] = counts["accepted"] / answered if answered else None
        figures["rejection_rate"] = counts["rejected"] / answered if answered else None
        figures["fills_per_hour"] = counts["fills"] / hours if hours > 0 else 0.0
        if len(self._latencies_ns) > 1:
            percentiles = quantiles(self._latencies_ns, n=100, method="inclusive")
            figures["send_p50_ms"] = percentiles[49] / MILLISECOND_NS
            figures["send_p99_ms"] = percentiles[98] / MILLISECOND_NS
        figures["drift"] = drift_text(state)
        return figures


def drift_text(state: State) -> str:
    """Return by how much the venue's newest balances differ from our records, by asset; "" if they agree."""
    drifts = (
        (asset, difference(ours, ours.report, tolerance=ZERO))
        for asset, ours in sorted(state.account.ledger.by_asset.items())
        if ours.report is not None
    )
    return ", ".join(f"{plain(drift)} {asset}" for asset, drift in drifts if drift)


class FeedFigures:
    """Rate, age, lag and gaps of each stream since the last measurement."""

    def __init__(self, session: SessionContext) -> None:
        self._session = session
        self._counts: dict[tuple[int, Stream], int] = {}
        self._gaps: Counter[tuple[str, str]] = Counter()  # (link, stream of an instrument or "")
        self._measured_ns = 0

    def begin(self, state: State) -> None:
        """Note the counts that an earlier session carried over."""
        self._counts = {
            (index, stream): _messages(state, index, stream)
            for index in self._session.indexes.values()
            for stream in Stream
        }

    def note_gap(self, gap: facts.MarketGap) -> None:
        """Count a gap that began."""
        self._gaps[gap.link, f"{gap.stream} of {gap.instrument}" if gap.stream else ""] += 1

    def measure(self, state: State) -> list[Figures]:
        """Return the figures of each stream as of the state's last record."""
        session, market = self._session, state.market
        seconds = (state.time_ns - (self._measured_ns or session.body.started_ns)) / SECOND_NS
        self._measured_ns = state.time_ns
        lags: dict[int, dict[Stream, int]] = {}
        found: list[Figures] = []
        for age in stream_ages(session, state, state.time_ns):
            figures: dict[str, Any] = {"about": age.about, "stream": age.stream, "is_stale": age.is_stale}
            figures["age_s"] = age.age_ns / SECOND_NS
            index = session.indexes.get(age.about)
            if index is not None:
                stream = Stream[age.stream.upper()]
                count = _messages(state, index, stream)
                before = self._counts.get((index, stream), 0)
                self._counts[index, stream] = count
                figures["rate"] = (count - before) / seconds if seconds > 0 else 0.0
                if index not in lags:
                    lags[index] = venue_lag_ns(session, state, index)
                if stream in lags[index]:
                    figures["lag_s"] = lags[index][stream] / SECOND_NS
                figures["gaps"] = self._gaps_of(index, stream, market.instruments[index].id)
            found.append(figures)
        self._gaps.clear()
        return found

    def _gaps_of(self, index: int, stream: Stream, name: str) -> int:
        link = self._session.link_of(index, stream)
        own = {Stream.TRADE: "trade", Stream.BOOK: "depth"}.get(stream)
        return self._gaps[link, ""] + (self._gaps[link, f"{own} of {name}"] if own else 0)


def _messages(state: State, index: int, stream: Stream) -> int:
    """Return how many messages of a stream were folded, those included that changed nothing."""
    counters = state.market.counters(index)
    match stream:
        case Stream.QUOTE:
            return counters.quotes + counters.quotes_stale
        case Stream.TRADE:
            return counters.trades + counters.trades_repeated
        case Stream.BOOK:
            return counters.diffs_applied + counters.diffs_dropped
        case Stream.MARK:
            return int(state.market.t[index, M_COUNT])
