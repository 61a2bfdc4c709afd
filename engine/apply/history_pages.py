"""Apply an answer to a request for bars from before the session: fold its candles into the market."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from engine.apply.batch import NONE_FIRED, Fired
from engine.bodies import RequestBody
from engine.events import Answer, Event, Outcome, Unrecognised
from engine.market import layout
from engine.market.history import add_bars, bars_of, decode_candles, drop_history
from engine.market.rows import Rows
from engine.market.views import BarSpec
from engine.session_context import SessionContext
from engine.state.history_loads import key_of
from engine.state.pending_requests import PendingRequest
from engine.state.session_state import State
from engine.venues.optional_parts import HasHistory
from journal.record import Record

FAILURES: Final = (ValueError, LookupError, TypeError, ArithmeticError, RecursionError, msgspec.MsgspecError)
SOURCE: Final = "history"  # of an answer's meta: the session or file that answered in the venue's place
TEXT_MAX: Final = 200


def apply_history(
    session: SessionContext, state: State, pending: PendingRequest, meta: Mapping[str, Any], record: Record
) -> tuple[tuple[Event, ...], Mapping[str, Fired]]:
    """Fold the bars of an answer. Total: what cannot be read becomes an event.

    Returns:
        The events of the answer, and the strategies that waited for bars which had closed before it came.

    """
    request, payload, venue = pending.request, record.payload or b"", session.venue_of(record.source)
    assert request.history is not None, "a request for bars says which"
    events: tuple[Event, ...] = (Answer(Outcome.DONE),)
    try:
        if SOURCE in meta:
            candles = decode_candles(payload)
        else:
            assert request.unsigned is not None, "a request to a venue is a message"
            headers = meta.get("headers", {})
            events = venue.decode_answer(request.unsigned, request.instrument, int(meta["status"]), headers, payload)
            if events != () and isinstance(events[0], Answer) and events[0].outcome is not Outcome.DONE:
                return events, NONE_FIRED
            assert isinstance(venue, HasHistory), f"{venue.name} has no history"
            candles = venue.history.read(payload)
        instrument, page = session.instruments[request.instrument], request.history
        bars = bars_of(
            candles,
            instrument,
            base_ns=page.base_ns,
            interval_ns=page.interval_ns,
            start_ns=page.start_ns,
            end_ns=page.end_ns,
        )
    except FAILURES as error:
        return (*events, Unrecognised("candles", f"{type(error).__name__}: {error}"[:TEXT_MAX])), NONE_FIRED
    return events, _fold(session, state, request, bars, record.time_ns)


def _fold(session: SessionContext, state: State, request: RequestBody, bars: Rows, time_ns: int) -> Mapping[str, Fired]:
    page, market = request.history, state.market
    assert page is not None, "a request for bars says which"
    spec = BarSpec(request.instrument, page.interval_ns)
    if spec not in market.bar_specs:
        return NONE_FIRED
    k = market.bar_specs.index(spec)
    if not add_bars(market, k, bars, start_ns=page.start_ns, end_ns=page.end_ns, is_last=page.is_last):
        return NONE_FIRED
    triggers = int(market.bar_state[k, layout.BAR_TRIGGERS])
    fired = session.fired(market.evaluated(triggers, time_ns)) if triggers else NONE_FIRED
    return {name: kinds for name, kinds in fired.items() if session.strategies[name].warm_up is not None}


def drop_ended(state: State) -> None:
    """Forget the pages of histories that are over. This belongs to applying the TIMER, so rebuilding does the same."""
    market, loads = state.market, state.account.history
    for k in list(market.history):
        spec = market.bar_specs[k]
        load = loads.by_bars.get(key_of(spec.instrument_id, spec.interval_ns))
        if load is not None and load.end is not None:
            drop_history(market, k)
