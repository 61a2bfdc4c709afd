"""The demo: start a simulated venue as a process, and trade a session against it.

Knows how these are started; knows nothing of how they work.
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

from engine.bodies import CommandName
from engine.live.clock import SessionClock
from engine.live.logs import LogSettings
from engine.live.session import LiveSession
from engine.live.session_config import SessionConfig
from engine.live.session_status import Summary
from engine.live.transport.selection import TransportProfile
from engine.live.venue_access import VenueAccess
from engine.live.venue_main import DEMO_KEY, DEMO_SECRET, VenueStartError
from engine.risk_settings import SelfTradeChoice
from engine.session_record import (
    SAFETY,
    RiskSettings,
    StrategySettings,
    VenueSettings,
    new_engine_settings,
    newest_risk,
)
from engine.strategy.loading import load
from engine.strategy.rule_loading import recorded_rules
from engine.strategy.source_guard import StrategyError
from engine.venues.signing import Credentials
from engine.venues.venue_lookup import make_venue
from verbatim.config import scale_timeouts
from verbatim.runner import StatusLine, run_session_config
from verbatim.strategy_files import check_instruments, read_strategy
from verbatim.venue_sections import RECV_WINDOW_MS_MAX

VENUE_SECONDS_MAX = 60.0  # until the venue listens: a large capture is unpacked first
POLL_SECONDS = 0.2
DRAIN_SECONDS = 0.5  # after the capture's last line, until it was processed
ERRORS_ONLY = LogSettings(level="error")
SYNTHETIC_SYMBOLS = ("BTCUSDT", "ETHUSDT")  # the first one, or those that the strategy trades
DEFAULTS = {  # symbol -> the example strategies that trade it
    "BTCUSDT": {"quoter": "quoter.py:Quoter", "cross": "ma_cross.py:MovingAverageCross"},
    "ETHUSDT": {"quoter": "quoter.py:EthQuoter", "cross": "ma_cross.py:EthCross"},
}
RISK = newest_risk(
    RiskSettings(
        order_notional_max=Decimal(500),
        position_max=Decimal(1),
        open_orders_max=20,
        orders_per_second_max=20,
        sell_holdings=True,  # the examples quote both sides
        self_trade=SelfTradeChoice.ALLOW,  # the venue expires what would trade with itself, so each example trades
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """The options of `verbatim demo`."""

    journals: Path
    capture: Path | None = None
    speed: int = 1
    seed: int = 1
    seconds: float = 20.0
    strategy: str = ""
    transport: TransportProfile = TransportProfile.STANDARD
    status: bool = True  # a status line, if stderr is a terminal
    log: LogSettings = ERRORS_ONLY


def examples_folder() -> Path:
    """Return the folder of example strategies, installed or in the checkout."""
    here = Path(__file__).resolve().parent
    return next(folder for folder in (here / "examples", here.parent / "examples") if (folder / "quoter.py").is_file())


def demo_strategies(options: DemoOptions, symbol: str) -> tuple[StrategySettings, ...]:
    """Return the strategy of --strategy, or the examples that trade `symbol`.

    Raises:
        StrategyError: no example trades it.
    """
    if options.strategy:
        return (read_strategy(options.strategy),)
    if symbol not in DEFAULTS:
        raise StrategyError(f"no example strategy trades {symbol}; name one of your own with --strategy FILE:CLASS")
    return tuple(read_strategy(file, name=name, base=examples_folder()) for name, file in DEFAULTS[symbol].items())


@asynccontextmanager
async def venue_process(options: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """Run the simulated venue as a child process until the block ends; yield its JSON line.

    It gets a separate process session, so Ctrl-C does not reach it: the engine still cancels orders there.
    """
    options = options | {"ends_with_stdin": True}
    command = [sys.executable, "-P", "-m", "engine.live.venue_main", msgspec.json.encode(options).decode()]
    with tempfile.TemporaryFile() as errors:
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
        assert process.stdout is not None, "asked for"
        try:
            ready = b""
            with trio.move_on_after(VENUE_SECONDS_MAX):
                while b"\n" not in ready and (received := await process.stdout.receive_some()):
                    ready += received
            if b"\n" not in ready:
                process.kill()
                errors.seek(0)
                why = errors.read().decode(errors="replace").strip().rpartition("\n")[2] or "it printed nothing"
                raise VenueStartError(why.removeprefix("venue: "))
            yield msgspec.json.decode(ready)
        finally:
            with trio.CancelScope(shield=True):
                if process.returncode is None:
                    process.terminate()
                with trio.move_on_after(5):
                    await process.wait()
                if process.returncode is None:
                    process.kill()
                    await process.wait()


def refuse_strategy(options: DemoOptions) -> None:
    """Refuse a strategy that the demo cannot trade, before anything is compiled or started.

    The instruments of a capture are known only to the venue that plays it.

    Raises:
        StrategyError: It cannot be loaded, or trades another instrument.

    """
    if options.strategy:
        strategy = read_strategy(options.strategy)
        if options.capture is None:
            check_instruments((strategy,), demo_symbols(options), listed="the demo's market")


def demo_symbols(options: DemoOptions) -> tuple[str, ...]:
    """Return the symbols of the synthetic market: those that the strategy trades and the market knows."""
    traded = load(read_strategy(options.strategy)).instruments if options.strategy else ()
    found = tuple(symbol for symbol in SYNTHETIC_SYMBOLS if symbol in {name.rpartition(":")[2] for name in traded})
    return found or SYNTHETIC_SYMBOLS[:1]


async def trade(options: DemoOptions) -> Summary:
    """Start the venue, run the session, and return its summary."""
    venue_options: dict[str, Any] = {"speed": options.speed, "seed": options.seed}
    if options.capture is not None:
        venue_options["capture"] = os.fspath(options.capture.resolve())
    else:
        venue_options["symbols"] = list(demo_symbols(options))
    async with venue_process(venue_options) as ready:
        config = demo_session(options, ready)
        with StatusLine(is_wanted=options.status) as status:
            return await run_session_config(
                config,
                on_status=status,
                drive=partial(_stop_at_end, options, str(ready["listening"])),
                log=options.log,
            )


def demo_session(options: DemoOptions, ready: dict[str, Any]) -> SessionConfig:
    """Return the session for the venue that printed `ready`."""
    address = str(ready["listening"])
    stream = address.replace("http", "ws", 1)
    symbols = tuple(ready["symbols"])
    strategies = demo_strategies(options, symbols[0])
    check_instruments(strategies, symbols, listed="the demo's market")
    return SessionConfig(
        journals=options.journals,
        clock=SessionClock.scaled(
            session_origin_ns=ready["session_origin_ns"],
            monotonic_origin_ns=ready["monotonic_origin_ns"],
            speed=options.speed,
        ),
        venues=(
            VenueAccess(
                settings=VenueSettings(
                    rest=address,
                    stream=stream,
                    private=stream,
                    recv_window_ms=min(5000 * options.speed, RECV_WINDOW_MS_MAX),
                ),
                symbols=symbols,
                key=make_venue(VenueSettings(), ()).signer.load_key(Credentials(DEMO_KEY, DEMO_SECRET)),
                transport=options.transport,
            ),
        ),
        strategies=strategies,
        rules=recorded_rules([]),
        risk=RISK,
        engine=scale_timeouts(new_engine_settings(), options.speed),
        safety=msgspec.structs.replace(SAFETY, blind_after_ns=SAFETY.blind_after_ns * options.speed),
        account="demo",
        seed=options.seed,
        carry=False,  # each demo starts a new venue without history
    )


async def _stop_at_end(options: DemoOptions, address: str, session: LiveSession) -> None:
    """Stop the session after `options.seconds` or, playing a capture, at the capture's end."""
    if options.capture is None:
        await trio.sleep(options.seconds)
    else:
        async with httpx.AsyncClient(trust_env=False) as client:
            while not (await client.get(f"{address}/sim/status")).json()["feed"]["finished"]:  # noqa: ASYNC110 - another process
                await trio.sleep(POLL_SECONDS)
        await trio.sleep(DRAIN_SECONDS)
        while session.ingress.waiting:  # noqa: ASYNC110 - polled a few times; an event would be set 41,000 times
            await trio.sleep(POLL_SECONDS)
    await session.command(CommandName.STOP, by="demo", reason="the demo is over")
