"""Alpaca's market streams as rows. Every frame is a list of messages, each with its kind under "T".

A quote without a side has the price 0 there. Crypto books bring a reset and then changes without numbers, so a lost
message shows in nothing: the numbers of their rows are those of our records. A stock trade does not say who took.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec
import numpy as np

from engine.events import Answer, Event, Outcome, Subscribed, Unrecognised
from engine.market import rows as r
from engine.market.rows import Rows
from engine.model import Instrument
from engine.venues.alpaca.values import FAILURES, TEXT_MAX, unrecognised
from engine.venues.decoding import decode_each
from engine.venues.row_builders import Level, RowOrigin, book_rows, quote_rows, trade_rows
from engine.venues.timestamps import nanoseconds

TRADE: Final = "t"
QUOTE: Final = "q"
BOOK: Final = "o"
# kinds that carry nothing we keep, with the reason
IGNORED: Final = {
    "b": "a bar: bars are made of trades",
    "u": "a bar that was corrected",
    "d": "a bar of a day",
    "c": "a trade that was corrected: it comes with trades, and bars keep what was first said",
    "x": "a trade that was taken back",
    "s": "a halt: the venue refuses orders by itself",
    "l": "bounds of the price",
    "i": "an imbalance of an auction",
    "n": "news",
}
UNNUMBERED: Final = -1  # each exchange numbers its own trades, and the ids of a symbol do not rise
CONNECTED: Final = "connected"
OUTCOMES: Final = {
    401: Outcome.AUTH,
    402: Outcome.AUTH,
    403: Outcome.DONE,  # logged in already
    404: Outcome.RETRY_LATER,
    406: Outcome.RETRY_LATER,  # the connection before still holds the only place
    407: Outcome.RETRY_LATER,
    409: Outcome.AUTH,  # the subscription does not include this feed
    500: Outcome.UNKNOWN,
}
MESSAGES_MAX: Final = 4_096  # in a frame: the number of a book's change within its record


class _Level(msgspec.Struct, gc=False):
    p: Decimal
    s: Decimal


class _FeedMessage(msgspec.Struct, gc=False):
    T: str
    S: str = ""
    t: str = ""
    p: Decimal = Decimal(0)
    s: Decimal = Decimal(0)
    tks: str = ""
    bp: Decimal = Decimal(0)
    bs: Decimal = Decimal(0)
    ap: Decimal = Decimal(0)
    as_: Decimal = msgspec.field(name="as", default=Decimal(0))
    b: list[_Level] | str = []
    a: list[_Level] | str = []  # of a trade that was taken back: a word
    r: bool = False
    msg: str = ""
    code: int = 0


_read = msgspec.json.Decoder(list[_FeedMessage]).decode


class AlpacaMarket:
    """An engine.venues.venue.MarketCodec."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._by_symbol = {of.symbol: (index, of) for index, of in enumerate(instruments)}

    def warm(self) -> None:
        """Nothing here is compiled."""

    def decode(self, payload: bytes, source: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        """Return the rows of a frame, or the events of a frame without market data."""
        try:
            messages = _read(payload)
            if len(messages) > MESSAGES_MAX:
                raise ValueError(f"{len(messages)} messages in one frame")
            found = [
                self._rows(message, seq, time_ns, seq * MESSAGES_MAX + place)
                for place, message in enumerate(messages)
                if message.T in (TRADE, QUOTE, BOOK)
            ]
            if not found:
                return tuple(event for message in messages for event in _events(message, source))
        except FAILURES as error:
            return (unrecognised(source, error),)
        rows = np.concatenate(found) if len(found) > 1 else found[0]
        rows[:-1, r.LAST] = 0  # all of a frame are one record
        return rows

    def decode_many(self, payloads: Sequence[bytes], seqs: Rows, times_ns: Rows) -> tuple[Rows, list[int]] | None:
        """Return the rows of the leading market frames."""
        return decode_each(self.decode, payloads, seqs, times_ns)

    def decode_snapshot(self, payload: bytes, instrument_id: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        """Return Unrecognised: books come over their stream."""
        return (Unrecognised(instrument_id, "a book comes over its stream"),)

    def is_snapshot(self, payload: bytes) -> bool:
        """Return False: no answer holds a book."""
        return False

    def _rows(self, message: _FeedMessage, seq: int, time_ns: int, number: int) -> Rows:
        index, of = self._by_symbol[message.S]
        at = RowOrigin(index, of, seq, time_ns, nanoseconds(message.t))
        if message.T == TRADE:
            is_sell = message.tks == "S"
            return trade_rows(at, f"{message.p:f}", f"{message.s:f}", UNNUMBERED, buyer_is_maker=is_sell)
        if message.T == QUOTE:
            values = (f"{value:f}" for value in (message.bp, message.bs, message.ap, message.as_))
            return quote_rows(at, *values, update_id=0)
        kind = r.SNAPSHOT if message.r else r.DIFF
        ids = (number, 0, 0) if message.r else (0, number, 0)
        return book_rows(kind, at, ids, _levels(message.b), _levels(message.a))


def _levels(levels: list[_Level] | str) -> list[Level]:
    if isinstance(levels, str):
        raise TypeError("a book without levels")
    return [(f"{level.p:f}", f"{level.s:f}") for level in levels]


def _events(message: _FeedMessage, source: str) -> tuple[Event, ...]:
    """Return the events of a message without market data."""
    match message.T:
        case "success" if message.msg == CONNECTED:
            return ()
        case "success" | "subscription":
            return (Answer(Outcome.DONE), Subscribed(message.msg or message.T))
        case "error":
            outcome = OUTCOMES.get(message.code, Outcome.REFUSED)
            done = (Subscribed(message.msg),) if outcome is Outcome.DONE else ()
            return (Answer(outcome, code=message.code, text=message.msg[:TEXT_MAX]), *done)
        case kind if kind in IGNORED:
            return ()
        case kind:
            return (Unrecognised(source, f"no kind of message: {kind[:40]!r}"),)
