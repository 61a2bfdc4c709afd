"""Compiling before anything begins, said where it takes long: the market's fold here, the rest of it in a process beside.

What is compiled lies in a cache (engine/market/jit.py), so this costs seconds once after an install, and a glance ever after.
"""

import subprocess
import sys
from threading import Timer

from rich.console import Console

from engine.market.jit import JIT, was_compiled
from engine.market.market_state import warm_fold
from engine.session_record import VenueSettings
from engine.venues.registry import make_venue

TELL_SECONDS = 1.0  # a compiled fold is loaded well within
BESIDE = """
import sys
from engine.session_record import VenueSettings
from engine.sim.exchange.venue_books import VenueBooks
from engine.venues.registry import make_venue
make_venue(VenueSettings(name=sys.argv[1]), ()).market.warm()
VenueBooks(1)
"""


def compile_if_new() -> None:
    """`compile_first` for commands that only read, where it is needed: the rest is loaded when it is used."""
    if JIT and not was_compiled():
        compile_first(Console(stderr=True))


def compile_first(console: Console, venue: VenueSettings | None = None) -> None:
    """A session must not meet its first message with a compiler."""
    venue = venue or VenueSettings()
    told = Timer(TELL_SECONDS, console.print, ["compiling, for 10 to 20 seconds: only the first run does ..."])
    told.daemon = True
    fresh = JIT and not was_compiled()
    if fresh and not console.is_terminal:  # a terminal draws a status
        told.start()
    try:
        with console.status("compiling: 10 to 20 seconds the first time, nothing after that ..."):
            beside = subprocess.Popen([sys.executable, "-P", "-c", BESIDE, venue.name]) if fresh else None  # noqa: S603 - our own words
            warm_fold()
            if beside is not None:
                beside.wait()
            make_venue(venue, ()).market.warm()
    finally:
        told.cancel()
