"""Hyperliquid through the real shell, against the simulated venue on loopback: check, a session, a recording."""

from pathlib import Path
from typing import Any

import pytest
import trio
from warm_venue import venue_process

pytest.importorskip("eth_account", reason="eth-account is not installed: pip install verbatim-trading[hyperliquid]")

from engine.bodies import CommandName
from engine.live.session import LiveSession
from engine.live.session_config import SessionConfig
from engine.live.session_status import Summary
from engine.session_record import SECOND_NS
from engine.sim.hyperliquid import PROTOCOL
from engine.sim.venue_kinds import KINDS
from journal.reader import Journal
from journal.record import Kind
from replay.replay import replay_session
from verbatim.checking import check_venue_of
from verbatim.config import make_config, read_keys, recording_config, session_config
from verbatim.local_checks import Check, CheckStatus
from verbatim.recorder import Recorder
from verbatim.runner import run_session_config

KEY, SECRET = KINDS[PROTOCOL].credentials or ("", "")
AGENT = "0x14791697260e4c9a71f18484c9f997b308e59325"
SCRIPT = f"{Path(__file__).parent}/strategies/script.py:Script"
VENUE = {"kind": PROTOCOL, "symbols": ["BTC"]}
NAME = "engine.venues.hyperliquid:Hyperliquid"  # found without an installation


def values(address: str, journals: Path) -> dict[str, Any]:
    streams = address.replace("http", "ws")
    return {
        "instruments": ["BTC"],
        "venue": {"name": NAME, "rest": address, "stream": streams, "private": streams},
        "session": {"journals": str(journals)},
        "strategy": {
            "script": {"file": SCRIPT, "parameters": {"steps": "buy 0.02; wait; stop 0.02 -5; cancel; wait; close"}}
        },
    }


def config(address: str, journals: Path, key: str = KEY) -> SessionConfig:
    environment = {"VERBATIM_API_KEY": key, "VERBATIM_API_SECRET": SECRET}
    read = make_config(values(address, journals), "test", environment)
    return session_config(read, keys=read_keys(read, environment))


@pytest.mark.slow
async def test_check_a_session_and_a_recording_on_loopback(tmp_path: Path) -> None:
    async def drive(session: LiveSession) -> None:
        with trio.fail_after(60):
            while session.status().fills < 2:
                await trio.sleep(0.05)
        await session.command(CommandName.STOP, by="test")

    async with venue_process(VENUE) as ready:
        address = str(ready["listening"])
        made: list[Check] = []
        await check_venue_of(config(address, tmp_path), allowed_rights={}, report=made.append)
        wrong: list[Check] = []
        await check_venue_of(config(address, tmp_path, AGENT), allowed_rights={}, report=wrong.append)
        summary = await run_session_config(config(address, tmp_path), drive=drive)
        recorded = await record(address, tmp_path / "recorded")
    assert CheckStatus.FAIL not in {each.status for each in made}, made
    assert any("address of an API wallet" in each.text for each in wrong), wrong
    assert (summary.ended, summary.last.mode) == ("closed", "running")
    assert replay_session(summary.folder).identical
    everything = b"".join(path.read_bytes() for path in summary.folder.rglob("*") if path.is_file())
    assert SECRET.removeprefix("0x").encode() not in everything
    payloads = [each.payload or b"" for each in Journal.open(recorded.folder).records() if each.kind is Kind.FEED]
    for channel in (b"l2Book", b"bbo", b"trades", b"activeAssetCtx"):
        assert any(b'{"channel":"' + channel in payload for payload in payloads), channel


async def record(address: str, journals: Path) -> Summary:
    """Record the market for three seconds, as `verbatim record` does. No key is needed."""
    wanted = values(address, journals)
    del wanted["strategy"], wanted["venue"]["private"]
    ended: list[Summary] = []
    recorder = Recorder(
        recording_config(make_config(wanted, "test", {})),
        due_ns=lambda started_ns: started_ns + 3_600 * SECOND_NS,
        on_end=ended.append,
    )
    await recorder.run(3)
    [summary] = ended
    return summary
