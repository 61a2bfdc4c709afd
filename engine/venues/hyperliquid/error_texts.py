"""The table from a refusal's text to an Outcome. Hyperliquid has no codes, and numbers may follow a text.

The refusal of one order of a batch is definite. The refusal of a whole request is definite for the texts below; any
other proves nothing. A wrong UNKNOWN costs a query, a wrong REFUSED a second order. Numbers in parentheses are
sections of the fact sheet.
"""

from typing import Final

from engine.events import Answer, Outcome
from engine.venues.hyperliquid.values import TEXT_MAX

CANCEL_RACE: Final = "Order was never placed, already canceled, or filled"
WAIT_NS: Final = 10_000_000_000  # one action is allowed in it once the address has used up its requests (9)

PREFIXES: Final = (
    (CANCEL_RACE, Outcome.NOT_FOUND),
    ("L1 error: User or API Wallet", Outcome.AUTH),  # a wrong byte recovers another address, so this may be our bug (2)
    ("User or API Wallet", Outcome.AUTH),
    ("Must deposit before performing actions", Outcome.AUTH),
    ("Unable to recover signer", Outcome.AUTH),
    ("Invalid nonce: duplicate", Outcome.UNKNOWN),  # bytes that came twice: the first ones may have been carried out
    ("Invalid nonce", Outcome.CLOCK),
    ("Too many cumulative requests sent", Outcome.ORDER_LIMITED),
    ("Price must be divisible by tick size", Outcome.REFUSED),
    ("Order must have minimum value", Outcome.REFUSED),
    ("Insufficient margin to place order", Outcome.REFUSED),
    ("Failed to deserialize the JSON body", Outcome.REFUSED),
)
RULES: Final = ("Price must be divisible", "Order must have minimum value", "Order has invalid", "Order has zero size")
# reasons that pass: money, open interest, the price of the moment
PASSES: Final = (
    "Insufficient margin", "Order would increase open interest", "Order rejected due to price more aggressive",
    "Order price too far from oracle", "Order would cause position to exceed margin tier",
    "Order has insufficient spot balance", "No liquidity available", "Too many cumulative requests",
)  # fmt: skip


def refusal(text: str, *, of_one_order: bool) -> Answer:
    """Return what the refusal of one order, or of a whole request, proves.

    >>> refusal("Post only order would have immediately matched, bbo was 1@2. asset=3", of_one_order=True).outcome
    <Outcome.REFUSED: 'refused'>
    """
    default = Outcome.REFUSED if of_one_order else Outcome.UNKNOWN
    outcome = next((found for prefix, found in PREFIXES if text.startswith(prefix)), default)
    return Answer(
        outcome,
        code=text.partition(":")[0].partition(".")[0][:40],
        text=text[:TEXT_MAX],
        retry_after_ns=WAIT_NS if outcome is Outcome.ORDER_LIMITED else 0,
        is_instrument_rule=text.startswith(RULES),
        is_temporary=text.startswith(PASSES),
    )
