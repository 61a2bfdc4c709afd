"""The SESSION of an import: an installed venue recognises its market, and the messages show each instrument's grid.

A capture has no orders and no account: the account is modelled. The venue's own metadata may replace the grid that the
messages show. The session has the rules of a new one, as a strategy would have live. Knows no venue and no strategy.
"""

from collections.abc import Iterator

import msgspec

from engine.session_record import (
    SAFEGUARDS,
    SAFETY,
    SessionBody,
    VenueSettings,
    new_engine_settings,
    newest_risk,
)
from engine.venues.venue_lookup import captured_market, make_venue
from journal.errors import JournalError
from journal.reader import Journal
from journal.record import Kind
from replay.resim.sim_setup import CannotResimulateError


def is_import(journal: Journal) -> bool:
    """Return True if the journal was imported from a capture."""
    return "import" in msgspec.json.decode(journal.session_record().body or "{}", type=dict[str, msgspec.Raw])


def refuse_import(journal: Journal) -> None:
    """Refuse an import where decisions are needed.

    Raises:
        JournalError: The journal is an import.
    """
    if is_import(journal):
        raise JournalError(
            f"{journal.folder} is an import: it holds market data and no decisions. What to do: query it with verbatim "
            "sql, or trade it with verbatim backtest --strategy FILE."
        )


def session_from_capture(journal: Journal, exchange_info: bytes | None = None) -> SessionBody:
    """Return the SESSION that the market of an import would have had.

    Raises:
        CannotResimulateError: No installed venue recognises the market, or the metadata lacks an instrument.
        ValueError: The metadata cannot be read.
    """
    body = msgspec.json.decode(journal.session_record().body or "", type=SessionBody)
    market = captured_market(lambda: _payloads(journal))
    if market is None:
        raise CannotResimulateError(
            f"{journal.folder} holds no market stream that an installed venue reads. "
            "What to do: choose a capture of an installed venue."
        )
    instruments = market.instruments
    settings = VenueSettings(name=market.venue)
    if exchange_info is not None:
        seen = {instrument.symbol for instrument in instruments}
        known = make_venue(settings, ()).metadata.read(exchange_info).instruments
        instruments = tuple(instrument for instrument in known if instrument.symbol in seen)
        if missing := sorted(seen - {instrument.symbol for instrument in instruments}):
            raise CannotResimulateError(
                f"the given metadata has no {', '.join(missing)}. "
                "What to do: give the exchangeInfo of the captured venue."
            )
    return msgspec.structs.replace(
        body,
        engine=msgspec.structs.replace(new_engine_settings(), books=market.has_books),
        risk=newest_risk(body.risk),
        safeguards=SAFEGUARDS,
        safety=SAFETY,
        venues=(settings,),
        instruments=instruments,
        account="main",
    )


def _payloads(journal: Journal) -> Iterator[bytes]:
    return (record.payload or b"" for record in journal.records(kinds=(Kind.FEED,)))
