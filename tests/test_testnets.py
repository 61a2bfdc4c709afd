"""A round trip of the smallest order at each venue: on its test network on demand, else on loopback.

    VERBATIM_TESTNET=binance_spot:BTCUSDT VERBATIM_API_KEY=... VERBATIM_API_SECRET=... pytest tests/test_testnets.py

Both take the same way: every check of `verbatim check`, a session whose strategy places and cancels one order, buys and
sells the smallest quantity, and then its journal, its replay, and an account in which nothing is left.
"""

import os
from pathlib import Path
from typing import Any

import pytest
import trio
from checked_sessions import STRATEGIES
from warm_venue import venue_process

from engine.bodies import CommandName
from engine.live.clock import SessionClock
from engine.live.session import LiveSession
from engine.live.session_config import SessionConfig
from engine.live.session_status import Summary
from engine.live.venue_main import DEMO_KEY, DEMO_SECRET
from engine.session_record import VenueSettings
from engine.sim.venue_kinds import KINDS
from engine.venues.venue import Network
from engine.venues.venue_lookup import installed_venues, make_venue
from journal.verify import verify
from replay.replay import replay_session
from verbatim.checking import check_venue_of
from verbatim.config import make_config, read_keys, session_config
from verbatim.local_checks import Check, CheckStatus
from verbatim.runner import run_session_config

ASKED, _, SYMBOL = os.environ.get("VERBATIM_TESTNET", "").partition(":")
SECONDS_MAX = 120.0


def trading_venues() -> list[str]:
    """Return the venues of this installation that trade at an exchange; others are models in this process."""
    found = {name: make_venue(VenueSettings(name=name), ()) for name in installed_venues()}
    return [name for name, venue in found.items() if venue.trades and venue.endpoints.get(Network.LIVE)]


def wanted_session(venue: dict[str, Any], symbol: str, journals: Path, keys: dict[str, str]) -> SessionConfig:
    values = {
        "instruments": [symbol],
        "venue": venue,
        "strategy": {"smallest": {"file": f"{STRATEGIES}/smallest.py:Smallest"}},
        "session": {"journals": str(journals), "free_mib_min": 0},
        "risk": {"order_notional_max": 1000, "sell_holdings": True},
    }
    config = make_config(values, "test", keys)
    return session_config(config, keys=read_keys(config, keys))


async def round_trip(wanted: SessionConfig) -> Summary:
    """Check the venue, trade the smallest order there and back, and check what is left."""
    found: list[Check] = []
    await check_venue_of(wanted, allowed_rights={}, report=found.append)
    assert [each.line() for each in found if each.status is not CheckStatus.OK] == []

    ended: list[str] = []

    async def drive(session: LiveSession) -> None:
        with trio.move_on_after(SECONDS_MAX):
            while True:
                account = session.state.account
                is_done = account.strategies.get("smallest").state.get("is_done")
                if is_done and account.modes.mode == "running" and not account.orders.live:
                    ended.append("done")
                    break
                await trio.sleep(0.05)
        await session.command(CommandName.STOP, by="test")

    summary = await run_session_config(wanted, drive=drive)
    assert (summary.ended, summary.last.mode, summary.last.stopped) == ("closed", "running", ()), summary
    assert (summary.last.orders >= 3, summary.last.fills >= 2) == (True, True), summary
    assert ended == ["done"], "the round trip took too long"
    assert verify(summary.folder).problems == []
    assert replay_session(summary.folder).identical
    return summary


@pytest.mark.parametrize("name", trading_venues())
async def test_the_smallest_order_on_the_test_network(name: str, tmp_path: Path) -> None:
    addresses = make_venue(VenueSettings(name=name), ()).endpoints.get(Network.TESTNET)
    if addresses is None or not addresses.stream:
        pytest.skip(f"{name} has no test network with streams")
    if name != ASKED:
        pytest.skip(f"on demand: VERBATIM_TESTNET={name}:SYMBOL with VERBATIM_API_KEY and VERBATIM_API_SECRET of it")
    keys = {variable: text for variable, text in os.environ.items() if variable.startswith("VERBATIM_API_")}
    await round_trip(wanted_session({"name": name, "network": "testnet"}, SYMBOL, tmp_path, keys))


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
async def test_the_same_round_trip_on_loopback(name: str, tmp_path: Path) -> None:
    key, secret = KINDS[name].credentials or (DEMO_KEY, DEMO_SECRET)
    async with venue_process({"kind": name}) as ready:
        address = str(ready["listening"])
        stream = address.replace("http", "ws", 1)
        venue = {"name": KINDS[name].dialect, "rest": address, "stream": stream, "private": stream}
        keys = {"VERBATIM_API_KEY": key, "VERBATIM_API_SECRET": secret}
        wanted = wanted_session(venue, ready["symbols"][0], tmp_path, keys)
        assert wanted.clock.speed == SessionClock.wall().speed
        await round_trip(wanted)


@pytest.mark.parametrize("name", trading_venues())
def test_each_network_of_a_venue_is_a_name(name: str, tmp_path: Path) -> None:
    """A configuration names it and no address; `live` is real money, and the other networks are not."""
    endpoints = make_venue(VenueSettings(name=name), ()).endpoints
    assert Network.LIVE in endpoints
    for network, addresses in endpoints.items():
        if addresses.why_unusable or (not addresses.stream and addresses.rest and network is not Network.LIVE):
            continue  # a network of fixed answers, or one that the venue lacks
        config = make_config({"instruments": ["X"], "venue": {"name": name, "network": str(network)}}, "test", {})
        [venue] = session_config(config, keys={}).venues
        assert (venue.settings.rest, venue.settings.private) == (addresses.rest, addresses.private)
        assert venue.network is network
