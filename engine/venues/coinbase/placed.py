"""Comparison of an order that was sent with the one that an answer describes.

A client order id that is used again creates nothing, and the answer is that of the first order.
"""

from collections.abc import Mapping
from typing import Any

from engine.venues.coinbase.order_types import configured
from engine.venues.coinbase.values import FAILURES, amount


def same_order(sent: Mapping[str, str], order_configuration: dict[str, dict[str, Any]]) -> bool:
    """Return True if the configuration of an answer is the one that was sent, or the answer states none."""
    key, fields = configured(order_configuration)
    if not key:
        return True
    start = f"order_configuration.{key}."
    wanted = {name.removeprefix(start): value for name, value in sent.items() if name.startswith(start)}
    if not wanted:
        return False  # another kind of order
    return all(_agrees(value, fields.get(name)) for name, value in wanted.items())


def _agrees(sent: str, stated: Any) -> bool:
    if sent in ("true", "false") or isinstance(stated, bool):
        return str(stated).lower() == sent or (stated is None and sent == "false")
    try:
        return amount(sent) == amount(stated)
    except FAILURES:
        return sent == str(stated)
