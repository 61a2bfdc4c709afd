"""The emergency cancel at a venue whose answers lag, contradict or refuse, in virtual time.

No process and no socket: its requests go to the core of the simulated venue, whose own books are read at the end.
"""

from typing import Any

import pytest
import trio
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions
from test_safety_orders import open_at
from trio.testing import MockClock

from engine.live.emergency import EmergencyCancel
from engine.live.transport.http_result import HttpResult
from engine.requests import AnswerStatus, Unsigned
from engine.session_record import SECOND_NS
from engine.sim.wire import HttpRequest
from engine.state.session_state import Account
from engine.venues.signing import Credentials
from verbatim.testing import API_KEY, API_SECRET, VirtualSession, VirtualVenue

TRANSIT_SECONDS = 0.01
REFUSED = {"action": "reject", "status": 401, "code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}


class Emergency:
    """An emergency cancel of a session that was killed, against its venue."""

    def __init__(self, session: VirtualSession, account: Account | None = None) -> None:
        self.sent: list[tuple[float, str, str]] = []  # seconds, method and path of each request
        self._answers: dict[int, Any] = {}  # by connection, that no one took yet
        self._venue = session.venue
        self._began_ns = session.venue.now_ns
        self._context = session.sequencer.kernel.session
        [self._dialect] = self._context.venues.values()
        self._key = self._dialect.signer.load_key(Credentials(API_KEY, API_SECRET))
        self.cancel = EmergencyCancel(
            self._context, account or session.state.account, self._send, lambda ns: ns / SECOND_NS
        )

    def run(self) -> "Emergency":
        async def main() -> None:
            self._origin = trio.current_time()
            await self.cancel.run()

        trio.run(main, clock=MockClock(autojump_threshold=0))
        return self

    async def _send(self, _venue: str, unsigned: Unsigned, offset_ns: int) -> HttpResult:
        seconds = trio.current_time() - self._origin
        self.sent.append((seconds, unsigned.method, unsigned.path))
        venue = self._venue
        sent_ns = venue.now_ns = self._began_ns + int(seconds * SECOND_NS)
        message = self._dialect.signer.sign_http(unsigned, self._key, sent_ns + offset_ns)
        path, _, query = message.path_and_query.partition("?")
        headers = {name.lower(): value for name, value in message.headers}
        request = HttpRequest(
            method=message.method, path=path, query=query.encode(), body=message.body, headers=headers
        )
        conn_id = venue.new_conn_id()
        venue.sim.http(conn_id, request, sent_ns)
        await trio.sleep(TRANSIT_SECONDS)
        now_ns = self._began_ns + int((trio.current_time() - self._origin) * SECOND_NS)
        venue.now_ns = max(venue.now_ns, now_ns)
        for outgoing in venue.sim.advance(venue.now_ns):
            self._answers[outgoing.conn_id] = outgoing.answer
        answer = self._answers.pop(conn_id, None)
        if answer is None:
            return HttpResult(AnswerStatus.TIMEOUT, sent_ns, venue.now_ns)
        return HttpResult(AnswerStatus.ANSWER, sent_ns, venue.now_ns, answer.status, dict(answer.headers), answer.body)


def killed(start: CheckedSessions, venue: VirtualVenue) -> VirtualSession:
    """Return a session with 14 open orders beside one of another program, after its process was killed."""
    session = start(venue, "ladder").run(10)
    terms = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.001", "price": "30000"}
    assert venue.by_hand("POST", "/api/v3/order", symbol="BTCUSDT", newClientOrderId="another-bot-1", **terms)[0] == 200
    session.kill()
    assert len(open_at(venue)) == 15
    return session


@pytest.mark.parametrize("seconds", [20, 3600])
def test_orders_that_the_list_does_not_show_are_cancelled_by_their_ids(start: CheckedSessions, seconds: int) -> None:
    venue = CalmVenue()
    session = killed(start, venue)
    venue.fault(action="list_behind", ms=seconds * 1000)
    ended = Emergency(session).run()
    assert open_at(venue) == ["another-bot-1"]
    assert ended.cancel.left() == ""
    assert venue.unstruck_faults() == []


def test_no_single_list_proves_that_nothing_is_open(start: CheckedSessions) -> None:
    """The guard of a stuck session knows no order: its first list shows none, a later one shows them all."""
    venue = VirtualVenue()
    session = killed(start, venue)
    venue.fault(action="list_behind", ms=(venue.now_ns - session.body.started_ns) // 1_000_000 + 1000)
    ended = Emergency(session, Account()).run()
    assert open_at(venue) == ["another-bot-1"]
    assert ended.cancel.left() == ""
    assert venue.unstruck_faults() == []


def test_orders_that_the_list_shows_after_their_end_are_proven_by_their_own_answers(start: CheckedSessions) -> None:
    venue = CalmVenue()
    session = killed(start, venue)
    venue.fault(action="list_lag", ms=3_600_000)
    ended = Emergency(session).run()
    assert open_at(venue) == ["another-bot-1"]
    assert ended.cancel.left() == ""
    assert ended.sent[-1][0] < 5
    assert venue.unstruck_faults() == []


def test_an_order_that_the_venue_does_not_know_for_a_moment_is_not_taken_as_ended(start: CheckedSessions) -> None:
    venue = CalmVenue()
    venue.fault(action="not_found_for", method="POST", path="/api/v3/order", ms=11_500)
    session = start(venue, "once", parameters={"below": "100"}).run(10)
    session.kill()
    ended = Emergency(session).run()
    assert open_at(venue) == []
    assert ended.cancel.left() == ""
    assert venue.unstruck_faults() == []


@pytest.mark.parametrize("knows", [True, False])
@pytest.mark.parametrize(
    "fault",
    [
        REFUSED,
        {"action": "reject", "status": 503, "code": -1000, "msg": "x"},
        {"action": "reject", "status": 418, "code": -1003, "msg": "x", "retry_after_s": 3},
    ],
    ids=["401", "503", "418"],
)
def test_a_venue_that_refuses_is_asked_ever_more_seldom_and_nothing_is_claimed(
    start: CheckedSessions, fault: dict[str, Any], knows: bool
) -> None:
    venue = CalmVenue()
    session = killed(start, venue)
    venue.fault(**fault, times=0)
    ended = Emergency(session, None if knows else Account()).run()
    assert len(open_at(venue)) == 15
    text = "14 orders may still be open" if knows else "binance_spot did not confirm that no order of ours is open"
    assert text in ended.cancel.left()
    rounds = [at for at, method, path in ended.sent if path.endswith("openOrders")]
    assert len(rounds) <= 8, rounds
    cancels = [at for at, method, path in ended.sent if method == "DELETE"]
    assert len(cancels) <= {401: 8, 503: 8 * 14, 418: 0}[fault["status"]]
    assert venue.unstruck_faults() == []
