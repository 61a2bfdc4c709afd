"""No socket opens while a session is repeated (S26). The line that tries is reported, even if it catches all errors."""

import importlib
import json
import socket
import sys
from pathlib import Path

import pytest

from journal.reader import Journal
from journal.record import canonical
from replay.network_guard import SocketOpenedError, no_sockets
from replay.rebuild import rebuild
from replay.replay import replay_session
from tests.replaying import QUOTER, reseal, sealed

# refused modules cannot be imported by a strategy, but an allowed one may be a way to them
CALLER = QUOTER.replace(
    "from dataclasses import dataclass", "import statistics\nfrom dataclasses import dataclass"
).replace(
    "        state.quotes += 1\n",
    """        state.quotes += 1
        if state.quotes == 5:
            try:
                getattr(statistics, "sys").modules["socket"].socket().close()
            except Exception:
                pass
""",
)

DIALECT = """
import socket
from engine.venues.binance_spot import BinanceSpot
from engine.venues.binance_spot.account import SpotAccount

class CuriousAccount(SpotAccount):
    def decode_private(self, payload):
        try:
            socket.create_connection(("127.0.0.1", 9), timeout=0.1).close()
        except OSError:
            pass
        return super().decode_private(payload)


class Curious(BinanceSpot):
    def __init__(self, instruments, recv_window_ms=5000):
        super().__init__(instruments, recv_window_ms)
        self.account = CuriousAccount(recv_window_ms)
"""


def test_s26_a_strategy_that_opens_a_socket_is_reported_with_its_line(tmp_path: Path) -> None:
    """Record a strategy that opens a socket; in the replay the error passes its own `except`."""
    folder = sealed(tmp_path / "s", source=CALLER, seconds=3)
    line = (
        CALLER.splitlines().index('                getattr(statistics, "sys").modules["socket"].socket().close()') + 1
    )
    with pytest.raises(
        SocketOpenedError, match=rf"quoter\.py:{line} \(decide\) opened a socket during a replay \(socket\.__new__\)"
    ):
        replay_session(folder)


def test_s26_a_venue_that_opens_a_socket_is_reported_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replay a session of a stranger's venue, named as package.module:Class in the SESSION record."""
    (tmp_path / "curious_venue.py").write_text(DIALECT)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "curious_venue", raising=False)
    folder = sealed(tmp_path / "s", seconds=2)
    monkeypatch.setattr(
        "engine.venues.venue_lookup.installed_venues", lambda: {"binance_spot": "curious_venue:Curious"}
    )
    line = DIALECT.splitlines().index('            socket.create_connection(("127.0.0.1", 9), timeout=0.1).close()') + 1
    with pytest.raises(
        SocketOpenedError, match=rf"curious_venue\.py:{line} \(decode_private\) opened a socket"
    ) as caught:
        replay_session(folder)
    assert "no record holds what it would receive" in str(caught.value)


@pytest.mark.parametrize("way", ["new", "resolve"])
def test_s26_every_way_to_a_socket_is_closed_during_the_block(way: str) -> None:
    def reach() -> None:
        if way == "new":
            socket.socket().close()
        else:
            socket.getaddrinfo("127.0.0.1", 80)

    with pytest.raises(SocketOpenedError, match=r"test_network_guard\.py:\d+ \(reach\)"), no_sockets():
        reach()
    reach()


def test_s26_rebuilding_runs_no_code_that_opens_a_socket(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "s", seconds=2)
    first = Journal.open(folder).session_record()
    body = json.loads(first.body or "")
    body["strategies"][0]["sources"]["quoter"] = "import socket\nsocket.socket()\n"
    copy = reseal(folder, tmp_path / "copy", 0, body=canonical(body))
    with no_sockets():
        _, state, _ = rebuild(copy)
    assert state.seq == Journal.open(copy).last_seq


def test_the_probe_of_an_import_is_no_socket_of_a_strategy() -> None:
    """Dialects of venues may be imported as a replay begins: ccxt imports urllib3, which tries IPv6."""
    connection = importlib.import_module("urllib3.util.connection")
    with no_sockets():
        importlib.reload(connection)
        with pytest.raises(SocketOpenedError):
            socket.socket()
