"""Sessions on USD-M futures through the real shell, against the real venue on loopback: sockets, tokens and disk."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import trio
from checked_sessions import of_tests
from msgspec.structs import replace as replace_struct
from warm_venue import venue_process

from engine.bodies import CommandName
from engine.live.session import LiveSession
from engine.live.session_config import SessionConfig, with_venue
from engine.live.transport.selection import TransportProfile
from engine.model import MarginMode
from engine.risk_settings import MarginSettings
from engine.session_record import RiskSettings, newest_risk
from journal.reader import Journal
from journal.record import Kind
from replay.replay import replay_session
from verbatim.checking import Check, check_venue_of
from verbatim.demo import DemoOptions, demo_session
from verbatim.local_checks import CheckStatus
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
    assert sum('"order_filled"' in body for body in facts) >= 4  # of four orders: one may fill at two prices
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


@pytest.mark.slow
@pytest.mark.parametrize("sets", [False, True])
async def test_check_fails_where_the_limits_of_margin_would_block_every_order(tmp_path: Path, *, sets: bool) -> None:
    """The venue begins at 20 times cross."""
    margin = MarginSettings(leverage_max=Decimal(5), mode=MarginMode.ISOLATED, sets=sets)
    async with venue_process(VENUE) as ready:
        wanted = futures_session(tmp_path, ready, "", TransportProfile.STANDARD)
        made: list[Check] = []
        risk = replace_struct(wanted.risk, margin=margin)
        await check_venue_of(replace(wanted, risk=risk), allowed_rights={}, report=made.append)
        if not sets:
            await check_venue_of(wanted, allowed_rights={}, report=made.append)
    first, *more = [(check.status, check.text) for check in made if check.name == "margin"]
    wrong = "BTCUSDT: leverage 20 is above leverage_max 5; the margin mode is cross, not isolated"
    if sets:
        assert (first, more) == ((CheckStatus.OK, f"{wrong}, which the session sets"), [])
    else:
        assert first == (CheckStatus.FAIL, f"every order would be refused: {wrong}")
        assert more == [(CheckStatus.OK, "BTCUSDT cross, leverage 20")]
