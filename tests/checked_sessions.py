"""Sessions in virtual time, each checked at its end: faults, journal, replay, and our books beside the venue's own.

`begin` is a fixture of every test (conftest.py). `check_books` is the one comparison of an account with its venue.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.kernel import kernel_of
from engine.mode_reasons import Mode
from engine.session_record import StrategySettings
from engine.state.account_keys import asset_key
from engine.state.session_state import State
from journal.reader import Journal
from journal.record import Kind
from journal.recover import recover
from journal.verify import verify
from replay.replay import replay_session
from verbatim.testing import VirtualSession, VirtualVenue, strategy_settings

STRATEGIES = Path(__file__).parent / "strategies"


class CheckedSessions:
    """Begins sessions in one folder, by the names of their strategies, and checks all of them at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.begun: list[VirtualSession] = []

    def __call__(
        self,
        venue: VirtualVenue | Mapping[str, VirtualVenue],
        *strategies: str | StrategySettings,
        parameters: dict[str, Any] | None = None,
        **settings: Any,
    ) -> VirtualSession:
        """Begin a session with these strategies of tests/strategies; the parameters are those of the first."""
        chosen = [
            each if isinstance(each, StrategySettings) else of_tests(each, {} if place else parameters)
            for place, each in enumerate(strategies)
        ]
        name = "abcdefghij"[len(self.begun)] * 8
        session = VirtualSession(venue, self.folder / name, strategies=chosen, session=name, **settings)
        self.begun.append(session)
        return session

    def check(self) -> None:
        """Check each session; the books are those of the last, because the venue moved on since the others ended."""
        for session in self.begun:
            check_journal(session)
        if self.begun:
            check_books(self.begun[-1], at_rest=False)


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[CheckedSessions]:
    """Return a function that begins a session. At the end of the test all its sessions are checked."""
    sessions = CheckedSessions(tmp_path)
    yield sessions
    sessions.check()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[CheckedSessions]:
    """Return a function that begins a session. At the end journals are checked; the test may leave the books apart."""
    sessions = CheckedSessions(tmp_path)
    yield sessions
    for session in sessions.begun:
        check_journal(session)


def of_tests(name: str, parameters: dict[str, Any] | None = None) -> StrategySettings:
    """Return the settings of a strategy of tests/strategies."""
    return strategy_settings(STRATEGIES / f"{name}.py", name.capitalize(), parameters=parameters)


def check_journal(session: VirtualSession) -> None:
    """Check that each fault struck, and that the journal, abandoned if it is not sealed, verifies and replays."""
    for venue in session.venues.values():
        assert venue.unstruck_faults() == [], "a fault that never struck proves nothing"
    session.writer.wait_durable(session.records[-1].seq, 60)  # virtual time is faster than the writer's thread
    session.writer.abandon()
    recover(session.folder)
    assert verify(session.folder).problems == []
    verdict = replay_session(session.folder)
    assert verdict.identical, verdict.text()


def check_books(session: VirtualSession, *, at_rest: bool = True, all_fills: bool = True) -> None:
    """Compare our account with the venue's: balances, open orders, fills. The venue received each client id once.

    Args:
        session: The session.
        at_rest: The venue has answered about each order; else those without its id may be unknown to it.
        all_fills: Each fill of the venue is in our orders; else closed orders have left the state.
    """
    for name, venue in session.venues.items():
        _check_books_at(session, name, venue, at_rest=at_rest, all_fills=all_fills)


def _check_books_at(session: VirtualSession, name: str, venue: VirtualVenue, *, at_rest: bool, all_fills: bool) -> None:
    """Compare our account at one venue with the venue's. `name` is "" in a session of one venue."""
    theirs, account = venue.get("/sim/state"), session.state.account
    for asset, held in theirs["balances"]["test"].items():
        if asset_key(name, asset) in account.balances.by_asset:
            ours = account.balances.get(asset, name)
            assert (ours.free, ours.locked) == (Decimal(held["free"]), Decimal(held["locked"])), (name, asset)
    mine = [each for each in account.orders.all() if name in ("", each.order.instrument.partition(":")[0])]
    listed = {str(each["order_id"]): (each["client_order_id"], each["price"]) for each in theirs["open_orders"]}
    live = {
        each.venue_order_id: each
        for each in mine
        if each.client_order_id in account.orders.live and (at_rest or each.venue_order_id)
    }
    assert live.keys() == listed.keys()
    for order_id, order in live.items():
        client_id, price = listed[order_id]
        assert (order.venue_client_id or order.client_order_id, order.order.price) == (client_id, Decimal(price))
    booked = Counter((fill, order.venue_order_id) for order in mine for fill in order.fill_ids)
    filled = Counter((str(fill["trade_id"]), str(fill["order_id"])) for fill in theirs["fills"])
    assert booked == filled if all_fills else booked <= filled
    assert set(theirs["client_order_ids"].values()) <= {1}


def check_ordered_end(session: VirtualSession) -> None:
    """Check the journal, its replay and our books after an ordered end. Nothing is open."""
    assert verify(session.folder).problems == []
    verdict = replay_session(session.folder)
    assert verdict.identical, verdict.text()
    check_books(session, all_fills=False)
    assert session.state.account.orders.live == {}


def rebuilt(folder: Path) -> State:
    """Return the state that the journal alone gives: nothing is decided."""
    records = Journal.open(folder).records()
    first = next(records)
    kernel = kernel_of(first)
    state = kernel.begin(first)
    for record in records:
        kernel.rebuild(state, record)
    return state


def notes(session: VirtualSession, level: str) -> list[str]:
    """Return the texts of a session's notes of one level."""
    bodies = (json.loads(record.body or "") for record in session.kinds(Kind.NOTE))
    return [body["text"] for body in bodies if body["level"] == level]


def mode(session: VirtualSession) -> Mode:
    """Return the mode of the account."""
    return session.state.account.modes.mode
