"""Which Binance market a capture belongs to, and its instruments: as its own exchangeInfo or its messages show them.

A tick or lot read off messages is the finest that was seen, not the venue's own. Assets are read off a symbol's end;
the caller says which instruments were inferred in this way.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

import msgspec

from engine.market.rows import VALUE_MAX, fitting_scale
from engine.model import Instrument
from engine.venues.binance_common.capture_scan import CaptureScan, MarketKind, SymbolScan
from engine.venues.binance_common.market import AGGREGATE, SINGLE
from engine.venues.captured_market import CapturedMarket, CaptureMessages

# assets in which Binance's markets are quoted (exchangeInfo of Spot, November 2026)
_QUOTES = (
    "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "USDS", "USD1", "DAI", "PAX", "VAI", "UST", "RLUSD", "XUSD",
    "AEUR", "EURI", "IDRT", "BIDR", "BKRW", "BVND", "BTC", "ETH", "BNB", "XRP", "TRX", "DOGE", "DOT", "SOL",
    "EUR", "TRY", "BRL", "JPY", "ARS", "MXN", "COP", "PLN", "RON", "UAH", "ZAR", "CZK", "GBP", "AUD", "RUB", "NGN",
    "IDR", "USD",
)  # fmt: skip
ReadMetadata = Callable[[bytes], Sequence[Instrument]]


def identify(
    messages: CaptureMessages, read_metadata: ReadMetadata, *, spot: str = "", linear: str = "", inverse: str = ""
) -> CapturedMarket | None:
    """Return the market of those symbols that are of one kind of market, or None without such symbols.

    Args:
        messages: All messages of the capture.
        read_metadata: Returns the instruments of an answer to exchangeInfo. Raises ValueError for any other text.
        spot: The venue's name, if the caller wants a spot market. Exactly one of the three is given.
        linear: As `spot`, for linear futures.
        inverse: As `spot`, for inverse futures.

    """
    scan = messages.once(CaptureScan)
    kind = MarketKind.SPOT if spot else MarketKind.LINEAR if linear else MarketKind.INVERSE
    seen: dict[str, SymbolScan] = {}
    kinds = scan.kinds()
    for (source, symbol), found in scan.found.items():
        if kinds[source, symbol] is kind:
            seen.setdefault(symbol, SymbolScan()).merge(found)
    if not seen:
        return None
    venue = spot or linear or inverse
    listed = _listed(scan.metadata, read_metadata)
    instruments, inferred, refused = [], [], []
    for symbol in sorted(seen):
        instrument = listed.get(symbol)
        if instrument is None:
            inferred.append(symbol)
            instrument = _inferred(venue, symbol, seen[symbol], kind)
        if reason := _refusal(seen[symbol]):
            refused.append((symbol, reason))
        else:
            instruments.append(_as_seen(instrument, seen[symbol]))
    return CapturedMarket(
        venue,
        tuple(instruments),
        any(found.has_books for found in seen.values()),
        frozenset(source for (source, symbol), each in kinds.items() if each is kind),
        inferred=tuple(inferred),
        largest=tuple((symbol, found.prices.largest, found.sizes.largest) for symbol, found in seen.items()),
        refused=tuple(refused),
        snapshots=tuple(scan.snapshots),
    )


def _listed(answers: Iterable[bytes], read_metadata: ReadMetadata) -> dict[str, Instrument]:
    """Return the instruments of the capture's own answers to exchangeInfo, by symbol. The last answer counts."""
    found: dict[str, Instrument] = {}
    for answer in answers:
        try:
            found |= {instrument.symbol: instrument for instrument in read_metadata(answer)}
        except (ValueError, msgspec.MsgspecError):
            continue  # another venue's
    return found


def _refusal(scan: SymbolScan) -> str:
    """Return why the numbers of a symbol cannot be kept exactly, or ""."""
    for what, numbers in (("price", scan.prices), ("size", scan.sizes)):
        if numbers.largest * 10**numbers.places > VALUE_MAX:
            return f"a {what} of {numbers.largest:.15g} with {numbers.places} decimal places is above 2^53 steps"
    return ""


def _as_seen(instrument: Instrument, scan: SymbolScan) -> Instrument:
    """Return the instrument with scales at which every message is exact, and the streams of its trades and quotes."""
    # the stream of single trades has at least as many messages, unless a part of it was not captured
    twice = scan.trades > 0 and scan.aggregates > 0
    return msgspec.structs.replace(
        instrument,
        price_scale=fitting_scale(instrument.price_scale, scan.prices.places, scan.prices.largest),
        size_scale=fitting_scale(instrument.size_scale, scan.sizes.places, scan.sizes.largest),
        trade_stream=(SINGLE if scan.trades >= scan.aggregates else AGGREGATE) if twice else "",
        quotes_from_book=scan.has_books and not scan.has_quotes,
    )


def _inferred(venue: str, symbol: str, scan: SymbolScan, kind: MarketKind) -> Instrument:
    is_future, is_inverse = kind is not MarketKind.SPOT, kind is MarketKind.INVERSE
    base, quote = assets_of(symbol)
    tick, lot = (Decimal(1).scaleb(-numbers.places) for numbers in (scan.prices, scan.sizes))
    return Instrument(
        id=f"{venue}:{symbol}",
        venue=venue,
        symbol=symbol,
        base=base,
        quote=quote,
        price_scale=scan.prices.places,
        size_scale=scan.sizes.places,
        tick_size=tick,
        lot_size=lot,
        quantity_min=lot,
        contract="PERPETUAL" if is_future else "",
        contract_size=Decimal(100 if symbol.startswith("BTC") else 10) if is_inverse else Decimal(1),
        inverse=is_inverse,
        margin="" if not is_future else base if is_inverse else quote,
    )


def assets_of(symbol: str) -> tuple[str, str]:
    """Return base and quote by the longest known asset at the symbol's end; ("", "") without one."""
    pair = symbol.partition("_")[0]
    ends = [quote for quote in _QUOTES if pair.endswith(quote) and len(pair) > len(quote)]
    quote = max(ends, key=len, default="")
    return (pair.removesuffix(quote), quote) if quote else ("", "")
