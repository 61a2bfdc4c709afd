"""Markets of one symbol for orders in the fold: random books and trades by a seed, as captures of a future or of spot."""

import gzip
import random
from collections.abc import Iterator
from pathlib import Path

from capture_lines import Event, as_future, trade, write
from click.testing import CliRunner

from verbatim.cli import main

SYMBOL = "BTCUSDT"
TICK = 10  # prices are in hundredths
LEVELS = 8
LATE_NS = 4_000_000_000


def _text(price: int) -> str:
    return f"{price // 100}.{price % 100:02d}"


class RandomMarket:
    """A book that moves by ticks, with trades at its best prices and sometimes beyond them."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._mid = 6_000_005
        self._id = 100
        self._trade_id = 0
        self.sizes: dict[tuple[int, int], int] = {}  # (side, price) -> thousandths
        for depth in range(LEVELS):
            self.sizes[1, self._best(1) - depth * TICK] = self._draw.randrange(1, 400)
            self.sizes[-1, self._best(-1) + depth * TICK] = self._draw.randrange(1, 400)

    def _best(self, side: int) -> int:
        return self._mid - side * 5

    def events(self, count: int, *, quotes_first: bool = False) -> Iterator[Event]:
        """Yield so many messages. With a quote before the book, the session is ready before the next quote."""
        if quotes_first:
            yield self._quote()
        yield self._diff([])
        levels = [
            [[_text(price), f"{size / 1000:.3f}"] for (side, price), size in sorted(self.sizes.items()) if side == of]
            for of in (1, -1)
        ]
        yield as_future({"lastUpdateId": self._id, "bids": levels[0][::-1], "asks": levels[1]})
        yield self._diff([])
        yield self._quote()
        for _ in range(count):
            kind = self._draw.random()
            if kind < 0.35:
                yield self._trade()
            elif kind < 0.5:
                yield self._move()
                yield self._quote()
            elif kind < 0.6:
                yield self._quote()
            else:
                side = self._draw.choice((1, -1))
                price = self._best(side) - side * TICK * self._draw.randrange(LEVELS)
                yield self._diff([(side, price, self._draw.choice((0, 0, 1, 5, 20, 90, 300)))])

    def _diff(self, changes: list[tuple[int, int, int]]) -> Event:
        self._id += 1
        for side, price, size in changes:
            # the best level goes by `_move` alone
            self.sizes[side, price] = max(size, 1) if price == self._best(side) else size
        sides = {
            name: [[_text(price), f"{self.sizes[side, price] / 1000:.3f}"] for side, price, _ in changes if side == of]
            for name, of in (("b", 1), ("a", -1))
        }
        return as_future({"e": "depthUpdate", "E": 0, "s": SYMBOL, "U": self._id, "u": self._id, **sides})

    def _move(self) -> Event:
        """Move the best prices by some ticks: levels between the old and the new ones go, the others come."""
        before = self._mid
        self._mid += TICK * self._draw.choice((-3, -1, -1, 1, 1, 2))
        changes = []
        for side, price in list(self.sizes):
            if self.sizes[side, price] and (price - self._best(side)) * side > 0:
                changes.append((side, price, 0))
        side = 1 if self._mid > before else -1
        changes += [
            (side, self._best(side) - side * depth * TICK, self._draw.randrange(1, 200))
            for depth in range(abs(self._mid - before) // TICK)
        ]
        changes += [(-side, self._best(-side), self._draw.randrange(1, 200))]
        return self._diff(changes)

    def _trade(self) -> Event:
        self._trade_id += 1
        side = self._draw.choice((1, -1))  # of the resting order that is hit
        beyond = self._draw.choice((0, 0, 0, 0, 0, 1, 2))
        price = self._best(side) - side * TICK * beyond
        size = f"{self._draw.choice((1, 2, 10, 30, 90, 250)) / 1000:.3f}"
        return {"e": "aggTrade", "E": 0, "s": SYMBOL, "a": self._trade_id, "p": _text(price), "q": size,
                "f": self._trade_id, "l": self._trade_id, "T": 0, "m": side > 0}  # fmt: skip

    def _quote(self) -> Event:
        bid, ask = self._best(1), self._best(-1)
        return as_future({
            "u": self._id, "s": SYMBOL, "b": _text(bid), "B": f"{self.sizes.get((1, bid), 1) / 1000:.3f}",
            "a": _text(ask), "A": f"{self.sizes.get((-1, ask), 1) / 1000:.3f}",
        })  # fmt: skip


def as_spot(event: Event) -> Event:
    """Return a message of the future as the spot venue writes it."""
    match event.get("e", ""):
        case "aggTrade":
            return trade(SYMBOL, event["a"], event["p"], event["q"]) | {"m": event["m"]}
        case "depthUpdate":
            return {name: value for name, value in event.items() if name not in ("T", "pu")}
        case _:
            return {name: value for name, value in event.items() if name not in ("e", "E", "T")}


def session_of(
    folder: Path,
    seed: int,
    *,
    events: int = 500,
    every_ms: int = 20,
    late_from: int = 0,
    is_spot: bool = False,
    has_books: bool = True,
) -> Path:
    """Return the session of a random market. Lines from `late_from` on come 4 s after their stamps."""
    told = RandomMarket(seed).events(events, quotes_first=is_spot)
    if is_spot:
        told = map(as_spot, told)
    if not has_books:
        told = (event for event in told if "lastUpdateId" not in event and event.get("e") != "depthUpdate")
    file = write(folder / f"market_{seed}.gz", told, every_ns=every_ms * 1_000_000)
    if late_from:
        lines = gzip.decompress(file.read_bytes()).decode().splitlines(keepends=True)
        late = [f"{int(line[:19]) + LATE_NS}{line[19:]}" for line in lines[late_from:]]
        file.write_bytes(gzip.compress("".join(lines[:late_from] + late).encode()))
    ended = CliRunner().invoke(main, ["import", str(file), "--into", str(folder / f"session_{seed}")])
    assert ended.exit_code == 0, ended.output
    return folder / f"session_{seed}"
