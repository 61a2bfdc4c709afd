"""From raw bytes: decoding and folding a capture's messages, beside what msgspec alone needs to read them into typed
values.

    python benchmarks/raw_fold.py [--rounds 5]

One core, CPU seconds, contenders in turn; the median of the rounds. Projections are not used, only the raw bytes.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from decimal import Decimal

import msgspec
import numpy as np
from measuring import DATA, read

from engine.market.market_state import Market
from engine.model import Instrument
from engine.sim.feeds.sim_market import DATA_MARK, STREAM_PREFIX
from engine.venues.binance_spot import BinanceSpot
from verbatim.warmup import warm

CAPTURE = DATA / "captures" / "binance" / "spot_btcusdt_20240808.gz"
AT_ONCE = 256


class Depth(msgspec.Struct, gc=False):
    E: int
    s: str
    U: int
    u: int
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]


class Trade(msgspec.Struct, gc=False):
    E: int
    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool


class Quote(msgspec.Struct, gc=False):
    u: int
    s: str
    b: str
    B: str
    a: str
    A: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    warm()
    messages = read(CAPTURE)
    payloads = [payload for _, payload in messages]
    times = np.array([time_ns for time_ns, _ in messages], np.int64)
    contenders: dict[str, Callable[[], int]] = {
        "decode and fold": lambda: ours(payloads, times),
        "msgspec to typed structs": lambda: theirs(payloads),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds):
        for name in sorted(contenders, reverse=bool(turn % 2)):
            begun = time.process_time()
            count = contenders[name]()
            seconds[name].append(time.process_time() - begun)
            assert count >= len(payloads) - 1, (name, count)
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    for name, took in medians.items():
        print(f"{name}: {len(payloads) / took:,.0f} messages a CPU second")
    print(f"ratio: {medians['msgspec to typed structs'] / medians['decode and fold']:.2f} of msgspec alone")


def ours(payloads: list[bytes], times: np.ndarray) -> int:
    instrument = Instrument(
        "binance_spot:BTCUSDT", "binance_spot", "BTCUSDT", "BTC", "USDT", 8, 8, Decimal("0.01"), Decimal("0.00001")
    )
    venue, market = BinanceSpot([instrument]), Market.empty([instrument])
    seqs = np.arange(len(payloads), dtype=np.int64)
    at = 0
    while at < len(payloads):
        end = at + AT_ONCE
        decoded = venue.market.decode_many(payloads[at:end], seqs[at:end], times[at:end])
        if decoded is None:  # the depth snapshot: an answer
            rows = venue.market.decode_snapshot(payloads[at], instrument.id, at, int(times[at]))
            count = 1
        else:
            rows, ends = decoded
            count = len(ends)
        folded = 0
        while folded < len(rows):
            folded = market.fold(rows, folded)
        at += count
    assert market.book_levels(0)[0] > 100, "the book is there"
    return at


def theirs(payloads: list[bytes]) -> int:
    depth, trade, quote = (msgspec.json.Decoder(kind).decode for kind in (Depth, Trade, Quote))
    count = 0
    for payload in payloads:
        mark = payload.find(DATA_MARK)
        if not payload.startswith(STREAM_PREFIX):
            continue
        data = payload[mark + len(DATA_MARK) : -1]
        if b'"e":"depthUpdate"' in data[:24]:
            depth(data)
        elif b'"e":"trade"' in data[:24]:
            trade(data)
        else:
            quote(data)
        count += 1
    return count


if __name__ == "__main__":
    main()
