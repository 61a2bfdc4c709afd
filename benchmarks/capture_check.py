"""A real capture played to a live session: is every message in the journal, is every book the known one, does it
repeat?

    python -P benchmarks/capture_check.py [--data ../shared/data] [--speed 60] [--strict-until SEQ] spot_btcusdt
    spot_ethusdt

Runs `verbatim demo --capture`, then checks the sealed journal alone: the public messages byte for byte and in order;
the book, folded from the records, against exact decimals at each point of known/binance_books_and_trades.json, and the
trades' totals; `verbatim verify`; `verbatim replay --strict` (two hash seeds x compiled and plain). Prints one JSON
line a capture; exit code 1 where something does not hold.
"""

import argparse
import gzip
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from engine.kernel import rebuilder_of
from engine.market.market_state import Market
from engine.market.views import BookState
from journal.reader import Journal
from journal.record import Kind, Record

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("VERBATIM_DATA", ROOT.parent / "shared" / "data"))


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("names", nargs="*", default=["spot_btcusdt", "spot_ethusdt"])
    options.add_argument("--data", type=Path, default=DATA)
    options.add_argument("--speed", type=int, default=60)
    options.add_argument("--strict-until", default="", help="the strict replay goes only this far")
    options.add_argument("--keep", type=Path, default=None, help="a folder for the journals, which then stay")
    given = options.parse_args()
    broken = False
    with tempfile.TemporaryDirectory() as scratch:
        for name in given.names:
            found = check(
                given.data, name, given.keep or Path(scratch), speed=given.speed, strict_until=given.strict_until
            )
            broken |= bool(found["wrong"])
            print(json.dumps(found), flush=True)
    return 1 if broken else 0


def check(data: Path, name: str, journals: Path, *, speed: int, strict_until: str = "") -> dict[str, Any]:
    """Everything about one capture. `wrong` lists what does not hold."""
    capture = data / "captures" / "binance" / f"{name}_20240808.gz"
    known = json.loads((data / "known" / "binance_books_and_trades.json").read_text())["captures"][name]
    begun = time.monotonic()
    demo = verbatim("demo", "--capture", capture, "--speed", speed, "--journals", journals, "--json")
    demo_s = time.monotonic() - begun
    session = demo["session"]
    journal = Journal.open(Path(demo["folder"]))
    wrong = [] if demo["replay"] == "identical" and demo["ended"] == "closed" else [f"the demo: {demo}"]
    messages, own = public_messages(journal)
    wrong += messages_differ(messages, lines(capture))
    points, found = books_differ(journal, known)
    wrong += found
    verified = verbatim("verify", session, "--journals", journals, "--json")
    strict = verbatim(
        "replay",
        session,
        "--strict",
        "--journals",
        journals,
        "--json",
        *(["--until", strict_until] if strict_until else []),
    )
    if not strict["identical"]:
        wrong.append(f"replay --strict: {strict}")
    return {
        "capture": capture.name,
        "wrong": wrong,
        "public_messages": len(messages),
        "other_public": own,
        "book_points": points,
        "records": demo["records"],
        "orders": demo["orders"],
        "fills": demo["fills"],
        "verify": verified,
        "replay": demo["replay"],
        "strict": {key: strict[key] for key in ("identical", "records", "compared", "seconds")},
        "demo_seconds": round(demo_s, 1),
    }


def verbatim(*arguments: object) -> dict[str, Any]:
    """The command line, as anyone would use it. Its last line is JSON."""
    words = [sys.executable, "-P", "-c", "from verbatim.cli import main; main()", *map(str, arguments)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    if not ended.stdout.strip():
        raise SystemExit(f"{' '.join(words)} ended with {ended.returncode}: {ended.stderr.strip()[-2000:]}")
    found: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
    return found


def lines(capture: Path) -> list[bytes]:
    with gzip.open(capture) as file:
        return [line.partition(b" ")[2].rstrip(b"\r\n") for line in file]


def public_messages(journal: Journal) -> tuple[list[bytes], dict[str, int]]:
    """Return the market's messages in the order of the journal, and counts of the other public traffic by kind."""
    messages: list[bytes] = []
    other: dict[str, int] = {}
    purposes: dict[int, str] = {}
    for record in journal.records():
        if record.kind is Kind.REQUEST:
            purposes[record.seq] = json.loads(record.body or "{}")["purpose"]
        elif record.kind is Kind.FEED:
            what = _what(record, purposes)
            if what in ("frame", "depth"):
                assert record.payload is not None, record.seq
                messages.append(record.payload)
            else:
                other[what] = other.get(what, 0) + 1
    return messages, other


def _what(record: Record, purposes: dict[int, str]) -> str:
    if record.source.endswith(".rest"):
        return "exchange_info at the start" if record.cause is None else purposes[record.cause]
    return "frame" if (record.payload or b"").startswith(b'{"stream":') else "acknowledgement"


def messages_differ(found: list[bytes], expected: list[bytes]) -> list[str]:
    if found == expected:
        return []
    at = next(
        (n for n, (one, other) in enumerate(zip(found, expected, strict=False)) if one != other),
        min(len(found), len(expected)),
    )
    return [f"{len(found)} public messages of {len(expected)}; the first that differs is line {at}"]


def books_differ(journal: Journal, known: dict[str, Any]) -> tuple[int, list[str]]:
    """Folds the journal; how many of the known points were met, and what was other than known."""
    records = journal.records()
    first = next(records)
    kernel = rebuilder_of(first)
    state = kernel.begin(first)
    points = {point["u"]: point for point in known["depth"]["checkpoints"]}
    met, wrong = 0, []
    for record in records:
        kernel.rebuild(state, record)
        if (
            record.kind is Kind.FEED
            and state.market.book_id(0) in points
            and state.market.book_state(0) is BookState.SYNCED
        ):
            point = points.pop(state.market.book_id(0))
            met += 1
            wrong += [f"book at u {point['u']}, {what}" for what in _book_differs(state.market, point)]
    wrong += [f"the book never was at u {u}" for u in sorted(points)]
    return met, wrong + _totals_differ(state.market, known)


def _book_differs(market: Market, point: dict[str, Any]) -> list[str]:
    top = market.book_top(0, 1)
    assert top is not None, "it is in step"
    found = {
        **dict(
            zip(
                ("best_bid", "best_bid_qty", "best_ask", "best_ask_qty"), _plain(top.bids[0] + top.asks[0]), strict=True
            )
        ),
        **dict(zip(("bid_levels", "ask_levels"), market.book_levels(0), strict=True)),
        "top20_sha256": _sha(market.book_text(0, 20)),
        "full_sha256": _sha(market.book_text(0)),
    }
    return [f"{name}: {value}, known {point[name]}" for name, value in found.items() if point[name] != value]


def _totals_differ(market: Market, known: dict[str, Any]) -> list[str]:
    counters, trades, depth = market.counters(0), known["trades"], known["depth"]
    last = market.last_trade(0)
    found = {
        "trades": (counters.trades, trades["count"]),
        "base volume": (f"{counters.volume:f}", trades["base_volume"]),
        "quote volume": (f"{counters.notional:f}", trades["quote_volume"]),
        "buyer is maker": (counters.trades_buyer_is_maker, trades["buyer_is_maker"]),
        "trade id gaps": (counters.trade_id_gaps, trades["id_gaps"]),
        "last trade": (last and last.trade_id, trades["last_id"]),
        "diffs applied": (counters.diffs_applied, depth["checkpoints"][-1]["applied"]),
        "diffs dropped": (counters.diffs_dropped, depth["dropped_as_older"]),
        "book gaps": (counters.book_gaps, 0),
    }
    return [f"{name}: {ours}, known {theirs}" for name, (ours, theirs) in found.items() if ours != theirs]


def _plain(numbers: tuple[Any, ...]) -> list[str]:
    return [f"{number:f}" for number in numbers]


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
