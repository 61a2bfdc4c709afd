"""Kill, guard and safety orders while the venue refuses or does not answer: open orders are named, and nothing hammers.

The first tests run in virtual time; the others run real processes, whose venue's own books are read.
"""

import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions
from test_cli_live import Ended, Ready, struck, until, venue, verbatim
from test_emergency_cancel import add_fault, configured, open_at, running
from test_kill import guarding, replays
from test_safety_orders import LEAVE, mode, nothing_is_open
from test_safety_orders import open_at as open_in

from engine.live import startup
from engine.live.previous_session import PreviousJournal, restore_previous
from engine.live.session_config import SessionConfig
from engine.live.venue_main import DEMO_KEY, DEMO_SECRET
from engine.record_codec import read_request
from engine.session_record import SECOND_NS, read_session
from journal.reader import Journal
from journal.record import Kind
from journal.sessions import list_sessions
from replay.replay import replay_session
from verbatim.config import read_config, read_key, session_config
from verbatim.kill_session import kill
from verbatim.testing import VirtualSession

REFUSED = {"action": "reject", "status": 401, "code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}
FIREWALL = {"action": "firewall"}
PRIVATE_PATHS = ("/api/v3/order", "/api/v3/openOrders", "/api/v3/account", "/api/v3/myTrades")


def requests_of(session: VirtualSession, since_ns: int) -> list[float]:
    """Return the seconds after a time at which the venue was sent a signed request."""
    requests = [(read_request(r.body or ""), r.time_ns) for r in session.kinds(Kind.REQUEST) if r.time_ns >= since_ns]
    return [(at - since_ns) / SECOND_NS for request, at in requests if request.unsigned and request.unsigned.signed]


# ---- the session itself


@pytest.mark.parametrize("fault", [REFUSED, FIREWALL], ids=["key", "firewall"])
def test_cancels_that_are_refused_access_are_tried_one_at_a_time_ever_more_seldom(
    start: CheckedSessions, fault: dict[str, Any]
) -> None:
    venue = CalmVenue()
    session = start(venue, "ladder", safety=LEAVE).run(10)
    venue.fault(**fault, times=0)
    since_ns = venue.now_ns
    session.command("halt").command("cancel_all").run(75)
    sent = requests_of(session, since_ns)
    assert len([at for at in sent if at > 1]) <= 12, sent
    waits = [later - sooner for sooner, later in pairwise(sent) if sooner > 1]
    assert max(waits) <= 31, "it never gives up"
    assert len(session.state.account.orders.live) == 14
    assert mode(session) == "halted"
    assert venue.unstruck_faults() == []


@pytest.mark.parametrize("refusals", [3, 12])
def test_a_safety_order_is_done_soon_after_the_venue_grants_access_again(start: CheckedSessions, refusals: int) -> None:
    venue = CalmVenue()
    session = start(venue, "ladder").run(10)
    venue.fault(**REFUSED, times=refusals)
    session.command("halt").command("cancel_all").run(refusals * 6)
    nothing_is_open(session)


def test_a_safety_order_without_a_known_order_asks_a_venue_that_refused_access(start: CheckedSessions) -> None:
    """No cancel can be the probe: the list of open orders is."""
    venue = CalmVenue()
    session = start(venue, "ladder").run(10)
    session.command("cancel_all").run(20).command("resume").run(1)
    venue.fault(**REFUSED, path="/api/v3/openOrders", times=3)
    session.command("reconcile").run(0.5)
    session.command("halt").command("cancel_all").run(15)
    assert session.state.account.safety.active == ()
    nothing_is_open(session)


def test_a_stop_repeats_refused_cancels_ever_more_seldom(start: CheckedSessions) -> None:
    venue = CalmVenue()
    session = start(venue, "ladder").run(10)
    venue.fault(**REFUSED, times=0)
    since_ns = venue.now_ns
    session.command("stop").run(60)
    assert session.closing
    sent = requests_of(session, since_ns)
    assert len([at for at in sent if at > 1]) <= 8, sent
    assert len(open_in(venue)) == 14
    assert venue.unstruck_faults() == []


# ---- `verbatim kill`


@contextmanager
def ladder_left(folder: Path) -> Iterator[tuple[Ready, Path]]:
    """Run a session with 14 open orders, and kill its process."""
    with venue("BTCUSDT") as ready:
        config = configured(folder, ready)
        with running(config) as process:
            until(lambda: len(open_at(ready)) == 14, 60)
            process.kill()
            process.wait(60)
        yield ready, config


def named_orders(ended: Ended) -> int:
    [line] = [line for line in ended.stdout.splitlines() if line.startswith("own orders that may be open")]
    assert "as the journal knows them" in line
    return line.count("-ladder-")


@pytest.mark.slow
@pytest.mark.parametrize("fault", [REFUSED, FIREWALL], ids=["key", "firewall"])
def test_kill_with_a_refused_key_names_what_the_journal_knows_within_its_time(
    tmp_path: Path, fault: dict[str, Any]
) -> None:
    with ladder_left(tmp_path) as (ready, config):
        for path in PRIVATE_PATHS:
            add_fault(ready, **fault, path=path, times=0)
        ended = verbatim("kill", "--config", config, "--timeout", "8", seconds=60)
        killing = list(Journal.open(list_sessions(tmp_path / "journals")[-1].path).records())
        assert killing[-1].time_ns - killing[0].time_ns <= 8 * SECOND_NS
        assert ended.returncode == 4, ended.stderr
        assert "the venue could not be queried: binance_spot refused access" in ended.stderr
        assert named_orders(ended) == 14
        assert sum(struck(ready)) <= 20
        assert len(open_at(ready)) == 14
    replays(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        {"action": "reject", "status": 503, "code": -1000, "msg": "x"},
        {"action": "reject", "status": 429, "code": -1003, "msg": "x", "retry_after_s": 60},
        {"action": "drop_request"},
    ],
    ids=["503", "429", "cut"],
)
def test_kill_at_a_venue_that_answers_nothing_names_what_the_journal_knows(
    tmp_path: Path, fault: dict[str, Any]
) -> None:
    with ladder_left(tmp_path) as (ready, config):
        add_fault(ready, **fault, times=0)
        began = time.monotonic()
        ended = verbatim("kill", "--config", config, "--timeout", "6", seconds=60)
        assert time.monotonic() - began < 6 + 30, "the start of its process comes on top"
        assert ended.returncode == 4, ended.stderr
        assert "the venue could not be queried: " in ended.stderr
        assert named_orders(ended) == 14
        assert 2 <= sum(struck(ready)) <= 5, "it was tried again, ever more seldom"
    assert len(list_sessions(tmp_path / "journals")) == 1
    replays(tmp_path)


@pytest.mark.slow
def test_kill_cancels_by_our_mark_while_the_journal_takes_too_long_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of the time is for reading; then orders at the venue that bear our mark are cancelled, with a warning."""
    is_over, began = threading.Event(), threading.Event()

    def read_for_ever(_wanted: SessionConfig) -> PreviousJournal:
        began.set()
        is_over.wait(60)
        return PreviousJournal()

    monkeypatch.setattr(startup, "restore_previous", read_for_ever)
    with ladder_left(tmp_path) as (ready, path):
        read = read_config(path, environment={})
        keys = {"VERBATIM_API_KEY": DEMO_KEY, "VERBATIM_API_SECRET": DEMO_SECRET}
        config = session_config(read, key=read_key(read, environment=keys), base=tmp_path)
        [left] = list_sessions(tmp_path / "journals")
        body = read_session(Journal.open(left.path).session_record().body or "")
        ended = kill(left.path, body, flatten=False, reason="test", seconds=20, config=config, environment={})
        is_over.set()
        assert began.is_set()
        assert open_at(ready) == []
    assert (ended.way, ended.is_done) == ("venue", True), ended
    assert f"the state of session {body.session} is not known" in ended.warning
    assert replay_session(Path(ended.folder)).identical
    monkeypatch.undo()
    before = restore_previous(config)
    assert before.previous is not None
    assert before.previous.session == body.session, "the next run continues the session that was not read"
    assert before.opening is not None
    assert len(before.opening["account"]["orders"]["live"]) == 14, "it queries them, and learns their end"


@pytest.mark.slow
def test_kill_waits_for_a_venue_that_comes_back(tmp_path: Path) -> None:
    with ladder_left(tmp_path) as (ready, config):
        add_fault(ready, action="reject", status=503, code=-1000, msg="x", path="/api/v3/exchangeInfo", times=2)
        for path in PRIVATE_PATHS[:2]:
            add_fault(ready, **REFUSED, path=path, times=2)
        ended = verbatim("kill", "--config", config, "--timeout", "40", seconds=60)
        assert ended.returncode == 0, ended.stderr
        assert open_at(ready) == []
        assert min(struck(ready)) == 2
    replays(tmp_path)


# ---- the guard


@pytest.mark.slow
def test_a_guard_that_was_refused_tries_again_until_nothing_is_open(tmp_path: Path) -> None:
    """The session of its first try ended in order, and yet left everything open."""
    with venue("BTCUSDT") as ready:
        config = configured(tmp_path, ready)
        with running(config) as process:
            until(lambda: len(open_at(ready)) == 14, 60)
            process.kill()
            process.wait(60)
        for path in PRIVATE_PATHS:
            add_fault(ready, **REFUSED, path=path, times=0)
        verbatim("kill", "--config", config, "--timeout", "15", seconds=90)
        assert Journal.open(list_sessions(tmp_path / "journals")[-1].path).closed
        assert len(open_at(ready)) == 14
        urllib.request.urlopen(urllib.request.Request(f"{ready['listening']}/sim/faults", method="DELETE")).close()
        with guarding(config, "--after", "1"):
            until(lambda: open_at(ready) == [], 60)
    replays(tmp_path)
