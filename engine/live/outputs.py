"""The outputs of steps: requests go to the gateway, the rest is counted and queued for the log. Decides nothing."""

from collections.abc import Callable, Sequence

from engine.bodies import RequestBody, VerdictBody
from engine.facts import AccessRefused, CloseReason, MarketGap, ModeChanged, OrderFilled, SessionClosing
from engine.live.gateway import Gateway
from engine.mode_reasons import ReasonCode, key_refused
from engine.mode_shares import ModeShares
from engine.step_context import Output

COUNTED = frozenset({OrderFilled, ModeChanged, AccessRefused, MarketGap, SessionClosing})
MODE_SOURCE = "mode"  # of a mode that the policy derived, and not an answer of the venue


def _log_nothing(_outputs: Sequence[Output]) -> None:
    """Ignore outputs: the session has no log."""


class OutputDispatcher:
    """Performs outputs and counts them since the session's start."""

    def __init__(
        self, gateway: Gateway, started_ns: int, log: Callable[[Sequence[Output]], None] = _log_nothing
    ) -> None:
        self.orders = self.fills = self.gaps = self.refused = 0
        self.last_fill = ""  # client order id
        self.first_objection = ""  # of risk, to an intent
        self.key_refused = ""  # the venue's first answer against our key
        self.close_reason: CloseReason | None = None
        self.shares = ModeShares(started_ns)
        self._gateway = gateway
        self._log = log  # queues outputs; it makes no line now

    async def flush(self) -> None:
        """Bring the records of dispatched requests to the disk, and send those that may leave (Gateway.flush)."""
        await self._gateway.flush()

    def flush_now(self) -> None:
        """Do the same without waiting for a socket (Gateway.flush_now)."""
        self._gateway.flush_now()

    def dispatch(self, outputs: Sequence[Output]) -> bool:
        """Perform the outputs of a step. Return True if there was a request."""
        has_request = False
        for output in outputs:
            body = output.body
            if type(body) is RequestBody:
                self._gateway.perform(output.made or output.record, body)
                has_request = True
                self.orders += len(body.placed)
            elif type(body) is VerdictBody:
                if not body.approved:
                    self.refused += 1
                    objections = [f"{rule}: {objection}" for rule, objection in body.rules.items() if objection]
                    self.first_objection = self.first_objection or objections[0]
            elif type(body) in COUNTED:
                self._count_fact(output)
        if outputs:
            self._log(outputs)
        return has_request

    def _count_fact(self, output: Output) -> None:
        """Add a fact to the counts."""
        match output.body:
            case OrderFilled() as fill:
                self.fills += 1
                self.last_fill = fill.client_order_id
            case ModeChanged() as fact:
                self.shares.add(output.time_ns, fact)
                if output.source != MODE_SOURCE and fact.reasons[0].code is ReasonCode.KEY_REFUSED:
                    self.key_refused = self.key_refused or fact.reasons[0].text
            case AccessRefused() as fact if fact.is_key and fact.until_ns:
                self.key_refused = self.key_refused or key_refused(fact.venue, fact.reason).text
            case MarketGap() as gap if gap.stream or not gap.to_ns:
                self.gaps += 1
            case SessionClosing() as closing:
                self.close_reason = closing.reason
            case _:
                pass
