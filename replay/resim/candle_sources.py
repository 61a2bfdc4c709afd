"""Candles of recorded sessions, captures and files, for strategies that wait for bars from before their session.

A session gives the bars that it requested itself, and a candle of each second of its trades. A file is one of Binance's
public archive (csv or zip) or an answer to GET klines (json).
"""

import csv
import io
import re
import zipfile
from collections.abc import Iterator
from itertools import groupby, islice, pairwise
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from engine.bodies import RequestBody
from engine.market import rows as r
from engine.market.history import Candle, decode_candles
from engine.market.rows import Rows
from engine.market.views import decimal
from engine.model import Instrument
from engine.record_codec import read_request
from engine.requests import AnswerStatus, Purpose
from engine.session_record import SessionBody
from engine.venues.binance_common.klines import Klines
from engine.venues.candle_store import SECOND_NS, CandleStore
from engine.venues.optional_parts import HasHistory
from engine.venues.venue import Venue
from engine.venues.venue_lookup import make_venue
from journal.reader import Journal
from journal.record import Kind, Record

BATCH: Final = 256  # frames that are decoded at once
NAMED: Final = re.compile(r"([A-Z0-9]{2,20})[-_]")  # the symbol at the beginning of a file's name
READ_MAX: Final = 1 << 30  # bytes of a file, unpacked
MILLISECOND_NS: Final = 1_000_000
_DIGITS_MS: Final = 13  # of a time in milliseconds; later archives have microseconds


class NoCandlesError(Exception):
    """A file or session has no candles. The text is one line."""


def recorded_candles(journal: Journal, body: SessionBody) -> CandleStore:
    """Return the bars that a session requested and got, as they were recorded."""
    store = CandleStore(journal.folder.name)
    instruments = {instrument.id: instrument for instrument in body.instruments}
    venues = {settings.name: make_venue(settings, body.instruments) for settings in body.venues}
    requests: dict[int, RequestBody] = {}
    for record in journal.records(kinds=(Kind.REQUEST, Kind.FEED)):
        if record.kind is Kind.REQUEST:
            request = read_request(record.body or "")
            if request.purpose is Purpose.HISTORY and request.history is not None:
                requests[record.seq] = request
        elif record.meta is not None and record.cause in requests:
            request = requests.pop(record.cause)
            instrument, page = instruments.get(request.instrument), request.history
            if instrument is not None and page is not None:
                store.add(instrument.symbol, page.base_ns, _answered(record, venues.get(request.venue)))
    return store


def _answered(record: Record, venue: Venue | None) -> tuple[Candle, ...]:
    """Return the candles of a recorded answer; none of one that a session could not read either."""
    meta = msgspec.json.decode(record.meta or "{}")
    if meta.get("outcome") != AnswerStatus.ANSWER or not 200 <= int(meta.get("status", 0)) < 300:
        return ()
    try:
        if "history" in meta:
            return decode_candles(record.payload or b"")
        return venue.history.read(record.payload or b"") if isinstance(venue, HasHistory) else ()
    except ValueError:
        return ()


def traded_candles(journal: Journal, body: SessionBody, store: CandleStore) -> None:
    """Add a candle of each second between the first and the last trade of a journal's market.

    A second is not complete if ids of trades are missing in it, or if it is the first or the last one.
    """
    venue = make_venue(body.venues[0], body.instruments)
    parts: dict[int, list[tuple[int, int, int, int]]] = {}
    for table in _decoded(journal, venue):
        for row in table[table[:, r.TYPE] == r.TRADE].tolist():
            time_ns = row[r.VENUE_NS] or row[r.TIME_NS]
            trade = time_ns, row[r.TRADE_PRICE], row[r.TRADE_SIZE], row[r.TRADE_ID]
            parts.setdefault(row[r.INSTRUMENT], []).append(trade)
    for index, trades in parts.items():
        instrument = venue.instruments[index]
        store.add(instrument.symbol, SECOND_NS, _seconds(trades, instrument))


def _decoded(journal: Journal, venue: Venue) -> Iterator[Rows]:
    """Yield the rows of a journal's market frames."""
    frames = (record for record in journal.records(kinds=(Kind.FEED,)) if record.meta is None)
    for source, records in groupby(frames, lambda record: record.source):
        while waiting := list(islice(records, BATCH)):
            while waiting:
                found = venue.market.decode_many(
                    [record.payload or b"" for record in waiting],
                    np.array([record.seq for record in waiting], np.int64),
                    np.array([record.time_ns for record in waiting], np.int64),
                )
                if found is not None:
                    table, ends = found
                    yield table
                    waiting = waiting[len(ends) :]
                    continue
                first, *waiting = waiting
                single = venue.market.decode(first.payload or b"", source, first.seq, first.time_ns)
                if isinstance(single, np.ndarray):
                    yield single


def _seconds(trades: list[tuple[int, int, int, int]], instrument: Instrument) -> Iterator[Candle]:
    """Yield the candles of all seconds between the first and the last trade, those without one too."""
    trades.sort(key=lambda trade: trade[3])
    doubtful = {trades[0][0] // SECOND_NS, trades[-1][0] // SECOND_NS}
    for before, after in pairwise(trades):
        if after[3] > before[3] + 1:
            doubtful.update(range(before[0] // SECOND_NS, after[0] // SECOND_NS + 1))
    by_second: dict[int, list[tuple[int, int, int, int]]] = {}
    for trade in trades:
        by_second.setdefault(trade[0] // SECOND_NS, []).append(trade)
    close = trades[0][1]
    for second in range(min(by_second), max(by_second) + 1):
        group = by_second.get(second, [])
        prices = [price for _, price, _, _ in group] or [close]
        close = prices[-1]
        scale = instrument.price_scale
        yield Candle(
            start_ns=second * SECOND_NS,
            open=f"{decimal(prices[0], scale):f}",
            high=f"{decimal(max(prices), scale):f}",
            low=f"{decimal(min(prices), scale):f}",
            close=f"{decimal(close, scale):f}",
            volume=f"{decimal(sum(size for _, _, size, _ in group), instrument.size_scale):f}",
            trades=len(group),
            complete=second not in doubtful,
        )


def file_candles(path: Path) -> CandleStore:
    """Return the candles of a file.

    Raises:
        NoCandlesError: The file cannot be read, its name begins with no symbol, or its lines are no candles.

    """
    named = NAMED.match(path.name)
    if named is None:
        raise NoCandlesError(
            f"{path.name} does not begin with a symbol. What to do: name it as in BTCUSDT-1m-2024-08-08.csv"
        )
    try:
        candles = _json_candles(path) if path.suffix == ".json" else _csv_candles(path)
    except (OSError, ValueError, LookupError, zipfile.BadZipFile) as error:
        raise NoCandlesError(f"{path} holds no candles: {type(error).__name__}: {error}") from None
    starts = sorted({candle.start_ns for candle in candles})
    if len(starts) < 2:
        raise NoCandlesError(f"{path} holds {len(starts)} candles: two show their length")
    store = CandleStore(path.name)
    store.add(named[1], min(after - before for before, after in pairwise(starts)), candles)
    return store


def _json_candles(path: Path) -> list[Candle]:
    if path.stat().st_size > READ_MAX:
        raise ValueError(f"it is larger than {READ_MAX} bytes")
    return list(Klines("", weight=0).read(path.read_bytes()))


def _csv_candles(path: Path) -> list[Candle]:
    with _lines_of(path) as lines:
        return [
            _row_candle(row) for row in csv.reader(lines) if row and row[0].isdigit()
        ]  # the first line may be a header


def _lines_of(path: Path) -> io.TextIOBase:
    if path.suffix != ".zip":
        return path.open(encoding="ascii", newline="")
    with zipfile.ZipFile(path) as archive:
        [name] = archive.namelist()
        if archive.getinfo(name).file_size > READ_MAX:
            raise ValueError(f"{name} is larger than {READ_MAX} bytes")
        return io.TextIOWrapper(io.BytesIO(archive.read(name)), encoding="ascii", newline="")


def _row_candle(row: list[str]) -> Candle:
    """Return the candle of a line of Binance's archive."""
    start_ns = int(row[0]) * (MILLISECOND_NS if len(row[0]) <= _DIGITS_MS else 1_000)
    return Candle(start_ns, row[1], row[2], row[3], row[4], row[5], int(row[8]))
