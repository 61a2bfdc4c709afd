"""The end of a session, and the orders that it leaves unsettled. Values only."""

import signal
from enum import StrEnum

import structlog

from engine.lifecycle import Status
from engine.session_context import SessionContext
from engine.state.kept_exits import kept_on_stop
from engine.state.session_state import Account

NAMED_MAX = 3  # orders that a reason names
UNCLEAR = (Status.PENDING, Status.UNKNOWN)

log = structlog.get_logger()


class EndedBy(StrEnum):
    """The cause of a session's end."""

    CLOSED = "closed"  # in order
    DEADLINE = "deadline"  # stopped in order, but the venue did not answer in time
    INTERRUPTED = "interrupted"  # by a second signal
    CORE = "core"  # our own code failed
    JOURNAL = "journal"  # the disk failed
    SHELL = "shell"  # a task of the shell failed


def end_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that end a session in order.

    SIGHUP, as of a terminal that closes, is one unless the process was started to ignore it, as nohup does.
    """
    always = (signal.SIGINT, signal.SIGTERM)
    return always if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*always, signal.SIGHUP)


class SessionEnd:
    """The end of a session. The first cause counts, but a failed journal overrides an end that looked clean."""

    def __init__(self) -> None:
        self.by: EndedBy | None = None
        self.reason = ""

    @property
    def is_final(self) -> bool:
        """Return True if the core awaits nothing more, so the journal is sealed as final."""
        return self.by in (EndedBy.CLOSED, EndedBy.DEADLINE)

    def set(self, by: EndedBy, reason: str) -> None:
        """Note a cause, and log it if trading stopped because of a failure."""
        if self.by is not None and not (by is EndedBy.JOURNAL and self.is_final):
            return
        self.by, self.reason = by, reason
        if by in (EndedBy.CORE, EndedBy.JOURNAL, EndedBy.SHELL):
            log.error("trading stopped", by=by.value, reason=reason)


def deadline_reason(session: SessionContext, account: Account) -> str:
    """Return the reason of a session that ended before the venue's last answer, with the orders it may concern."""
    changing = [pending.request for pending in account.requests.by_seq.values() if pending.request.mutates]
    requested = {request.client_order_id for request in changing} | {
        name for request in changing for name, _ in request.placed
    }
    cancels_on_stop, kept = session.settings.cancel_on_stop, kept_on_stop(account, session.settings)
    open_orders = [
        f"{order.client_order_id} {order.status}"
        for order in account.orders.live_by_age()
        if session.is_ours(order, account.safety)
        and order.client_order_id not in kept
        and (cancels_on_stop or order.status in UNCLEAR or order.client_order_id in requested)
    ]
    if not open_orders:
        return "stopped without the venue's answer: the last reconciliation is not done; the next start does it"
    more = f" and {len(open_orders) - NAMED_MAX} more" if len(open_orders) > NAMED_MAX else ""
    return (
        f"stopped without the venue's answer: {len(open_orders)} orders may still be open there "
        f"({', '.join(open_orders[:NAMED_MAX])}{more}); the next start queries them"
    )
