"""The shell's emergency cancel in virtual time: its own code on trio's mock clock, against the simulated venue."""

import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from engine.live.emergency import EmergencyCancel
from engine.live.transport.http_result import HttpResult
from engine.requests import AnswerStatus, Unsigned
from engine.session_context import SessionContext
from engine.session_record import SECOND_NS
from engine.sim.binance.venue_api import recorded_headers
from engine.sim.simulated_wires import LiveLink
from engine.sim.wire import HttpAnswer, HttpRequest
from engine.state.session_state import Account
from engine.venues.signing import SecretKey

WAIT_S_MAX = 0.5  # between two queries of the venue


class _Wire:
    """Sends requests to the simulated venue, and moves its time with trio's."""

    def __init__(self, venue: LiveLink, session: SessionContext, key: SecretKey) -> None:
        self._venue = venue
        self._session = session
        self._key = key
        self._start_ns = venue.now_ns
        self._answers: dict[int, HttpAnswer | None] = {}  # by connection; None: cut

    async def send(self, name: str, unsigned: Unsigned, offset_ns: int) -> HttpResult:
        """Send one signed request, and wait for its answer."""
        self._advance()
        venue, sent_ns = self._venue, self._venue.now_ns
        signed = self._session.venues[name].signer.sign_http(unsigned, self._key, sent_ns + offset_ns)
        path, _, query = signed.path_and_query.partition("?")
        headers = {field.lower(): value for field, value in signed.headers}
        conn_id = venue.new_conn_id()
        request = HttpRequest(method=signed.method, path=path, query=query.encode(), body=signed.body, headers=headers)
        venue.sim.http(conn_id, request, sent_ns)
        self._advance()
        while conn_id not in self._answers:
            due_ns = venue.sim.next_due_ns
            wait_s = WAIT_S_MAX if due_ns is None else (due_ns - venue.now_ns) / SECOND_NS
            await trio.sleep(min(max(wait_s, 1e-6), WAIT_S_MAX))
            self._advance()
        answer = self._answers.pop(conn_id)
        if answer is None:
            return HttpResult(AnswerStatus.CUT, sent_ns, venue.now_ns)
        headers = recorded_headers(answer)
        return HttpResult(AnswerStatus.ANSWER, sent_ns, venue.now_ns, answer.status, headers, answer.body)

    def _advance(self) -> None:
        """Move the venue to trio's time, and keep its answers."""
        venue = self._venue
        venue.now_ns = max(venue.now_ns, self._start_ns + int(trio.current_time() * SECOND_NS))
        for out in venue.sim.advance(venue.now_ns):
            if out.frame is None:
                self._answers[out.conn_id] = out.answer


def cancel_after_failure(venue: LiveLink, session: SessionContext, account: Account, key: SecretKey) -> list[str]:
    """Cancel as the shell does after its journal failed. Return the ids of the orders that it names as perhaps open."""

    async def run() -> list[str]:
        wire = _Wire(venue, session, key)
        emergency = EmergencyCancel(session, account, wire.send, lambda ns: ns / SECOND_NS)
        await emergency.run()
        return sorted(emergency.open)

    with capture_logs():
        return trio.run(run, clock=MockClock(autojump_threshold=0))
