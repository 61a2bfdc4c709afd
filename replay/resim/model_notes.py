"""Notes on a capture and the model together: sizes that are missing, and a spread that a tick widens."""

from collections.abc import Sequence
from decimal import Decimal

from engine.model import Instrument
from engine.sim.venue_model import VenueModel
from engine.venues.captured_market import CapturedMarket
from journal.record import plain


def model_notes(instruments: Sequence[Instrument], market: CapturedMarket, model: VenueModel) -> tuple[str, ...]:
    """Return a line for each instrument of a capture that trades otherwise than a reader expects of the model."""
    largest = {symbol: price for symbol, price, _ in market.largest}
    has_limit = Decimal(model.volume_share) > 0
    return (
        *(
            f"{symbol}: its source states no sizes, so no order fills. "
            "What to do: --model volume_share=0, which sets no limit."
            for symbol in market.without_sizes
            if has_limit
        ),
        *(
            _wide(one, largest[one.symbol], model)
            for one in instruments
            if one.half_spread_ppm >= 0
            and one.symbol in largest
            and one.tick_size > largest[one.symbol] * Decimal(model.half_spread)
        ),
    )


def _wide(instrument: Instrument, price: Decimal, model: VenueModel) -> str:
    """Return the line of an instrument whose tick is wider than half a spread."""
    share = instrument.tick_size / price * 100
    return (
        f"{instrument.symbol}: made quotes are up to a tick of {plain(instrument.tick_size)} from the price, "
        f"{share:.2g} % of it, because half_spread={model.half_spread} is less than a tick. "
        "What to do: state its tick with --exchange-info FILE, or accept this spread."
    )
