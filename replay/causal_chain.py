"""Why a record is there: the walk along `cause`, each step in one line. Reads the journal; folds nothing."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec

from engine.market import rows as r
from engine.market.views import decimal
from engine.model import Instrument
from engine.record_codec import read_timer
from engine.venues.venue import MarketDialect
from journal.reader import Journal
from journal.record import Kind, Record

STEPS_MAX = 64  # a chain is a handful of records; more is a loop in damaged causes
TEXT_MAX = 240
LOOK_BACK_MAX = 16_384  # records before a TIMER among which the quote that woke its strategy is looked for
WINDOW = 1_024  # of them are read at once
Dialect = Callable[[str], MarketDialect | None]  # source -> who reads its frames


class CauseLink(msgspec.Struct, frozen=True):
    """One record of a chain."""

    record: Record
    text: str


class Markets(msgspec.Struct, frozen=True):
    """What it takes to read market frames, and to know whose they are."""

    instruments: list[Instrument]
    dialect: Dialect
    watched: Mapping[str, frozenset[str]]  # strategy -> ids of the instruments that it looks at


def chain_of(journal: Journal, record: Record, held: dict[int, Record], markets: Markets) -> list[CauseLink]:
    """The record, what caused it, and so on to its origin. `held` are records that the journal does not have (yet)."""
    links: list[CauseLink] = []
    seen: set[int] = set()
    quote: Record | None = (
        None  # that an intent was decided on: where a TIMER was its cause, the way goes on from there
    )
    current: Record | None = record
    while current is not None and current.seq not in seen and len(links) < STEPS_MAX:
        seen.add(current.seq)
        aside = "   (the quote it was decided on)" if current is quote else ""
        links.append(CauseLink(current, one_line(current, markets) + aside))
        if current.kind is Kind.INTENT:
            quote = _quote_behind(journal, current)
        cause = current.cause
        if cause is None:
            quote = quote or _quote_before(journal, current, markets)
            current = quote
        elif 0 <= cause <= record.seq:
            current = held.get(cause) or record_at(journal, cause)
        else:
            current = None  # not of this session
    return links


def record_at(journal: Journal, seq: int) -> Record | None:
    return next(iter(journal.records(seq, seq)), None) if 0 <= seq <= journal.last_seq else None


def time_text(time_ns: int) -> str:
    """UTC, to the microsecond."""
    moment = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC)
    return f"{moment:%H:%M:%S}.{time_ns // 1000 % 1_000_000:06d}"


def one_line(record: Record, markets: Markets) -> str:
    said = _market_text(record, markets) or content(record)
    key = f" [{record.key}]" if record.key else ""
    return f"{record.seq:>9}  {time_text(record.time_ns)}  {record.kind:<10} {record.source}{key}  {short(said)}"


def content(record: Record) -> str:
    return record.body if record.body is not None else (record.payload or b"").decode("utf-8", "replace")


def short(text: str, most: int = TEXT_MAX) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _quote_behind(journal: Journal, intent: Record) -> Record | None:
    because = msgspec.json.decode(intent.body or "{}").get("because", {})
    seq = because.get("quote_seq") if isinstance(because, dict) else None
    return record_at(journal, seq) if isinstance(seq, int) else None


def _quote_before(journal: Journal, timer: Record, markets: Markets) -> Record | None:
    """What a throttled strategy saw when its time came: the last quote, else the last market message, of its instruments."""
    if timer.kind is not Kind.TIMER:
        return None
    ids = markets.watched.get(read_timer(timer.body or "").timer.removeprefix("watch."), frozenset())
    other: Record | None = None
    for end in range(timer.seq, max(0, timer.seq - LOOK_BACK_MAX) if ids else timer.seq, -WINDOW):
        for record in reversed(list(journal.records(max(0, end - WINDOW), end - 1))):
            rows = _market_rows(record, markets.dialect)
            if rows and markets.instruments[rows[0][r.INSTRUMENT]].id in ids:
                if rows[0][r.TYPE] == r.QUOTE:
                    return record
                other = other or record
    return other


def _market_rows(record: Record, dialect: Dialect) -> list[list[int]]:
    """What a market frame says; nothing where it is none."""
    if record.kind is not Kind.FEED or record.meta is not None or record.payload is None:
        return []
    reader = dialect(record.source)
    rows = reader.decode(record.payload, record.source, record.seq, record.time_ns) if reader else ()
    return [] if isinstance(rows, tuple) else [[int(value) for value in row] for row in rows]


def _market_text(record: Record, markets: Markets) -> str:
    """What a market frame says, in words; "" where it is none."""
    rows = _market_rows(record, markets.dialect)
    if not rows:
        return ""
    row = rows[0]
    of = markets.instruments[row[r.INSTRUMENT]]
    match row[r.TYPE]:
        case r.QUOTE:
            bid, bid_size, ask, ask_size = (
                decimal(row[r.A + n], (of.price_scale, of.size_scale)[n % 2]) for n in range(4)
            )
            return f"quote {of.symbol}: bid {bid:f} x {bid_size:f}, ask {ask:f} x {ask_size:f}"
        case r.TRADE:
            price, size = decimal(row[r.A], of.price_scale), decimal(row[r.B], of.size_scale)
            return f"trade {of.symbol}: {price:f} x {size:f}, id {row[r.C]}"
        case r.MARK:
            price, rate = decimal(row[r.A], r.MARK_SCALE), decimal(row[r.D], r.MARK_SCALE)
            return f"mark {of.symbol}: {price:f}, funding {rate:f}"
        case r.DIFF:
            return f"depth of {of.symbol}: updates {row[r.A]} to {row[r.B]}, {len(rows) - 1} levels"
        case _:
            return ""
