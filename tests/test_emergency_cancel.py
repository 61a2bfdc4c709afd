"""Unordered ends of real sessions on loopback: the disk, the core or the shell fails, and no order of ours stays open.

The venue's own books are read after each end. Orders of another program on the account are there before and after.
"""

import json
import os
import resource
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from test_cli_live import ROOT, Ready, environment, state_of, struck, until, venue
from warm_processes import VERBATIM, WarmProcess

from engine.bodies import NoteLevel
from engine.live.session_status import SessionStatus
from engine.live.venue_main import DEMO_KEY, DEMO_SECRET
from engine.model import Side, TimeInForce
from engine.order_terms import LimitTerms
from engine.record_codec import read_note
from engine.session_record import VenueSettings
from engine.venues.signing import Credentials
from engine.venues.venue_lookup import make_venue
from journal.reader import Journal
from journal.record import Kind
from journal.recover import recover
from journal.sessions import list_sessions
from replay.replay import replay_session
from verbatim.config import read_config, read_key, session_config
from verbatim.runner import run_session_config

CONFIG = """
instruments = ["BTCUSDT"]
[session]
journals = "{folder}/journals"
account = "demo"
carry = false
free_mib_min = 0
{session}
[venue]
name = "{dialect}"
rest = "{rest}"
stream = "{stream}"
private = "{stream}"
[strategy.ladder]
file = "{root}/tests/strategies/ladder.py:Ladder"
[risk]
order_size_max = "0.1"
open_orders_max = 20
"""

# the dialect whose reader of private messages fails on a report about the order "poison"
POISONED = """
from engine.venues.binance_spot import BinanceSpot
from engine.venues.binance_spot.account import SpotAccount


class PoisonedAccount(SpotAccount):
    def decode_private(self, payload):
        if b'"poison"' in payload:
            raise RuntimeError("poison")
        return super().decode_private(payload)


class Poisoned(BinanceSpot):
    def __init__(self, instruments, recv_window_ms=5000):
        super().__init__(instruments, recv_window_ms)
        self.account = PoisonedAccount(recv_window_ms)
"""


def configured(folder: Path, ready: Ready, *, session: str = "", dialect: str = "binance_spot") -> Path:
    path = folder / "session.toml"
    rest = ready["listening"]
    stream = rest.replace("http", "ws", 1)
    path.write_text(CONFIG.format(folder=folder, session=session, dialect=dialect, rest=rest, stream=stream, root=ROOT))
    return path


def add_fault(ready: Ready, **fault: Any) -> None:
    request = urllib.request.Request(f"{ready['listening']}/sim/faults", json.dumps(fault).encode(), method="POST")
    urllib.request.urlopen(request).close()


def place_foreign(ready: Ready, client_order_id: str) -> None:
    """Place an order as another program on the account does."""
    venue = make_venue(VenueSettings(), ())
    with urllib.request.urlopen(f"{ready['listening']}/api/v3/exchangeInfo?symbol=BTCUSDT") as answer:
        [instrument] = venue.metadata.read(answer.read()).instruments
    terms = LimitTerms(Decimal(30_000), TimeInForce.GTC)
    unsigned = venue.account.place(client_order_id, instrument, Side.BUY, Decimal("0.001"), terms)
    key = venue.signer.load_key(Credentials(DEMO_KEY, DEMO_SECRET))
    message = venue.signer.sign_http(unsigned, key, time.time_ns())
    request = urllib.request.Request(
        ready["listening"] + message.path_and_query, message.body, dict(message.headers), method=message.method
    )
    urllib.request.urlopen(request).close()


def open_at(ready: Ready) -> list[str]:
    return sorted(order["client_order_id"] for order in state_of(ready)["open_orders"])


@contextmanager
def running(config: Path, *, path: str = "") -> Iterator[subprocess.Popen[str]]:
    """Run a session in a separate process."""
    more = {"PYTHONPATH": os.pathsep.join(filter(None, (path, os.environ.get("PYTHONPATH", ""))))}
    with WarmProcess(
        [*VERBATIM, "run", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**more),
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def fill_disk(process: subprocess.Popen[str]) -> None:
    """Refuse every further byte of the process's files, as a full disk does."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, 1))


FAULTS: list[dict[str, Any]] = [
    {},
    {"action": "clock_skew", "ms": -3000},
    {"action": "reject", "method": "DELETE", "status": 503, "code": -1000, "msg": "x", "times": 5},
    {"action": "reject", "method": "GET", "path": "/api/v3/openOrders", "status": 503, "code": -1000, "msg": "x"},
]


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_emergency_cancel_after_a_failed_journal(tmp_path: Path, fault: dict[str, Any]) -> None:
    with venue("BTCUSDT") as ready:
        place_foreign(ready, "another-bot-1")
        if fault.get("action") == "clock_skew":
            add_fault(ready, **fault)
        with running(configured(tmp_path, ready)) as process:
            until(lambda: len(open_at(ready)) == 15, 60)
            if fault and fault["action"] != "clock_skew":
                add_fault(ready, **fault)
            fill_disk(process)
            output, errors = process.communicate(timeout=120)
        assert process.returncode == 4, errors
        assert "the journal" in output or "File too large" in output, output
        assert open_at(ready) == ["another-bot-1"]
        assert "emergency cancel" in errors
        assert not fault or min(struck(ready)) > 0


@pytest.mark.slow
def test_emergency_cancel_reports_as_an_error_what_stays_open(tmp_path: Path) -> None:
    with venue("BTCUSDT") as ready:
        with running(configured(tmp_path, ready)) as process:
            until(lambda: len(open_at(ready)) == 14, 60)
            add_fault(ready, action="reject", method="DELETE", status=503, code=-1000, msg="x", times=0)
            fill_disk(process)
            output, errors = process.communicate(timeout=120)
        assert process.returncode == 4
        assert len(open_at(ready)) == 14
        assert "orders may still be open at the venue" in errors
        assert "14 orders may still be open" in output
        assert min(struck(ready)) > 14, "each cancel was repeated"


@pytest.mark.slow
def test_a_failed_journal_leaves_orders_if_the_configuration_says_so(tmp_path: Path) -> None:
    with venue("BTCUSDT") as ready:
        config = configured(tmp_path, ready, session='on_journal_failure = "leave"')
        with running(config) as process:
            until(lambda: len(open_at(ready)) == 14, 60)
            fill_disk(process)
            process.communicate(timeout=120)
        assert process.returncode == 4
        assert len(open_at(ready)) == 14


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["cancel", "leave"])
def test_emergency_cancel_after_a_failed_core_is_recorded(tmp_path: Path, choice: str) -> None:
    (tmp_path / "poisoned.py").write_text(POISONED)
    with venue("BTCUSDT") as ready:
        config = configured(tmp_path, ready, session=f'on_failure = "{choice}"', dialect="poisoned:Poisoned")
        with running(config, path=str(tmp_path)) as process:
            until(lambda: len(open_at(ready)) == 14, 60)
            place_foreign(ready, "poison")
            output, errors = process.communicate(timeout=60)
        assert process.returncode == 4, errors
        assert "broke the core: RuntimeError: poison" in output
        assert len(open_at(ready)) == (1 if choice == "cancel" else 15)
    [session] = list_sessions(tmp_path / "journals")
    recover(session.path)
    records = list(Journal.open(session.path).records())
    poison = next(record for record in records if b'"poison"' in (record.payload or b""))
    after = [record for record in records if record.seq > poison.seq]
    cancels = [r for r in after if r.kind is Kind.REQUEST and '"purpose":"cancel"' in (r.body or "")]
    assert len(cancels) == (14 if choice == "cancel" else 0)
    assert any(read_note(r.body or "").level is NoteLevel.ALARM for r in after if r.kind is Kind.NOTE)
    sys.path.insert(0, str(tmp_path))
    try:
        assert replay_session(session.path).identical
    finally:
        sys.path.remove(str(tmp_path))


@pytest.mark.slow
async def test_emergency_cancel_after_a_failed_shell(tmp_path: Path) -> None:
    with venue("BTCUSDT") as ready:
        read = read_config(configured(tmp_path, ready), environment={})
        keys = {"VERBATIM_API_KEY": DEMO_KEY, "VERBATIM_API_SECRET": DEMO_SECRET}
        config = session_config(read, key=read_key(read, environment=keys), base=tmp_path)

        def fail(status: SessionStatus) -> None:
            if status.orders == 14:
                raise KeyError("a fault of the shell")

        with pytest.RaisesGroup(KeyError, flatten_subgroups=True):
            await run_session_config(config, on_status=fail)
        assert open_at(ready) == []
    [session] = list_sessions(tmp_path / "journals")
    assert replay_session(session.path).identical
