"""Starting the simulated venue: options, market, clock, port; one JSON line when it is ready; a clean end on signals.

`python -m engine.live.venue_main '{"port": 0, ...}'` runs it as a separate process.
"""

import gzip
import json
import os
import re
import signal
import sys
import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import msgspec
import trio

from engine.live.venue_server import ScaledClock, VenueServer
from engine.sim.binance import PROTOCOL as SPOT
from engine.sim.exchange.venue_arrays import PRICE_MAX, SIZE_MAX
from engine.sim.feeds.capture_feed import CaptureMarket, DamagedCaptureError
from engine.sim.feeds.sim_market import SimMarket
from engine.sim.sim_venue import SimVenue
from engine.sim.units import PLACES
from engine.sim.venue_config import AccountConfig, VenueConfig
from engine.sim.venue_kinds import KINDS
from engine.venues.binance_common.capture_scan import CaptureScan
from engine.venues.captured_market import CaptureMessage

USDM: Final = "binance_usdm"
DEMO_KEY: Final = "verbatim-demo-key"
DEMO_SECRET: Final = "verbatim-demo-secret"  # noqa: S105  # the simulated venue's own, open to all who read this
SETTLE_SECONDS: Final = (
    0.25  # real time that the snapshot's answer gets before the next frame: on a busy machine 0.05 was too little
)
SNAPSHOT_WAIT_SECONDS_MAX: Final = 10  # real time that the feed waits for a request of the snapshot
BEHIND_SECONDS_MAX: Final = (
    2  # real time by which the feed may be late: a machine too slow for the speed gets a slower market
)
LONG_NUMBER: Final = re.compile(rb'"(?:\d{11,}|\d*\.\d{9,})[."]')  # of a price or a size; ids have no quotes
LEAD_SECONDS: Final = 2.0  # real time between the clock's origin and the first line


class VenueStartError(Exception):
    """The venue cannot start: one line that says what, where and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOptions:
    """The options of the simulated venue's process."""

    kind: str = SPOT  # the venue that it plays (engine/sim/venue_kinds.py)
    host: str = "127.0.0.1"
    port: int = 0  # 0: any free one
    capture: Path | None = None  # else the synthetic market
    speed: float = 1.0
    seed: int = 1
    symbols: tuple[str, ...] = ()  # of the synthetic market; empty: the venue's own. A capture has its own
    event_ms: float = 16.0  # mean time between two events of a symbol of the synthetic market, without excitation
    accounts: tuple[AccountConfig, ...] = ()  # empty: the demo's
    lead_seconds: float = LEAD_SECONDS
    hold_until_subscribed: bool = True  # captures only
    session_origin_ns: int | None = None  # synthetic market only; None: the wall clock
    monotonic_origin_ns: int | None = None  # of another venue of this machine, whose clock it shares; None: now
    weight_max: int = 0  # 0: the venue's own
    orders_10s_max: int = 0
    latency_ms: float = 0.0  # real time
    overrides: dict[str, dict[str, Any]] = field(default_factory=dict)
    history: dict[str, Sequence[Sequence[Any]]] = field(default_factory=dict)  # as in VenueConfig
    ends_with_stdin: bool = False  # for a child process: its parent holds the other end of the pipe


def demo_account(kind: str) -> AccountConfig:
    """Return the account of a venue whose options name none."""
    key, secret = KINDS[kind].credentials or (DEMO_KEY, DEMO_SECRET)
    return AccountConfig(api_key=key, secret=secret, balances=dict(KINDS[kind].balances), name="demo")


def read_capture(path: Path, kind: str = SPOT) -> CaptureMarket:
    """Read a capture, plain or gzip."""
    try:
        raw = path.read_bytes()
        lines = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).splitlines()
        market = CaptureMarket(lines)
    except OSError as error:
        raise VenueStartError(f"cannot read the capture {path}: {error.strerror or error}") from error
    except EOFError as error:
        raise VenueStartError(f"the capture {path} is cut off: {error}") from error
    except (DamagedCaptureError, zlib.error) as error:
        raise VenueStartError(f"the capture {path} cannot be played: {error}") from error
    if why := _why_not(kind, market.streams, lines) or _why_not_counted(lines):
        raise VenueStartError(f"the capture {path} cannot be played: {why}")
    return market


def _why_not(kind: str, streams: Iterable[str], lines: Iterable[bytes]) -> str:
    """Return why a venue cannot play a capture, or "". Diffs of another market would never join its book."""
    if kind == SPOT and any(stream.endswith("@depth@0ms") for stream in streams):
        return f"it is of Binance futures (depth@0ms streams); this venue plays Spot's; try --kind {USDM}"
    snapshots = 0
    for line in lines:
        if kind == SPOT and b'"e":"depthUpdate"' in line and b'"pu":' in line:
            return f"it is of Binance futures (`pu` in its depth diffs); this venue plays Spot's; try --kind {USDM}"
        if kind == USDM and b'"e":"depthUpdate"' in line and b'"pu":' not in line:
            return f"it is of Binance Spot (no `pu` in its depth diffs); this venue plays futures; try --kind {SPOT}"
        snapshots += line.partition(b" ")[2].startswith(b'{"lastUpdateId":')
    return (
        ""
        if snapshots
        else 'it has no depth snapshot (a line that begins with {"lastUpdateId":), so no book can be built'
    )


def _why_not_counted(lines: Iterable[bytes]) -> str:
    """Return why the numbers of a capture cannot be counted exactly, or "". Most captures have no long number."""
    if not any(LONG_NUMBER.search(line) for line in lines):
        return ""
    messages = (CaptureMessage(0, "", None, line.partition(b" ")[2]) for line in lines)
    for (_, symbol), found in CaptureScan(messages).found.items():
        price, size = found.prices.largest, found.sizes.largest
        if price > PRICE_MAX or size > SIZE_MAX:
            return (
                f"{symbol}: a price up to {price:,} or a size up to {size:,} is more than the simulated venue counts "
                f"exactly ({PRICE_MAX:,} and {SIZE_MAX:,})"
            )
        if max(found.prices.places, found.sizes.places) > PLACES:
            return f"{symbol}: more than {PLACES} decimal places, which the simulated venue does not count"
    return ""


def build(options: VenueOptions) -> tuple[SimVenue, ScaledClock]:
    """Return the venue and its clock, which starts now."""
    if options.kind not in KINDS:
        raise VenueStartError(f"no venue {options.kind!r} to play; choose one of {', '.join(KINDS)}")
    kind = KINDS[options.kind]
    if options.speed <= 0:
        raise VenueStartError(f"speed must be above 0, not {options.speed}")
    lead_ns = int(options.lead_seconds * options.speed * 1e9)
    market: SimMarket
    if options.capture is not None:
        market = read_capture(options.capture, options.kind)
        origin_ns = market.first_ns - lead_ns
    else:
        origin_ns = time.time_ns() if options.session_origin_ns is None else options.session_origin_ns
        gap_ns, symbols = int(options.event_ms * 1e6), options.symbols or kind.symbols
        market = kind.synthetic(symbols, seed=options.seed, start_ns=origin_ns, gap_ns=gap_ns)
    real_ns = int(options.speed * 1e9)
    config = VenueConfig(
        accounts=options.accounts or (demo_account(options.kind),),
        hold_until_subscribed=options.capture is not None and options.hold_until_subscribed,
        snapshot_wait_ns_max=SNAPSHOT_WAIT_SECONDS_MAX * real_ns,
        settle_ns=int(SETTLE_SECONDS * real_ns) if options.capture is not None else 0,
        behind_ns_max=BEHIND_SECONDS_MAX * real_ns,
        weight_max=options.weight_max,
        orders_10s_max=options.orders_10s_max,
        latency_ns=int(options.latency_ms * options.speed * 1e6),
        overrides=options.overrides,
        history=options.history,
    )
    now_ns = time.monotonic_ns()
    monotonic_ns = now_ns if options.monotonic_origin_ns is None else options.monotonic_origin_ns
    clock = ScaledClock(session_origin_ns=origin_ns, monotonic_origin_ns=monotonic_ns, speed=options.speed)
    try:
        return SimVenue(config, market, kind.protocol), clock
    except (ValueError, KeyError, TypeError) as error:  # a symbol or a filter that there is not
        raise VenueStartError(str(error)) from error


async def serve(options: VenueOptions, task_status: trio.TaskStatus[dict[str, Any]] = trio.TASK_STATUS_IGNORED) -> None:
    """Serve until cancelled. Reports what a client needs to know once the port is open."""
    try:
        listeners = await trio.open_tcp_listeners(options.port, host=options.host)
    except OSError as error:
        reason = error.strerror or str(error)
        raise VenueStartError(f"cannot listen on {options.host}:{options.port}: {reason}; try --port 0") from error
    venue, clock = build(options)
    port = listeners[0].socket.getsockname()[1]
    task_status.started(
        {
            "listening": f"http://{options.host}:{port}",
            "session_origin_ns": clock.session_origin_ns,
            "monotonic_origin_ns": clock.monotonic_origin_ns,
            "speed": clock.speed,
            "symbols": list(venue.exchange.markets),
        }
    )
    await VenueServer(venue, clock).run(listeners)


async def _serve_until_signalled(options: VenueOptions) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            ready = await nursery.start(serve, options)
            if options.ends_with_stdin:
                nursery.start_soon(_end_with_stdin, nursery.cancel_scope)
            sys.stdout.write(json.dumps(ready) + "\n")
            sys.stdout.flush()
            async for _ in signals:
                nursery.cancel_scope.cancel()
                break


async def _end_with_stdin(scope: trio.CancelScope) -> None:
    async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as stdin:
        while await stdin.receive_some():
            pass
    scope.cancel()


def main(options: VenueOptions) -> None:
    """Run the venue until SIGINT or SIGTERM. Raises VenueStartError."""
    try:
        trio.run(_serve_until_signalled, options)
    except* VenueStartError as problems:
        first: BaseException = problems
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None


def run_from_command_line(arguments: list[str]) -> int:
    """Run the venue with options as JSON. Return the exit code."""
    try:
        given = msgspec.json.decode(arguments[0] if arguments else "{}", type=dict[str, Any])
        unknown = sorted(given.keys() - {option.name for option in fields(VenueOptions)})
        if unknown:
            raise VenueStartError(f"no option named {', '.join(unknown)}")
        main(msgspec.convert(given, VenueOptions, dec_hook=_path))
    except (VenueStartError, msgspec.DecodeError) as problem:
        sys.stderr.write(f"venue: {problem}\n")
        return 1
    return 0


def _path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(kind)


if __name__ == "__main__":
    sys.exit(run_from_command_line(sys.argv[1:]))
