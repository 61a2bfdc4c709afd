"""Sessions on USD-M futures through the real shell, against the real venue on loopback: sockets, tokens and disk."""

from dataclasses import replace
from pathlib import Path

import pytest
import trio
from checked_sessions import of_tests

from engine.bodies import CommandName
from engine.live.session import LiveSession
from engine.live.session_config import SessionConfig, with_venue
from engine.live.transport.selection import TransportProfile
from engine.session_record import RiskSettings, newest_risk
from journal.reader import Journal
from journal.record import Kind
from replay.replay import replay_session
from verbatim.checking import Check, check_venue_of
from verbatim.demo import DemoOptions, demo_session, venue_process
from verbatim.runner import run_session_config

VENUE = {"kind": "binance_usdm", "symbols": ["BTCUSDT"]}
NAME = "binance_usdm"


def futures_session(folder: Path, ready: dict[str, object], steps: str, profile: TransportProfile) -> SessionConfig:
    wanted = demo_session(DemoOptions(journals=folder, transport=profile), ready)
    strategy = of_tests("script", {"steps": steps})
    chosen = replace(wanted, strategies=(strategy,), risk=newest_risk(RiskSettings()))
    return with_venue(chosen, name=NAME)


@pytest.mark.slow
@pytest.mark.parametrize("profile", list(TransportProfile))
async def test_a_session_on_loopback_goes_long_and_short_and_records_no_token(
    tmp_path: Path, profile: TransportProfile
) -> None:
    async def drive(session: LiveSession) -> None:
        with trio.fail_after(60):
            while session.status().fills < 4:
                await trio.sleep(0.05)
        await session.command(CommandName.STOP, by="test")

    async with venue_process(VENUE) as ready:
        steps = "buy 0.02; wait; stop 0.02 -5; cancel; wait; close; sell 0.01; wait; close"
        wanted = futures_session(tmp_path, ready, steps, profile)
        summary = await run_session_config(wanted, drive=drive)
    assert (summary.ended, summary.last.mode) == ("closed", "running")
    assert replay_session(summary.folder).identical
    records = list(Journal.open(summary.folder).records())
    facts = [record.body or "" for record in records if record.kind is Kind.FACT]
    assert sum('"order_filled"' in body for body in facts) == 4
    assert not any('"balance_drift"' in body for body in facts)
    paths = [
        record.body or "" for record in records if record.kind is Kind.REQUEST and "/private/ws" in (record.body or "")
    ]
    assert paths
    assert all("/private/ws/{token}" in body for body in paths)


@pytest.mark.slow
async def test_check_opens_the_user_stream(tmp_path: Path) -> None:
    async with venue_process(VENUE) as ready:
        wanted = futures_session(tmp_path, ready, "", TransportProfile.STANDARD)
        made: list[Check] = []
        await check_venue_of(wanted, allowed_rights={}, report=made.append)
    assert any("accepts the subscription" in str(check) for check in made), made
