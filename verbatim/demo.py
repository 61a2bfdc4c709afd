"""The tour: a simulated venue in a process of its own, a session against it, then the replay of that session.

Knows how the parts are started and what is shown of them; nothing of how they work.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import trio
from rich.console import Console

from engine.live.clock import SessionClock
from engine.live.session import Session
from engine.live.session_status import Summary
from engine.live.startup import SessionConfig
from engine.live.transport.selection import TransportProfile
from engine.live.venue_main import DEMO_KEY, DEMO_SECRET, VenueStartError
from engine.session_record import EngineSettings, RiskSettings, StrategySettings, VenueSettings
from engine.strategy.loading import StrategyError
from engine.venues.binance_spot.signing import ApiKey
from verbatim.config import RECV_WINDOW_MS_MAX, at_speed
from verbatim.runner import Progress, run_wanted
from verbatim.strategy_files import read_strategy, refuse_strangers

VENUE_SECONDS_MAX = 60.0  # until the venue listens: a large capture must be unpacked first
POLL_SECONDS = 0.2
DRAIN_SECONDS = 0.5  # after the capture's last line, so that it arrives and is taken
DEFAULTS = {  # symbol -> the example strategies that trade it
    "BTCUSDT": {"quoter": "quoter.py:Quoter", "cross": "ma_cross.py:MovingAverageCross"},
    "ETHUSDT": {"quoter": "quoter.py:EthQuoter", "cross": "ma_cross.py:EthCross"},
}
RISK = RiskSettings(
    order_notional_max=Decimal(500), position_max=Decimal(1), open_orders_max=20, orders_per_second_max=20
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tour:
    """What the command line asked for."""

    journals: Path
    capture: Path | None = None
    speed: int = 1
    seed: int = 1
    seconds: float = 20.0
    strategy: str = ""
    transport: TransportProfile = TransportProfile.STANDARD


def examples_folder() -> Path:
    """Beside the package where it was installed, in the checkout where it was not."""
    here = Path(__file__).resolve().parent
    return next(folder for folder in (here / "examples", here.parent / "examples") if (folder / "quoter.py").is_file())


def strategies_for(tour: Tour, symbol: str) -> tuple[StrategySettings, ...]:
    if tour.strategy:
        return (read_strategy(tour.strategy),)
    if symbol not in DEFAULTS:
        raise StrategyError(f"no example strategy trades {symbol}; name one of your own with --strategy FILE:CLASS")
    return tuple(read_strategy(file, name=name, base=examples_folder()) for name, file in DEFAULTS[symbol].items())


@asynccontextmanager
async def venue_process(options: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """The simulated venue as a child process; yields what it said when it listened. It ends with the block, or with us.

    A session of its own keeps the terminal's Ctrl-C from it: the engine must still cancel and ask there.
    """
    options = options | {"ends_with_stdin": True}
    command = [sys.executable, "-P", "-m", "engine.live.venue_main", msgspec.json.encode(options).decode()]
    with tempfile.TemporaryFile() as errors:
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
        assert process.stdout is not None, "asked for"
        try:
            said = b""
            with trio.move_on_after(VENUE_SECONDS_MAX):
                while b"\n" not in said and (received := await process.stdout.receive_some()):
                    said += received
            if b"\n" not in said:
                process.kill()
                errors.seek(0)
                why = errors.read().decode(errors="replace").strip().rpartition("\n")[2] or "it said nothing"
                raise VenueStartError(why.removeprefix("venue: "))
            yield msgspec.json.decode(said)
        finally:
            with trio.CancelScope(shield=True):
                if process.returncode is None:
                    process.terminate()
                with trio.move_on_after(5):
                    await process.wait()
                if process.returncode is None:
                    process.kill()
                    await process.wait()


async def trade(tour: Tour, console: Console) -> Summary:
    """The session, from the venue's start to the seal."""
    if tour.strategy:
        read_strategy(tour.strategy)  # before anything is started for it
    options: dict[str, Any] = {"speed": tour.speed, "seed": tour.seed}
    if tour.capture is not None:
        options["capture"] = os.fspath(tour.capture.resolve())
    else:
        options["symbols"] = ["BTCUSDT"]
    async with venue_process(options) as ready:
        wanted = wanted_for(tour, ready)
        with Progress(console) as progress:
            return await run_wanted(wanted, show=progress, drive=partial(_end_in_time, tour, str(ready["listening"])))


def wanted_for(tour: Tour, ready: dict[str, Any]) -> SessionConfig:
    """The session that fits the venue which said `ready`."""
    address = str(ready["listening"])
    stream = address.replace("http", "ws", 1)
    symbols = tuple(ready["symbols"])
    strategies = strategies_for(tour, symbols[0])
    refuse_strangers(strategies, symbols, listed="the demo's market")
    return SessionConfig(
        journals=tour.journals,
        clock=SessionClock.scaled(
            session_origin_ns=ready["session_origin_ns"],
            monotonic_origin_ns=ready["monotonic_origin_ns"],
            speed=tour.speed,
        ),
        venue=VenueSettings(
            rest=address, stream=stream, private=stream, recv_window_ms=min(5000 * tour.speed, RECV_WINDOW_MS_MAX)
        ),
        symbols=symbols,
        strategies=strategies,
        key=ApiKey.hmac(DEMO_KEY, DEMO_SECRET),
        risk=RISK,
        engine=at_speed(EngineSettings(), tour.speed),
        account="demo",
        seed=tour.seed,
        transport=tour.transport,
        carry=False,  # every tour has a venue of its own, which remembers nothing
    )


async def _end_in_time(tour: Tour, address: str, session: Session) -> None:
    """Stops the session when its time is over or, playing a capture, when the capture is."""
    if tour.capture is None:
        await trio.sleep(tour.seconds)
    else:
        async with httpx.AsyncClient(trust_env=False) as client:
            while not (await client.get(f"{address}/sim/status")).json()["feed"]["finished"]:  # noqa: ASYNC110 - another process
                await trio.sleep(POLL_SECONDS)
        await trio.sleep(DRAIN_SECONDS)
        while session.inbox.frames:  # noqa: ASYNC110 - asked a few times at the very end; an event would be set 41,000 times
            await trio.sleep(POLL_SECONDS)
    await session.command("stop", by="demo", reason="the tour is over")
