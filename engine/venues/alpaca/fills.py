"""The identity of Alpaca's fills.

The stream and the list of activities give one fill different ids. Both state the order and the quantity that it had
traded after the fill, which no two fills share.
"""

from decimal import Decimal

from journal.record import plain


def fill_id(order_id: str, traded: Decimal) -> str:
    """Return the id of the fill after which an order had traded so much."""
    return f"{order_id}:{plain(traded)}"
