"""The SESSION of an import: an installed venue recognises its market, and the messages show each instrument's grid.

A capture has no orders and no account: the account is modelled. Metadata comes from the capture's own exchangeInfo, or
from the one that the caller gives, or is inferred from all messages, and the report names each instrument of this kind.
The session has the rules of a new one, as a strategy would have live. Knows no venue and no strategy.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from engine.market.rows import fitting_scale
from engine.model import Instrument
from engine.session_record import (
    SAFEGUARDS,
    SAFETY,
    SECOND_NS,
    EngineSettings,
    SessionBody,
    VenueSettings,
    new_engine_settings,
    newest_risk,
)
from engine.sim.exchange.venue_arrays import PRICE_MAX, SIZE_MAX
from engine.sim.modelled_venue import is_modelled
from engine.sim.units import PLACES
from engine.sim.venue_model import VenueModel
from engine.venues.captured_market import CapturedMarket
from engine.venues.venue_lookup import CAPTURED, make_venue
from journal.reader import Journal
from journal.record import plain
from replay.captured_market import read_markets
from replay.resim.sim_setup import CannotResimulateError

SLOW_PERIOD_NS = 86_400 * SECOND_NS  # of checks and reconciliations on a market of bars
HOUR_NS = 3_600 * SECOND_NS  # between two reports of P&L there, unless bars are longer
NOTHING: Mapping[str, str] = MappingProxyType({})


class CaptureSession(NamedTuple):
    """The SESSION that the market of an import would have had, and what a report has to say about it."""

    body: SessionBody
    notes: tuple[str, ...]  # the instruments that were inferred, and those that were left out
    market: CapturedMarket | None = None  # None: the session is no import


def session_from_capture(
    journal: Journal, exchange_info: bytes | None = None, quote_assets: Mapping[str, str] = NOTHING
) -> SessionBody:
    """Return the SESSION that the market of an import would have had. See `read_capture`."""
    return read_capture(journal, exchange_info, quote_assets).body


def read_capture(
    journal: Journal, exchange_info: bytes | None = None, quote_assets: Mapping[str, str] = NOTHING
) -> CaptureSession:
    """Return the SESSION that the market of an import would have had, and what was inferred for it.

    Args:
        journal: The import.
        exchange_info: The venue's answer to exchangeInfo, in place of the capture's own.
        quote_assets: Symbol -> the asset in which it is quoted, where the capture does not show it.

    Raises:
        CannotResimulateError: No installed venue recognises the market, or no instrument of it can be traded.
        ValueError: The metadata cannot be read.
    """
    body = msgspec.json.decode(journal.session_record().body or "", type=SessionBody)
    market = _single_market(journal)
    is_own = is_modelled(market.venue)
    settings = VenueSettings(name=market.venue, kind="" if is_own else f"{CAPTURED}{market.venue}")
    refused = dict(market.refused)
    for symbol, price, size in market.largest:
        if price > PRICE_MAX or size > SIZE_MAX:
            refused[symbol] = (
                f"a price up to {price:,} or a size up to {size:,} is more than the simulated venue counts exactly "
                f"({PRICE_MAX:,} and {SIZE_MAX:,})"
            )
    instruments = tuple(one for one in market.instruments if one.symbol not in refused)
    inferred = frozenset(market.inferred)
    if exchange_info is not None:
        listed = {one.symbol: one for one in make_venue(settings, ()).metadata.read(exchange_info).instruments}
        if missing := [one.symbol for one in instruments if one.symbol not in listed]:
            raise CannotResimulateError(
                f"the given metadata has no {', '.join(missing)}. "
                "What to do: give the exchangeInfo of the captured venue."
            )
        sizes = {symbol: size for symbol, _, size in market.largest}
        instruments = tuple(_as_captured(listed[one.symbol], one, sizes[one.symbol]) for one in instruments)
        inferred = frozenset()
    for one in instruments:
        if max(one.price_scale, one.size_scale) > PLACES:
            refused[one.symbol] = f"more than {PLACES} decimal places, which the simulated venue does not count"
    instruments = tuple(_with_assets(one, quote_assets) for one in instruments if one.symbol not in refused)
    if unknown := [one.symbol for one in instruments if not one.quote]:
        raise CannotResimulateError(
            f"{journal.folder} has no metadata, and the names do not show the assets of {', '.join(unknown)}. "
            f"What to do: name the asset in which it is quoted, as in --quote-asset {unknown[0]}=USDT, or give "
            "--exchange-info FILE."
        )
    if not instruments:
        raise CannotResimulateError(f"{journal.folder} cannot be traded: {'; '.join(map(_left_out, refused.items()))}.")
    return CaptureSession(
        msgspec.structs.replace(
            _with_new_rules(body, market),
            venues=(settings,),
            instruments=instruments,
            account="main",
        ),
        _notes(instruments, inferred, refused),
        market,
    )


def with_half_spread(body: SessionBody, model: VenueModel) -> SessionBody:
    """Return a session whose made quotes have the half spread of a model."""
    instruments = tuple(
        msgspec.structs.replace(one, half_spread_ppm=model.half_spread_ppm) if one.half_spread_ppm >= 0 else one
        for one in body.instruments
    )
    return msgspec.structs.replace(body, instruments=instruments)


def _with_new_rules(body: SessionBody, market: CapturedMarket) -> SessionBody:
    """Return the SESSION of an import with the rules of a new session."""
    safeguards = msgspec.structs.replace(SAFEGUARDS, metadata_every_ns=0) if market.bar_interval_ns else SAFEGUARDS
    return msgspec.structs.replace(
        body,
        started_ns=body.started_ns - market.lead_ns,
        engine=_engine_settings(market),
        risk=newest_risk(body.risk),
        safeguards=safeguards,
        safety=SAFETY,
    )


def _engine_settings(market: CapturedMarket) -> EngineSettings:
    """Return the settings of a new session; on bars it has no checks between two of them, and bars close themselves."""
    settings = msgspec.structs.replace(new_engine_settings(), books=market.has_books)
    interval_ns = market.bar_interval_ns
    if not interval_ns:
        return settings
    return msgspec.structs.replace(
        settings,
        check_interval_ns=SLOW_PERIOD_NS,
        report_every_ns=max(HOUR_NS, interval_ns),
        reconcile_every_ns=SLOW_PERIOD_NS,
        quote_age_max_ns=0 if interval_ns >= settings.quote_age_max_ns else settings.quote_age_max_ns,
        venue_lag_max_ns=0,
        bar_close_after_ns=0,
    )


def captured_snapshots(journal: Journal, body: SessionBody) -> dict[int, str]:
    """Return the record of each book snapshot of an import, and its instrument, for the instruments of a session."""
    ids = {instrument.symbol: instrument.id for instrument in body.instruments}
    return {seq: ids[symbol] for seq, symbol in _single_market(journal).snapshots if symbol in ids}


def _single_market(journal: Journal) -> CapturedMarket:
    markets = read_markets(journal)
    if not markets:
        raise CannotResimulateError(
            f"{journal.folder} holds no market stream that an installed venue reads. "
            "What to do: choose a capture of an installed venue."
        )
    if len(markets) > 1:
        found = "; ".join(f"{market.venue} in {', '.join(sorted(market.sources))}" for market in markets)
        raise CannotResimulateError(
            f"{journal.folder} holds several markets, and a backtest trades one: {found}. "
            "What to do: import the files of each market apart."
        )
    return markets[0]


def _as_captured(listed: Instrument, seen: Instrument, size_max: Decimal) -> Instrument:
    """Return the venue's description of an instrument, with scales at which the capture's messages are exact."""
    return msgspec.structs.replace(
        listed,
        price_scale=max(listed.price_scale, seen.price_scale),
        size_scale=fitting_scale(max(_places(listed.lot_size), seen.size_scale), seen.size_scale, size_max),
        trade_stream=seen.trade_stream,
        quotes_from_book=seen.quotes_from_book,
        half_spread_ppm=seen.half_spread_ppm,
        by_order=seen.by_order,
    )


def _places(step: Decimal) -> int:
    """Return the number of decimal places of a step."""
    return len(plain(step).partition(".")[2])


def _with_assets(instrument: Instrument, quote_assets: Mapping[str, str]) -> Instrument:
    """Return the instrument with the quote asset that the caller names for it, if that ends its symbol."""
    quote = quote_assets.get(instrument.symbol, "")
    base = instrument.symbol.partition("_")[0].removesuffix(quote)
    if not quote or base in ("", instrument.symbol):
        return instrument
    margin = instrument.margin and (base if instrument.inverse else quote)
    return msgspec.structs.replace(instrument, base=base, quote=quote, margin=margin)


def _notes(instruments: Sequence[Instrument], inferred: frozenset[str], refused: Mapping[str, str]) -> tuple[str, ...]:
    """Return the notes on a capture: the instruments that were inferred, have no quotes, or were left out."""
    return (
        *(_inferred(one) for one in instruments if one.symbol in inferred),
        *(f"{one.symbol}: no quotes; its book's best levels count" for one in instruments if one.quotes_from_book),
        *(f"{one.symbol}: order by order; places in queues are counted" for one in instruments if one.by_order),
        *(
            f"{one.symbol}: no quotes; they are made of its bars or trades (docs/data-formats.md)"
            for one in instruments
            if one.half_spread_ppm >= 0
        ),
        *(f"left out: {_left_out(one)}" for one in refused.items()),
    )


def _inferred(instrument: Instrument) -> str:
    return (
        f"{instrument.symbol}: no metadata in the capture; read off its messages: {instrument.base}/"
        f"{instrument.quote}, tick {plain(instrument.tick_size)}, lot {plain(instrument.lot_size)}"
    )


def _left_out(refused: tuple[str, str]) -> str:
    symbol, reason = refused
    return f"{symbol}: {reason}"
