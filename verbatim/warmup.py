"""Compile the market fold before a session begins, with a message where it takes long.

Compiled code is cached (engine/market/code_folder.py): this takes seconds once after an install, milliseconds later.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from threading import Timer
from typing import TYPE_CHECKING

from engine.market.jit import JIT, was_compiled
from engine.market.market_state import warm_fold
from engine.session_record import VenueSettings
from engine.venues.venue_lookup import make_venue
from verbatim.terminal import make_console

if TYPE_CHECKING:
    from rich.console import Console

MESSAGE_SECONDS = 1.0  # loading cached code takes less
FOLD, BOOKS = "fold_rows", "match_rows"  # the last functions that are compiled of the fold and of a venue's books
SECOND_PROCESS = """
import sys
from contextlib import suppress
from engine.session_record import VenueSettings
from engine.venues.venue_lookup import UnknownVenueError, make_venue
with_books, *kinds = sys.argv[1:]
for kind in kinds:
    with suppress(UnknownVenueError):  # the first process names it
        make_venue(VenueSettings(name=kind), ()).market.warm()
if with_books == "True":
    from engine.sim.exchange.venue_books import VenueBooks
    VenueBooks(1)
"""


def compile_if_new() -> None:
    """Compile for a command that only reads, unless the code is cached; it loads cached code when it uses it."""
    if _is_new(with_books=True):
        compile_first(make_console(stderr=True))


def _is_new(*, with_books: bool) -> bool:
    return JIT and not (was_compiled(FOLD) and (not with_books or was_compiled(BOOKS)))


def warm(venue: VenueSettings | None = None) -> None:
    """Compile what a session calls, in this process: the fold, and what decodes the venue's frames."""
    warm_fold()
    make_venue(venue or VenueSettings(), ()).market.warm()


def compile_first(console: "Console", *given: VenueSettings, with_books: bool = True) -> None:
    """Compile everything a session of these venues needs, so its first message does not wait for the compiler.

    Args:
        console: States that the compiler runs.
        given: The venues; by default that of the demo.
        with_books: Compile the books of a simulated venue, too: a third of the time.
    """
    venues = given or (VenueSettings(),)
    kinds = [venue.kind or venue.name for venue in venues]
    message = Timer(MESSAGE_SECONDS, console.print, ["compiling, for 10 to 20 seconds: only the first run does ..."])
    message.daemon = True
    is_new = _is_new(with_books=with_books)
    if is_new and not console.is_terminal:  # a terminal draws a status
        message.start()
    try:
        with console.status("compiling the market's fold: 10 to 20 seconds the first time ...") as status:
            words = ["-P", "-c", SECOND_PROCESS, str(with_books), *kinds]
            second = subprocess.Popen([sys.executable, *words]) if is_new else None  # noqa: S603 - our own words
            warm_fold()
            if second is not None:
                books = ", the simulated venue's books" if with_books else ""
                status.update(
                    f"compiling the frames of {', '.join(kinds)}{books}: nothing is compiled the next time ..."
                )
                second.wait()
            for venue in venues:
                make_venue(venue, ()).market.warm()
    finally:
        message.cancel()


def compile_all() -> Iterator[str]:
    """Compile what any session calls, part by part; yield the name of the next part."""
    from engine.market import hashed_frames
    from engine.market.fold.dense_book import room_of
    from engine.market.indicators.registry import UPDATES, compiled_update
    from engine.market.packed_rows import warm_unpacking
    from engine.sim.exchange.queue_models import excess, is_counted
    from engine.sim.exchange.venue_books import VenueBooks
    from engine.venues.venue_lookup import UnknownVenueError, installed_venues
    from replay.fold_orders.run import warm_loop
    from replay.row_blocks import warm_order

    yield "the market's fold"
    warm_fold()
    hashed_frames.warm()
    for name in installed_venues():
        yield f"the frames of {name}"
        with suppress(UnknownVenueError):  # an extra that is not installed
            make_venue(VenueSettings(name=name), ()).market.warm()
    yield "the simulated venue's books"
    books = VenueBooks(1)
    books.grow(0, 0)
    books.quote_at(0, 1, 1)
    room_of(books.levels)
    excess(int(is_counted(0)), 1, 0, 0.0, 0)
    yield "rows of sealed sessions"
    warm_unpacking()
    warm_order()
    yield "the indicators"
    for update in UPDATES.values():
        compiled_update(update)
    yield "the loop of orders in the fold"
    warm_loop()
