"""One REST request of the simulated Coinbase whose token has been checked."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qs

import msgspec

from engine.sim.coinbase import refusal_bodies
from engine.sim.exchange.exchange import Exchange
from engine.sim.exchange.order_values import SimFill, SimOrder
from engine.sim.faults import Faults
from engine.sim.wire import HttpRequest

Item = TypeVar("Item")


class Request:
    """A request of an account ("" if it is public), with its parameters."""

    def __init__(
        self,
        http: HttpRequest,
        account: str,
        now_ns: int,
        exchange: Exchange,
        *,
        faults: Faults,
        announce_cancel: Callable[[SimOrder], None],
    ) -> None:
        self.account = account
        self.now_ns = now_ns
        self.exchange = exchange
        self.announce_cancel = announce_cancel
        self._http = http
        self._faults = faults
        self._query = parse_qs(http.query.decode("utf-8", "replace"), keep_blank_values=True)

    @property
    def json(self) -> dict[str, Any]:
        """The body. Raises RequestRefusedError if it is no object."""
        try:
            found: dict[str, Any] = msgspec.json.decode(self._http.body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise refusal_bodies.invalid_argument("the body is no JSON object") from None
        return found

    def all(self, name: str) -> list[str]:
        """Return every value of a parameter: its name is repeated."""
        return self._query.get(name, [])

    def first(self, name: str) -> str:
        """Return the value of a parameter, or ""."""
        return self.all(name)[0] if self.all(name) else ""

    def page(self, found: Sequence[Item], usual: int, most: int) -> tuple[Sequence[Item], str]:
        """Return a page of a list, and the cursor of the next one; "" at the end."""
        limit, cursor = self.first("limit"), self.first("cursor")
        size = min(int(limit), most) if limit.isdigit() and int(limit) else usual
        start = int(cursor) if cursor.isdigit() else 0
        end = start + size
        return found[start:end], str(end) if end < len(found) else ""

    def count_id(self, client_order_id: str) -> None:
        """Count a client order id that came again and creates nothing."""
        self.exchange.client_ids_seen[client_order_id] += 1

    def is_hidden(self, order: SimOrder) -> bool:
        """Return True if a fault keeps an order from queries."""
        return self._faults.hidden(order.client_order_id, self.now_ns)

    def is_unlisted(self, fill: SimFill) -> bool:
        """Return True if a fault keeps a fill from the list."""
        return self._faults.is_unlisted(fill.trade_id, fill.order_id, self.now_ns)
