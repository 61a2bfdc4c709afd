"""Why a record is there: the walk along `cause`, each step in one line. Reads the journal; folds nothing."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from engine.market import rows as r
from engine.market.views import decimal
from engine.model import Instrument
from engine.venues.venue import MarketDialect
from journal.reader import Journal
from journal.record import Kind, Record

STEPS_MAX = 64  # a chain is a handful of records; more is a loop in damaged causes
TEXT_MAX = 240
Dialect = Callable[[str], MarketDialect | None]  # source -> who reads its frames


class Link(msgspec.Struct, frozen=True):
    """One record of a chain."""

    record: Record
    text: str


def chain_of(
    journal: Journal, record: Record, held: dict[int, Record], instruments: list[Instrument], dialect: Dialect
) -> list[Link]:
    """The record, what caused it, and so on to its origin. `held` are records that the journal does not have (yet)."""
    links: list[Link] = []
    seen: set[int] = set()
    quote: Record | None = (
        None  # that an intent was decided on: where a TIMER was its cause, the way goes on from there
    )
    current: Record | None = record
    while current is not None and current.seq not in seen and len(links) < STEPS_MAX:
        seen.add(current.seq)
        aside = "   (the quote it was decided on)" if current is quote else ""
        links.append(Link(current, one_line(current, instruments, dialect) + aside))
        if current.kind is Kind.INTENT:
            quote = _quote_behind(journal, current)
        cause = current.cause
        if cause is None:
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


def one_line(record: Record, instruments: list[Instrument], dialect: Dialect) -> str:
    said = _market_text(record, instruments, dialect) or content(record)
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


def _market_text(record: Record, instruments: list[Instrument], dialect: Dialect) -> str:
    """What a market frame says, in words; "" where it is none."""
    if record.kind is not Kind.FEED or record.meta is not None or record.payload is None:
        return ""
    reader = dialect(record.source)
    rows = reader.decode(record.payload, record.source, record.seq, record.time_ns) if reader else ()
    if isinstance(rows, tuple) or not len(rows):
        return ""
    row = [int(value) for value in rows[0]]
    of = instruments[row[r.INSTRUMENT]]
    match row[r.TYPE]:
        case r.QUOTE:
            bid, bid_size, ask, ask_size = (
                decimal(row[r.A + n], (of.price_scale, of.size_scale)[n % 2]) for n in range(4)
            )
            return f"quote {of.symbol}: bid {bid:f} x {bid_size:f}, ask {ask:f} x {ask_size:f}"
        case r.TRADE:
            price, size = decimal(row[r.A], of.price_scale), decimal(row[r.B], of.size_scale)
            return f"trade {of.symbol}: {price:f} x {size:f}, id {row[r.C]}"
        case r.DIFF:
            return f"depth of {of.symbol}: updates {row[r.A]} to {row[r.B]}, {len(rows) - 1} levels"
        case _:
            return ""
