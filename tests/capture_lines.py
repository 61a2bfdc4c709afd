"""Lines of captures, as Binance's streams and hftbacktest's recorder write them: `<receive time> <message>`."""

import gzip
import json
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

START_NS = 1_767_225_600_000_000_000
STEP_NS = 1_000_000
SHOWN = ("1.00000000", "2.00000000")  # sizes at the best prices

Event = dict[str, Any]


def depth(symbol: str, last_id: int, bid: str, ask: str, size: str = SHOWN[0]) -> Event:
    """Return a diff with one id that states the best prices. The size at the ask changes with each."""
    sides = {"b": [[bid, size]], "a": [[ask, SHOWN[last_id % 2]]]} if bid else {"b": [], "a": []}
    return {"e": "depthUpdate", "E": 0, "s": symbol, "U": last_id, "u": last_id, **sides}


def quote(symbol: str, last_id: int, bid: str, ask: str, size: str = SHOWN[0]) -> Event:
    return {"u": last_id, "s": symbol, "b": bid, "B": size, "a": ask, "A": SHOWN[last_id % 2]}


def trade(symbol: str, trade_id: int, price: str, size: str) -> Event:
    """Return a trade whose taker sold."""
    return {"e": "trade", "E": 0, "s": symbol, "t": trade_id, "p": price, "q": size, "T": 0, "m": True, "M": True}


def aggregate(symbol: str, trade_id: int, price: str, size: str, first: int = 0) -> Event:
    """Return an aggregate trade whose taker sold."""
    ids = {"a": trade_id, "p": price, "q": size, "f": first or trade_id, "l": first or trade_id}
    return {"e": "aggTrade", "E": 0, "s": symbol, **ids, "T": 0, "m": True, "M": True}


def snapshot(last_id: int, bid: str, ask: str, size: str = SHOWN[0]) -> Event:
    return {"lastUpdateId": last_id, "bids": [[bid, size]], "asks": [[ask, SHOWN[1]]]}


def opening(symbol: str = "BTCUSDT", first_id: int = 101, bid: str = "100.00", ask: str = "100.01") -> list[Event]:
    """Return the messages after which a book and a quote stand: a diff, its snapshot, a diff and a quote."""
    return [
        depth(symbol, first_id, "", ""),
        snapshot(first_id, bid, ask),
        depth(symbol, first_id + 1, bid, ask),
        quote(symbol, first_id + 1, bid, ask),
    ]


def calm(symbol: str = "BTCUSDT", first_id: int = 103, bid: str = "100.00", ask: str = "100.01") -> Iterator[Event]:
    """Yield diffs and quotes with the same best prices."""
    for last_id in count(first_id):
        yield depth(symbol, last_id, bid, ask)
        yield quote(symbol, last_id, bid, ask)


PLAIN = '{"stream":"STREAM","data":DATA}'
STREAMS = {"depthUpdate": "depth@100ms", "trade": "trade", "aggTrade": "aggTrade"}


def write(
    file: Path, events: Iterable[Event], *, bare: bool = False, every_ns: int = 100 * STEP_NS, spelling: str = PLAIN
) -> Path:
    """Write a capture of these messages, in the envelopes of their streams or bare, each stamped as it is received."""
    with gzip.open(file, "wt", encoding="utf-8") as lines:
        for index, event in enumerate(events):
            now_ns = START_NS + index * every_ns
            stamps = {name: now_ns // STEP_NS for name in ("E", "T") if name in event}
            text = json.dumps(event | stamps, separators=(",", ":"), ensure_ascii=False)
            if not bare and "s" in event:
                stream = f"{event['s'].lower()}@{STREAMS.get(event.get('e', ''), 'bookTicker')}"
                text = spelling.replace("STREAM", stream).replace("DATA", text)
            lines.write(f"{now_ns} {text}\n")
    return file


def as_future(event: Event) -> Event:
    """Return the message as the futures write it."""
    match event.get("e", "" if "u" in event else "none"):
        case "depthUpdate":
            return event | {"T": 0, "pu": event["u"] - 1}
        case "":
            return {"e": "bookTicker"} | event | {"T": 0, "E": 0}
        case "trade":
            return {name: value for name, value in event.items() if name != "M"} | {"X": "MARKET"}
        case "aggTrade":
            return {name: value for name, value in event.items() if name != "M"}
        case _:
            return event | {"E": 0, "T": 0}
