"""Sessions that change nothing at the venue: a dry run, and an account that is watched without a strategy."""

from decimal import Decimal
from pathlib import Path

import trio
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions

from engine.bodies import RequestBody
from engine.live.gateway import READ_ONLY, Gateway
from engine.live.link_tasks import LinkTasks
from engine.requests import Purpose, Transport, Unsigned
from engine.session_record import read_session
from journal.reader import Journal
from journal.record import Kind
from verbatim.testing import strategy_settings

ROOT = Path(__file__).resolve().parent.parent
QUOTER = strategy_settings(ROOT / "examples/quoter.py", "Quoter", name="quoter", parameters={"value": Decimal(60)})


def test_a_dry_run_records_intents_and_verdicts_and_sends_nothing(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    live = begin(venue, QUOTER, read_only=True).run(30)
    assert str(live.state.account.modes.mode) == "running"
    assert live.state.account.balances.get("USDT").free == 1_000_000, "it reads the account"
    approved = [record for record in live.kinds(Kind.VERDICT) if '"approved":true' in record.body]
    assert len(live.kinds(Kind.INTENT)) >= len(approved) > 0
    purposes = {line.split('"purpose":"')[1].split('"')[0] for line in (r.body for r in live.kinds(Kind.REQUEST))}
    assert purposes.isdisjoint({"place", "cancel"})
    live.command("cancel_all").command("flatten").run(5)
    live.stop()
    assert venue.get("/sim/state")["orders"] == [], "the venue never saw an order"
    assert read_session(Journal.open(live.folder).session_record().body).read_only


def test_an_account_is_watched_without_a_strategy(begin: CheckedSessions) -> None:
    """Orders and fills of another program on the account are read and journalled."""
    venue = CalmVenue()
    watching = begin(venue, read_only=True).run(5)
    assert watching.facts("reconciled")
    assert watching.facts("balance")
    watching.stop()


def test_a_request_that_changes_the_venue_does_not_pass_the_gateway_of_a_read_only_session() -> None:
    """Even if the core requests it, nothing reaches a transport: it ends as not sent."""
    cancel = Unsigned(Transport.REST, "DELETE", "/api/v3/order", (), signed=True)
    request = RequestBody(Purpose.CANCEL, "v", True, 10**19, 10**9, cancel, client_order_id="o")
    arrivals = []

    class Ingress:
        def put(self, arrival: object) -> None:
            arrivals.append(arrival)

    class Clock:
        def now_ns(self) -> int:
            return 1

    from engine.record_codec import text_of
    from journal.record import Record

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            gateway = Gateway(
                venues={},
                senders={},  # a sender that is used would be a KeyError
                keys={},
                trading=(),
                clock=Clock(),  # type: ignore[arg-type]
                ingress=Ingress(),  # type: ignore[arg-type]
                links=LinkTasks({}, Ingress(), Clock()),  # type: ignore[arg-type]
                nursery=nursery,
            )
            gateway.perform(Record(seq=7, kind=Kind.REQUEST, source="v", time_ns=1, body=text_of(request)), request)
            result = await gateway.send_now("v", cancel, 0)
            assert (result.outcome, result.error) == ("not_sent", READ_ONLY)

    trio.run(run)
    (arrival,) = arrivals
    assert (arrival.cause, READ_ONLY in arrival.meta) == (7, True)
