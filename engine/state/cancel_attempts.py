"""Cancels that the venue refused, by order: each next one waits longer, up to an alarm.

Only refusals count that an unchanged cancel would get again. A timeout or a limit does not.
"""

import msgspec

from engine.facts import CancelSettled, OrderClosed, OrderFilled
from engine.session_record import SECOND_NS, SafeguardSettings
from engine.state.changes import Change, Stamp

FIRST_WAIT_NS = SECOND_NS


class CancelAttempts(msgspec.Struct, frozen=True):
    """Refused cancels in a row, by client order id, of orders that may be live."""

    refused: dict[str, int] = {}

    def wait_ns(self, client_order_id: str, settings: SafeguardSettings) -> int:
        """Return the time between an order's last cancel and the next."""
        refused = self.refused.get(client_order_id, 0)
        if not refused or not settings.cancel_backoff_max_ns:
            return FIRST_WAIT_NS
        return min(FIRST_WAIT_NS << min(refused, 40), settings.cancel_backoff_max_ns)


def reduce(attempts: CancelAttempts, change: Change, _at: Stamp) -> CancelAttempts:
    """Count refused cancels. A fill or the order's end starts again."""
    match change:
        case CancelSettled() if change.is_refused:
            name = change.client_order_id
            return CancelAttempts({**attempts.refused, name: attempts.refused.get(name, 0) + 1})
        case OrderClosed() | OrderFilled() if change.client_order_id in attempts.refused:
            name = change.client_order_id
            return CancelAttempts({other: count for other, count in attempts.refused.items() if other != name})
        case _:
            return attempts
