"""Make the tables of docs/ccxt.md: the capabilities of each exchange of ccxt, and the results of the tried ones.

    python benchmarks/ccxt_table.py [--write]

Nothing is sent to an exchange. A call counts if ccxt makes one request of it, at the exchange's own host, for a made-up
market. The stories of the tried exchanges are played by a loopback server (tests/ccxt_playing.py).
"""

import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import trio

from engine.model import Instrument
from engine.requests import HistoryPage, Unsigned
from engine.venues.ccxt import CcxtVenue, venue_of
from engine.venues.ccxt.exchange_rules import AccountRules
from engine.venues.ccxt.pure_calls import ccxt_module

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "ccxt.md"
NOW_NS = 1_723_161_250 * 10**9
MINUTE_NS = 60 * 10**9
COLUMNS = ("quotes", "books", "trades", "candles", "clock")
ACCOUNT = ("orders", "our id", "cancel by it", "query by it", "cancel all", "fills")


def made_up(name: str) -> Instrument:
    """Return a market that the exchange might have."""
    tick = Decimal("0.01")
    return Instrument(f"ccxt_{name}:BTCUSDT", f"ccxt_{name}", "BTCUSDT", "BTC", "USDT", 2, 8, tick, tick)


def serves(venue: CcxtVenue, make: Callable[[], Unsigned | None]) -> str:
    """Return "+" if one request at the exchange's host is made."""
    try:
        unsigned = make()
        if unsigned is None:
            return ""
        venue.signer.sign_http(unsigned, None, NOW_NS)
    except (ValueError, LookupError, AttributeError):
        return ""
    return "+"


def market_data(venue: CcxtVenue, of: Instrument) -> dict[str, str]:
    """Return the market data of an exchange, by column."""
    polls = {poll.stream.name.lower(): poll.unsigned for poll in venue.polls(of)}
    page = HistoryPage(MINUTE_NS, MINUTE_NS, NOW_NS, NOW_NS + MINUTE_NS, NOW_NS + MINUTE_NS)
    quote = serves(venue, lambda: polls["quote"])
    if quote:
        quote = "ticker" if venue.rules.has_ticker_sizes else "book"
    return {
        "quotes": quote,
        "books": serves(venue, lambda: polls["book"]),
        "trades": serves(venue, lambda: polls["trade"]),
        "candles": serves(venue, lambda: venue.history.request(of, page)),
        "clock": serves(venue, venue.server_time),
    }


def account(rules: AccountRules | None) -> dict[str, str]:
    """Return what an account has, by column."""
    if rules is None:
        return dict.fromkeys(ACCOUNT, "")
    short = {"MARKET": "market", "LIMIT": "limit", "LIMIT_MAKER": "post only"}
    return {
        "orders": ", ".join(short[kind] for kind in sorted(rules.types)),
        "our id": f"{rules.ids.length_max} characters",
        "cancel by it": "+" if rules.cancel_by else "",
        "query by it": "+" if rules.query_by else "",
        "cancel all": "+" if rules.cancels_all else "",
        "fills": "+",
    }


def matrix(names: list[str]) -> list[str]:
    """Return the lines of the capability matrix."""
    lines = [f"| exchange | {' | '.join((*COLUMNS, *ACCOUNT))} |", "|---" * (1 + len(COLUMNS) + len(ACCOUNT)) + "|"]
    for name in names:
        row: Mapping[str, str]
        try:
            of = made_up(name)
            venue: Any = venue_of(name)((of,), 5_000)
            row = {**market_data(venue, of), **account(venue.rules.account)}
        except (LookupError, ValueError, TypeError) as error:
            lines.append(f"| {name} | none: {str(error)[:60]} |{' |' * (len(COLUMNS) + len(ACCOUNT) - 1)}")
            continue
        lines.append(f"| {name} | {' | '.join(row[column] for column in (*COLUMNS, *ACCOUNT))} |")
    return lines


def tried() -> list[str]:
    """Return the lines of the table of tried exchanges."""
    sys.path.insert(0, str(ROOT / "tests"))
    playing = import_module("ccxt_playing")
    lines = [f"| exchange | {' | '.join(playing.ITEMS)} |", "|---" * (1 + len(playing.ITEMS)) + "|"]
    for name in sorted(playing.STORIES):
        found = trio.run(playing.play, name)
        lines.append(f"| {name} | {' | '.join('' if found[item] else '+' for item in playing.ITEMS)} |")
    return lines


def between(text: str, name: str, lines: list[str]) -> str:
    """Return a page with the lines between the marks of a table."""
    before, rest = text.split(f"<!-- {name} -->\n", 1)
    _, after = rest.split(f"<!-- end of {name} -->", 1)
    return f"{before}<!-- {name} -->\n" + "\n".join(lines) + f"\n<!-- end of {name} -->{after}"


def main() -> None:
    tables = {"exchanges": matrix(list(ccxt_module().exchanges)), "tried exchanges": tried()}
    for name, lines in tables.items():
        print(f"{name}: ccxt {ccxt_module().__version__}, {len(lines) - 2} exchanges", *lines, sep="\n")
    if "--write" in sys.argv:
        text = PAGE.read_text("utf-8")
        for name, lines in tables.items():
            text = between(text, name, lines)
        PAGE.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
