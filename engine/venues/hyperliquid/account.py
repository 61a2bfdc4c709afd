"""The frames of an account's private link, read into events. Total: no bytes raise, and a codec has no memory.

State comes from `orderUpdates` and `userFills`; `userEvents` would bring each fill again. Snapshots of a channel list
the past: the round of reconciliation that follows each connection reads that with a cursor (4).
"""

import msgspec

from engine.events import Answer, Event, FillsReport, Outcome
from engine.venues.hyperliquid.calls import AccountCalls
from engine.venues.hyperliquid.market import GREETING, PerpFrame, link_events
from engine.venues.hyperliquid.shapes import PerpFill, PerpUpdate, StreamedFunding, in_time
from engine.venues.hyperliquid.values import FAILURES, Text, unrecognised


class _StreamedFills(msgspec.Struct, frozen=True, rename="camel"):
    fills: tuple[PerpFill, ...]
    user: Text = ""
    is_snapshot: bool = False  # later messages say false, or nothing


class _Fundings(msgspec.Struct, frozen=True, rename="camel"):
    fundings: tuple[StreamedFunding, ...]
    is_snapshot: bool = False


class _PostedType(msgspec.Struct, frozen=True):
    type: str


class _Posted(msgspec.Struct, frozen=True):
    id: int
    response: _PostedType


_read_frame = msgspec.json.Decoder(PerpFrame).decode
_read_updates = msgspec.json.Decoder(tuple[PerpUpdate, ...]).decode


class PerpAccount(AccountCalls):
    """An engine.venues.venue.AccountCodec: calls.py makes the requests, this file reads the frames."""

    def decode_private(self, payload: bytes) -> tuple[Event, ...]:
        """Return the events of one frame."""
        try:
            if payload == GREETING:
                return ()
            frame = _read_frame(payload)
            match frame.channel:
                case "orderUpdates":
                    return tuple(update.report(self.venue) for update in _read_updates(frame.data))
                case "userFills":
                    return self._fills(msgspec.json.decode(frame.data, type=_StreamedFills))
                case "userFundings":
                    told = msgspec.json.decode(frame.data, type=_Fundings)
                    return () if told.is_snapshot else tuple(each.funding(self.venue) for each in told.fundings)
                case "post":
                    posted = msgspec.json.decode(frame.data, type=_Posted)
                    done = posted.response.type == "info"
                    return (Answer(Outcome.DONE if done else Outcome.UNKNOWN, code="" if done else "post"),)
                case _:
                    return link_events(frame)
        except FAILURES as error:
            return (unrecognised("private frame", error),)

    def _fills(self, told: _StreamedFills) -> tuple[Event, ...]:
        if told.is_snapshot:
            return ()
        by_instrument: dict[str, list[PerpFill]] = {}
        forced = []
        for row in in_time(told.fills):
            if row.is_forced(told.user):
                forced.append(row.forced_report(self.venue))
            else:
                by_instrument.setdefault(f"{self.venue}:{row.coin}", []).append(row)
        own = tuple(
            FillsReport(name, tuple(row.fill(self.venue) for row in rows), whole=True)
            for name, rows in by_instrument.items()
        )
        return (*own, *forced)

    def answered_request(self, payload: bytes) -> str | None:
        """Return the id of the posted query that a frame answers. Subscriptions are acknowledged without an id."""
        try:
            frame = _read_frame(payload)
            return str(msgspec.json.decode(frame.data, type=_Posted).id) if frame.channel == "post" else None
        except FAILURES:
            return None
