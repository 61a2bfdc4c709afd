"""Random sessions with every fault at once: the state rebuilt from the records equals the engine's at every step.

At the end, without faults, the engine's books are the venue's. The seeds are few; many more found no further error.
"""

from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from checked_sessions import check_books

from engine.kernel import Kernel, rebuilder_of
from engine.session_record import SECOND_NS, EngineSettings
from engine.state.session_state import State
from journal.record import Record
from verbatim.testing import VirtualSession, VirtualVenue, strategy_settings

STRATEGIES = Path(__file__).parent / "strategies"
ORDER = {"method": "POST", "path": "/api/v3/order"}
CANCEL = {"method": "DELETE", "path": "/api/v3/order"}
FAULTS: tuple[dict[str, object], ...] = (
    {"action": "cut_answer", **ORDER},
    {"action": "drop_request", **ORDER},
    {"action": "error_after", **ORDER},
    {"action": "delay_answer", "ms": 900, **ORDER},
    {"action": "not_found_for", "ms": 3_000, **ORDER},
    {"action": "reject", "status": 400, "code": -2011, "msg": "Unknown order sent.", **CANCEL},
    {"action": "cut_answer", **CANCEL},
    {"action": "delay_answer", "ms": 1_500, **CANCEL},
    {"action": "drop_request", "method": "GET", "path": "/api/v3/myTrades"},
    {"action": "delay_answer", "ms": 2_000, "method": "GET", "path": "/api/v3/openOrders"},
    {"action": "error_after", "method": "GET", "path": "/api/v3/order"},
    {"action": "delay_events", "event": "executionReport", "ms": 700, "times": 5},
    {"action": "duplicate_events", "event": "executionReport", "times": 5},
    {"action": "drop_events", "event": "TRADE"},
    {"action": "drop_events", "event": "executionReport", "times": 3},
    {"action": "drop_events", "event": "outboundAccountPosition", "times": 3},
    {"action": "delay_events", "event": "outboundAccountPosition", "ms": 800, "times": 3},
    {"action": "disconnect", "target": "private"},
    {"action": "disconnect", "target": "market"},
    {"action": "events_before_answer"},
    {"action": "rate_limit", "retry_after_s": 2, **ORDER},
    {"action": "rate_limit", "retry_after_s": 2, "method": "GET", "path": "/api/v3/account"},
)


class Twin:
    """Folds every record of a session as it is written, and compares."""

    def __init__(self, session: VirtualSession) -> None:
        self.session = session
        self.kernel: Kernel = rebuilder_of(session.records[0])
        self.state: State = self.kernel.begin(session.records[0])
        self.taken = 1
        self.steps = 0

    def follow(self, records: list[Record]) -> None:
        for record in records[self.taken :]:
            self.kernel.rebuild(self.state, record)
        self.taken = len(records)
        self.steps += 1
        ours, theirs = self.session.state, self.state
        assert theirs.account == ours.account, self._first_difference(ours)
        if self.steps % 20 == 0:
            assert theirs.digests() == ours.digests(), f"at record {records[-1].seq}"

    def _first_difference(self, ours: State) -> str:
        names = (name for name in ours.account.__struct_fields__)
        parts = [name for name in names if getattr(ours.account, name) != getattr(self.state.account, name)]
        return f"at record {self.session.records[-1].seq}: {parts}"


def watched(session: VirtualSession) -> Twin:
    """From here on, a twin follows each step. The strategy's code is not run by it."""
    twin = Twin(session)
    write = session.sequencer._append

    def append(records: list[Record], *, urgent: bool) -> None:
        write(records, urgent=urgent)
        twin.follow(session.records)

    session.sequencer._append = append  # type: ignore[assignment]
    return twin


@pytest.mark.faults_may_miss("faults and times are random; the test counts how many struck")
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_random_bad_day_is_rebuilt_at_every_step_and_ends_well(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    venue = VirtualVenue(seed=seed)
    settings = EngineSettings(keep_closed_ns=8 * SECOND_NS, reconcile_every_ns=5 * SECOND_NS, checkpoint_every=500)
    pair = strategy_settings(STRATEGIES / "pair.py", "Pair")
    session = VirtualSession(venue, tmp_path / "0", strategies=[pair], session="a" * 8, engine=settings)
    twin = watched(session)
    for number in range(1, 4):
        for _ in range(4):
            venue.fault(**{**random.choice(FAULTS), "nth": random.randint(1, 3)})
            session.run(random.uniform(0.3, 2.5))
        if number < 3 and random.random() < 0.6:
            session.kill()
            venue.now_ns += random.randint(1, 3) * SECOND_NS
            opening = twin.state
            name = "abcdefgh"[number] * 8
            session = VirtualSession(
                venue,
                tmp_path / str(number),
                strategies=[pair],
                session=name,
                previous=session,
                opening=opening,
                engine=settings,
            )
            twin = watched(session)
    venue.sim.faults.clear()
    assert len(venue.unstruck_faults()) <= 9, (
        "of the twelve: a session that waits after a fault sends less for the next"
    )
    session.command("pause").run(75)
    session.writer.abandon()
    assert session.state.account.modes.mode.value == "paused", session.state.account.modes.reasons
    assert twin.steps > 100

    theirs = venue.get("/sim/state")
    account = session.state.account
    check_books(session, all_fills=False)
    bought = sum(Decimal(str(f["quantity"])) * (1 if f["side"] == "BUY" else -1) for f in theirs["fills"])
    assert account.positions.by_key.keys() <= {"pair binance_spot:BTCUSDT"}, "nothing of ours is booked as others'"
    charged = account.positions.get("pair", "binance_spot:BTCUSDT").fees.get("BTC", Decimal(0))
    assert account.positions.net("binance_spot:BTCUSDT") == bought - charged
    assert account.orders.missing_fills == ()
