"""A capture made longer: the same messages again and again as one valid stream. Binance Spot or USD-M, one symbol.

    python benchmarks/tiling.py CAPTURE TIMES TARGET [SQUEEZE]

Ids, event times and receive times are moved on from pass to pass; at each seam one depth diff turns the last book into
the first one, so a book that is kept by the rules stays in step. Knows the format of captures (MANIFEST.md); nothing of
the engine.
"""

import gzip
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

MOVED = re.compile(rb'"([ETUut]|pu)":(\d+)')
SEAM_NS = 100_000_000  # between two passes
Sides = tuple[dict[str, str], dict[str, str]]


def read(capture: Path) -> list[tuple[int, bytes]]:
    with gzip.open(capture) as file:
        return [(int(stamp), frame.rstrip(b"\r\n")) for stamp, _, frame in (line.partition(b" ") for line in file)]


def tiled(lines: list[tuple[int, bytes]], times: int) -> Iterator[bytes]:
    """The lines of a capture `times` as long."""
    yield from (b"%d %s" % line for line in lines)
    if times == 1:
        return
    join, start, end = _books(lines)
    again = lines[join + 1 :]
    frames = [(at, frame) for at, frame in again if frame.startswith(b'{"stream"')]
    first_diff = json.loads(lines[join][1])
    joined_u, end_u = first_diff["data"]["u"], _last_diff_u(frames)
    moves = _moves(frames, joined_u, 2 * SEAM_NS)
    # the stamps of a seam are as old as those of the first diff were: the fastest message sets the venue's clock
    late_ms = (frames[0][0] - SEAM_NS - lines[join][0]) // 1_000_000
    levels = [_turned(end[side], start[side], best_first=bool(side == 0)) for side in (0, 1)]
    for n in range(1, times):
        before_u = end_u + (n - 1) * moves[b"u"]
        new = {"U": before_u + 1, "u": joined_u + n * moves[b"u"], "pu": before_u, "b": levels[0], "a": levels[1]}
        new |= {key: first_diff["data"].get(key, 0) + late_ms + n * moves[b"E"] for key in ("E", "T")}
        data = {key: new.get(key, value) for key, value in first_diff["data"].items()}
        seam = {"stream": first_diff["stream"], "data": data}
        yield b"%d %s" % (frames[0][0] + n * moves[b"ns"] - SEAM_NS, json.dumps(seam, separators=(",", ":")).encode())
        yield from _moved(frames, n, moves)


def tiled_quotes(lines: list[tuple[int, bytes]], times: int) -> Iterator[bytes]:
    """Yield the quotes and trades of a capture `times` as long. They need no seam, since no book is kept."""
    frames = [(at, frame) for at, frame in lines if b"@bookTicker" in frame or b"@trade" in frame]
    moves = _moves(frames, min(_ids(frames, b"u")), 10 * SEAM_NS)
    for n in range(times):
        yield from _moved(frames, n, moves)


def _moves(frames: list[tuple[int, bytes]], first_u: int, between_ns: int) -> dict[bytes, int]:
    """Return how far each field moves from pass to pass. Ids of trades stay without a gap, as those of the venue."""
    trades = _ids(frames, b"t")
    ids = max(_ids(frames, b"u")) - first_u + 1
    ns = -(-(frames[-1][0] - frames[0][0] + between_ns) // 1_000_000) * 1_000_000
    times_ms = dict.fromkeys((b"E", b"T"), ns // 1_000_000)
    return {b"ns": ns, b"t": trades[-1] + 1 - trades[0]} | dict.fromkeys((b"u", b"U", b"pu"), ids) | times_ms


def _ids(frames: list[tuple[int, bytes]], field: bytes) -> list[int]:
    return [int(value) for _, frame in frames for name, value in MOVED.findall(frame) if name == field]


def _moved(frames: list[tuple[int, bytes]], n: int, moves: dict[bytes, int]) -> Iterator[bytes]:
    """Yield the lines of pass `n`."""
    for at, frame in frames:
        moved = MOVED.sub(lambda m: b'"%s":%d' % (m[1], int(m[2]) + n * moves[m[1]]), frame)
        yield b"%d %s" % (at + n * moves[b"ns"], moved)


def _books(lines: list[tuple[int, bytes]]) -> tuple[int, Sides, Sides]:
    """The line of the joining diff, the book right after it, and the book at the end."""
    snapshot = next(json.loads(frame) for _, frame in lines if frame.startswith(b'{"lastUpdateId"'))
    book: Sides = (dict(snapshot["bids"]), dict(snapshot["asks"]))
    join, start = -1, book
    for n, (_, frame) in enumerate(lines):
        if b'"e":"depthUpdate"' not in frame:
            continue
        diff = json.loads(frame)["data"]
        if diff["u"] <= snapshot["lastUpdateId"]:
            continue
        for side, levels in zip(book, (diff["b"], diff["a"]), strict=True):
            for price, size in levels:
                if float(size):
                    side[price] = size
                else:
                    side.pop(price, None)
        if join < 0:
            join, start = n, (dict(book[0]), dict(book[1]))
    return join, start, book


def _last_diff_u(frames: list[tuple[int, bytes]]) -> int:
    last = next(frame for _, frame in reversed(frames) if b'"e":"depthUpdate"' in frame)
    found: int = json.loads(last)["data"]["u"]
    return found


def _turned(old: dict[str, str], new: dict[str, str], *, best_first: bool) -> list[list[str]]:
    gone = [[price, "0.00000000"] for price in old if price not in new]
    come = [[price, size] for price, size in new.items() if old.get(price) != size]
    return sorted(gone + come, key=lambda level: float(level[0]), reverse=best_first)


def write(capture: Path, times: int, target: Path, *, squeeze: int = 1) -> int:
    """How many lines it has. `squeeze`: the lines come so many times as fast, on a clock that runs at its own pace."""
    count = first_ns = 0
    with gzip.open(target, "wb", compresslevel=1) as file:
        for line in tiled(read(capture), times):
            if squeeze != 1:
                stamp, _, frame = line.partition(b" ")
                first_ns = first_ns or int(stamp)
                line = b"%d %s" % (first_ns + (int(stamp) - first_ns) // squeeze, frame)  # noqa: PLW2901 - the same line, sooner
            file.write(line + b"\n")
            count += 1
    return count


if __name__ == "__main__":
    print(write(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), squeeze=int((*sys.argv, "1")[4])), "lines")
