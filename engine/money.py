"""The decimal context of all money, and the allowed roundings. No other file may round money."""

from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)

MONEY = Context(
    prec=34,  # decimal128: room for 1e15 units at 1e-8, squared, with digits to spare
    rounding=ROUND_HALF_EVEN,
    Emin=-6143,
    Emax=6144,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[InvalidOperation, DivisionByZero, Overflow],  # a wrong number must raise, not spread
)
ZERO = Decimal(0)
LEDGER_STEP = Decimal("1e-16")  # 8 decimals of a price times 8 of a quantity
LEDGER_PLACES = 17  # of the text of 16 decimals: with the point
LEDGER_DIGITS = 17  # before the point: with 16 behind it, a sum keeps every digit

_to_text = MONEY.to_sci_string


def on_grid(number: Decimal, step: Decimal) -> bool:
    """Return True if `number` is a whole multiple of `step` (Binance LOT_SIZE, PRICE_FILTER); step 0 allows all."""
    return step == 0 or number % step == 0


def down_to_grid(number: Decimal, step: Decimal) -> Decimal:
    """Return the largest multiple of `step` not above `number`. Sizes and prices are cut by this rule alone."""
    return number if step == 0 else (number / step).to_integral_value(rounding=ROUND_DOWN) * step


def up_to_grid(number: Decimal, step: Decimal) -> Decimal:
    """Return the smallest multiple of `step` not below `number`."""
    return number if step == 0 else (number / step).to_integral_value(rounding=ROUND_CEILING) * step


def to_ledger(amount: Decimal) -> Decimal:
    """Round an amount once, half even, to 16 decimals. Sums of such amounts are exact, in any order.

    An amount of 1e18 or more does not fit that grid with 34 digits, and is returned unchanged.
    """
    text = _to_text(amount)
    if "E" not in text and len(text) - text.find(".") <= LEDGER_PLACES:
        return amount  # nearly always: at most 16 decimals. To read the exponent from a tuple of digits takes longer
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int) or exponent >= -16 or amount.adjusted() > LEDGER_DIGITS:
        return amount
    return MONEY.quantize(amount, LEDGER_STEP)
