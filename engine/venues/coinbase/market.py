"""Coinbase's market channels as rows: level2, market_trades, ticker.

`sequence_num` counts the frames of a connection over all channels. It is the id of a book's changes, and a frame that
changes no book of its link continues all of them (NUMBERED), so a lost frame of any channel breaks the books.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from engine.events import Answer, Event, Outcome, Subscribed, Unrecognised
from engine.market import rows as r
from engine.market.rows import COLUMNS, Rows
from engine.model import Instrument
from engine.venues.coinbase.frames import Envelope, read_envelope, refused_frame, subscribed
from engine.venues.coinbase.values import FAILURES, TEXT_MAX, Text, book_of
from engine.venues.decoding import decode_each
from engine.venues.row_builders import RowOrigin, book_rows, quote_rows, trade_rows
from engine.venues.timestamps import nanoseconds
from engine.venues.venue import Decoded, RowsAndEvents

PER_LINK = 10  # books: each frame of a link continues all of them
SIDES = {"bid": r.BID, "offer": r.ASK}  # as "ask" was never seen, it is no side
SNAPSHOT = "snapshot"
BOOKS = "l2_data"  # the channel that is subscribed as level2
# channels of no use here. Their frames have numbers too
QUIET = frozenset({"heartbeats", "candles", "status", "ticker_batch"})


class _Change(msgspec.Struct):
    side: str
    price_level: str
    new_quantity: str


class _Book(msgspec.Struct):
    type: str
    product_id: Text
    updates: list[_Change] = []


class _PublicTrade(msgspec.Struct):
    trade_id: str
    product_id: Text
    price: str
    size: str
    side: str
    time: str


class _TradeEvent(msgspec.Struct):
    trades: list[_PublicTrade] = []


class _Tick(msgspec.Struct):
    product_id: Text
    best_bid: str = ""
    best_bid_quantity: str = ""
    best_ask: str = ""
    best_ask_quantity: str = ""


class _Ticks(msgspec.Struct):
    tickers: list[_Tick] = []


_read_books = msgspec.json.Decoder(list[_Book]).decode
_read_trades = msgspec.json.Decoder(list[_TradeEvent]).decode
_read_ticks = msgspec.json.Decoder(list[_Ticks]).decode


class CoinbaseMarket:
    """An engine.venues.venue.MarketCodec. `links` names the instruments of each link; those of one book share one."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._instruments = tuple(instruments)
        self._places: dict[str, list[int]] = {}  # product of the market data -> instruments
        for place, of in enumerate(instruments):
            self._places.setdefault(book_of(of.symbol), []).append(place)
        books = list(self._places.values())
        self.links = [
            sorted(place for book in books[first : first + PER_LINK] for place in book)
            for first in range(0, len(books), PER_LINK)
        ]
        self._link_of = {place: number for number, link in enumerate(self.links) for place in link}

    def warm(self) -> None:
        """Nothing here is compiled."""

    def decode(self, payload: bytes, source: str, seq: int, time_ns: int) -> Decoded:
        """Return the rows of a channel's frame, or the events of another, which is numbered too."""
        try:
            frame = read_envelope(payload)
        except FAILURES as error:
            return (_unrecognised(source, error),)
        if frame.type == "error":
            return refused_frame(frame)
        rows = self._numbers(frame, self._members(source), seq, time_ns)
        try:
            if frame.channel == "subscriptions":
                return self._both(rows, (Answer(Outcome.DONE), Subscribed(subscribed(frame))))
            return self._rows(frame, source, seq, time_ns)
        except FAILURES as error:
            unread = (_unrecognised(source, error),)
            # without a number in the place of a lost change, the next frame breaks the books
            return unread if frame.channel == BOOKS else self._both(rows, unread)

    def decode_many(self, payloads: Sequence[bytes], seqs: Rows, times_ns: Rows) -> tuple[Rows, list[int]] | None:
        """Return the rows of the leading market messages. A heartbeat of one of several links ends them."""
        return decode_each(self.decode, payloads, seqs, times_ns)

    def decode_snapshot(self, payload: bytes, instrument_id: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        """Return Unrecognised: snapshots are streamed."""
        return (Unrecognised(instrument_id, "a snapshot comes over the book's channel"),)

    def is_snapshot(self, payload: bytes) -> bool:
        """Return False: no answer holds a book."""
        return False

    # ---- the link of a frame

    def _members(self, source: str) -> Sequence[int]:
        """Return the instruments of a link; of the only one if the source is not said."""
        if not source and len(self.links) == 1:
            return self.links[0]
        number = source.rpartition(".")[2]
        is_link = number.isascii() and number.isdigit() and len(number) < 9 and int(number) < len(self.links)
        return self.links[int(number)] if is_link else ()

    def _numbers(self, frame: Envelope, members: Sequence[int], seq: int, time_ns: int) -> Rows:
        """Return the rows that continue the books of a link."""
        rows = np.zeros((len(members), COLUMNS), np.int64)
        rows[:, r.TYPE], rows[:, r.INSTRUMENT], rows[:, r.SEQ], rows[:, r.TIME_NS] = r.NUMBERED, members, seq, time_ns
        rows[:, r.NUMBERED_ID] = frame.sequence_num
        rows[-1:, r.LAST] = 1
        return rows

    @staticmethod
    def _both(rows: Rows, events: tuple[Event, ...]) -> RowsAndEvents | tuple[Event, ...]:
        return RowsAndEvents(rows, events) if len(rows) else events

    # ---- channels

    def _rows(self, frame: Envelope, source: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        at = RowOrigin(0, self._instruments[0], seq, time_ns, nanoseconds(frame.timestamp))
        changed: set[int] = set()
        match frame.channel:
            case channel if channel == BOOKS:
                found, changed, seen = self._books(frame, at)
            case "market_trades":
                found, seen = self._trades(frame, at)
            case "ticker":
                found, seen = self._ticks(frame, at)
            case channel if channel in QUIET:
                found, seen = [], set()
            case channel:
                raise ValueError(f"no channel {channel[:40]!r}")
        members = self.links[self._link_of[min(seen)]] if seen else self._members(source)
        numbers = self._numbers(frame, [place for place in members if place not in changed], seq, time_ns)
        rows = np.concatenate([numbers, *found])
        if not len(rows):
            return ()
        rows[:, r.LAST] = 0  # all of a frame are one record
        rows[-1, r.LAST] = 1
        return rows

    def _books(self, frame: Envelope, at: RowOrigin) -> tuple[list[Rows], set[int], set[int]]:
        """Return the rows of the books, the instruments whose ids they continue, and all that are named."""
        levels: dict[str, dict[tuple[int, str], str]] = {}  # product -> (side, price) -> size
        snapshots: set[str] = set()
        for book in _read_books(frame.events):
            if book.type == SNAPSHOT:
                snapshots.add(book.product_id)
                levels[book.product_id] = {}
            sizes = levels.setdefault(book.product_id, {})
            for change in book.updates:
                key = SIDES[change.side], change.price_level
                sizes.pop(key, None)  # the last word on a price comes last
                sizes[key] = change.new_quantity
        found: list[Rows] = []
        changed: set[int] = set()
        seen: set[int] = set()
        number = frame.sequence_num
        for product, sizes in levels.items():
            sides = [[(price, size) for (side, price), size in sizes.items() if side == own] for own in (r.BID, r.ASK)]
            for place in self._places[product]:
                own = at._replace(i=place, of=self._instruments[place])
                seen.add(place)
                if product in snapshots:
                    found.append(book_rows(r.SNAPSHOT, own, (number, 0, 0), *sides))
                else:
                    changed.add(place)
                    found.append(book_rows(r.DIFF, own, (number, number, 0), *sides))
        return found, changed, seen

    def _trades(self, frame: Envelope, at: RowOrigin) -> tuple[list[Rows], set[int]]:
        """Return the rows of the trades, which come newest first. The side is the maker's (docs/venue-coinbase.md)."""
        trades = [trade for event in _read_trades(frame.events) for trade in event.trades]
        found: list[Rows] = []
        seen: set[int] = set()
        for trade in sorted(trades, key=lambda trade: int(trade.trade_id)):
            for place in self._places[trade.product_id]:
                own = at._replace(i=place, of=self._instruments[place], venue_ns=nanoseconds(trade.time))
                seen.add(place)
                is_buy = {"BUY": True, "SELL": False}[trade.side]
                found.append(trade_rows(own, trade.price, trade.size, _trade_id(trade), buyer_is_maker=is_buy))
        return found, seen

    def _ticks(self, frame: Envelope, at: RowOrigin) -> tuple[list[Rows], set[int]]:
        """Return the rows of best bids and asks. They come with trades alone, so a book's own best levels win."""
        found: list[Rows] = []
        seen: set[int] = set()
        for tick in (tick for event in _read_ticks(frame.events) for tick in event.tickers):
            values = tick.best_bid, tick.best_bid_quantity, tick.best_ask, tick.best_ask_quantity
            for place in self._places[tick.product_id]:
                of = self._instruments[place]
                seen.add(place)
                if all(values) and not of.quotes_from_book:
                    found.append(quote_rows(at._replace(i=place, of=of), *values, update_id=at.venue_ns))
        return found, seen


def _trade_id(trade: _PublicTrade) -> int:
    if not (trade.trade_id.isascii() and trade.trade_id.isdigit()) or len(trade.trade_id) > 18:
        raise ValueError(f"no trade id: {trade.trade_id[:40]!r}")
    return int(trade.trade_id)


def _unrecognised(source: str, error: Exception) -> Unrecognised:
    return Unrecognised(source, f"{type(error).__name__}: {error}"[:TEXT_MAX])
