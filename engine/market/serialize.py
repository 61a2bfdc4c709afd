"""Market state as digests, as bytes for a snapshot, and as what the next session opens with.

Logical content only: no capacity, nothing from behind the end of a list. Reads and restores a Market; decides nothing.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from engine.market import layout as at
from engine.market.rows import Rows

if TYPE_CHECKING:
    from engine.market.market_state import Market

# One for each part; raise it when the meaning or the bytes of the part change, and replays of older journals skip it.
VERSIONS: Final = {
    "averages": 1,
    "bars": 1,
    "books": 1,
    "conditions": 1,
    "gaps": 1,
    "marks": 1,
    "quotes": 1,
    "trades": 1,
    "watches": 1,
}
DUMP_VERSION: Final = 5


def digests(market: "Market") -> dict[str, tuple[int, str]]:
    """For each part its version and a sha256 over its numbers, as little-endian words in the order of layout.py."""
    t = market.t
    books = sha256(t[:, at.T_END : at.B_END].tobytes())
    books.update(t[:, at.X_CONDITIONS].tobytes())
    for i, kept in enumerate(t[:, at.B_PENDING].tolist()):
        for side in range(2):
            books.update(market.side(i, side).data)
        books.update(market.pending[i, :kept].data)
    bars = sha256(market.bar_state.tobytes())
    for k in range(len(market.bar_specs)):
        bars.update(_closed_hash(market, k))
    averages = sha256(market.average_state.tobytes())
    averages.update(market.floats.tobytes())
    watches = sha256(market.watch_state.tobytes())
    watches.update(market.s[at.S_LEVELS_MAX : at.S_CONDITIONS].tobytes())
    watches.update(t[:, at.X_WATCHES : at.X_END].tobytes())
    parts = {
        "averages": averages,
        "bars": bars,
        "books": books,
        "gaps": sha256(t[:, at.X_END : at.G_END].tobytes()),
        "quotes": sha256(t[:, : at.Q_END].tobytes()),
        "trades": sha256(t[:, at.Q_END : at.T_END].tobytes()),
        "watches": watches,
    }
    if len(market.condition_state):  # most sessions declare none
        parts["conditions"] = sha256(market.condition_state.tobytes())
    if t[:, at.M_COUNT].any():  # spot has none, nor had it before there were any
        parts["marks"] = sha256(t[:, at.G_END :].tobytes())
    return {name: (VERSIONS[name], part.hexdigest()) for name, part in parts.items()}


def _closed_bars(market: "Market", k: int) -> Rows:
    """The closed bars still kept, oldest first."""
    count = int(market.bar_state[k, at.BAR_CLOSED_COUNT])
    slots = [n % at.BARS_KEPT for n in range(max(0, count - at.BARS_KEPT), count)]
    bars: Rows = market.closed[k][slots]
    return bars


def _closed_hash(market: "Market", k: int) -> bytes:
    """Hashed again only when one was closed since: a strict replay asks at every record."""
    count = int(market.bar_state[k, at.BAR_CLOSED_COUNT])
    known = market.closed_hashes.get(k)
    if known is None or known[0] != count:
        known = (count, sha256(_closed_bars(market, k).tobytes()).digest())
        market.closed_hashes[k] = known
    return known[1]


def _specification(market: "Market") -> bytes:
    """What the arrays mean: a dump made under another is of no use."""
    parts = [
        [[of.id, of.price_scale, of.size_scale] for of in market.instruments],
        [[of.instrument_id, of.interval_ns] for of in market.bar_specs],
        [[of.instrument_id, of.source, of.length] for of in market.average_specs],
        [
            [
                of.name,
                list(of.instruments),
                of.throttle_ns,
                of.on_bar,
                [msgspec.to_builtins(one) for one in of.conditions],
            ]
            for of in market.watches
        ],
        market.levels_max,
    ]
    return msgspec.msgpack.encode(parts)


def dump(market: "Market") -> bytes:
    """Everything, between two records."""
    assert not market.s[at.S_IN_RECORD], "a snapshot is taken between records, not within one"
    t = market.t
    books = [
        [
            *(numbers.tobytes() for side in range(2) for numbers in market.side(i, side)),
            market.pending[i, : t[i, at.B_PENDING]].tobytes(),
        ]
        for i in range(len(market.instruments))
    ]
    return msgspec.msgpack.encode(
        {
            "version": DUMP_VERSION,
            "specification": _specification(market),
            "s": market.s.tobytes(),
            "t": t.tobytes(),
            "books": books,
            "bars": market.bar_state.tobytes(),
            "closed": [_closed_bars(market, k).tobytes() for k in range(len(market.bar_specs))],
            "averages": market.average_state.tobytes(),
            "floats": market.floats.tobytes(),
            "conditions": market.condition_state.tobytes(),
            "watches": market.watch_state.tobytes(),
        }
    )


def load(market: "Market", dumped: bytes) -> None:
    """Restore into a market made under the same specification. The caller has checked that the bytes are whole."""
    held = msgspec.msgpack.decode(dumped)
    if held["version"] != DUMP_VERSION or held["specification"] != _specification(market):
        raise ValueError(
            "the snapshot of the market was made by another version or for other instruments, bars or watches"
        )
    for array, name in (
        (market.s, "s"),
        (market.t, "t"),
        (market.bar_state, "bars"),
        (market.average_state, "averages"),
        (market.watch_state, "watches"),
        (market.condition_state, "conditions"),
    ):
        array[...] = np.frombuffer(held[name], np.int64).reshape(array.shape)
    market.floats[...] = np.frombuffer(held["floats"], np.float64).reshape(market.floats.shape)
    counts = market.t[:, [at.B_BIDS, at.B_ASKS, at.B_PENDING]]
    market.make_room(levels=int(counts[:, :2].max(initial=0)), pending=int(counts[:, 2].max(initial=0)))
    for i, (bid_prices, bid_sizes, ask_prices, ask_sizes, pending) in enumerate(held["books"]):
        kept = int(counts[i, 2])
        for side, numbers in enumerate((bid_prices + bid_sizes, ask_prices + ask_sizes)):
            market.restore_side(i, side, np.frombuffer(numbers, np.int64).reshape(2, -1))
        market.pending[i, :kept] = np.frombuffer(pending, np.int64).reshape(kept, 3)
    for k, closed in enumerate(held["closed"]):
        _put_closed(market, k, np.frombuffer(closed, np.int64).reshape(-1, at.BAR_NUMBERS))
    market.next_due_ns = int(market.s[at.S_NEXT_DUE])


def _put_closed(market: "Market", k: int, bars: Rows) -> None:
    count = int(market.bar_state[k, at.BAR_CLOSED_COUNT])
    for n, bar in zip(range(count - len(bars), count), bars, strict=True):
        market.closed[k, n % at.BARS_KEPT] = bar
    market.closed_hashes.pop(k, None)


def carried(market: "Market") -> dict[str, Any]:
    """Bars, averages, trade counters and where the depth streams ended, by name; books and quotes are fresh in every session."""
    return {
        "version": 1,
        "scales": {of.id: [of.price_scale, of.size_scale] for of in market.instruments},
        "trades": {
            of.id: [int(n) for n in market.t[i, at.Q_END : at.T_END]] for i, of in enumerate(market.instruments)
        },
        "diffs": {
            of.id: [int(n) for n in market.t[i, at.D_ID : at.G_STREAM]] for i, of in enumerate(market.instruments)
        },
        "bars": [
            {
                "instrument": of.instrument_id,
                "interval_ns": of.interval_ns,
                "forming": market.bar_state[k, : at.BAR_NUMBERS].tolist(),
                "closed_count": int(market.bar_state[k, at.BAR_CLOSED_COUNT]),
                "late": int(market.bar_state[k, at.BAR_LATE]),
                "closed": _closed_bars(market, k).tolist(),
            }
            for k, of in enumerate(market.bar_specs)
        ],
        "averages": [
            {
                "instrument": of.instrument_id,
                "source": of.source,
                "length": of.length,
                "count": int(market.average_state[k, at.E_COUNT]),
                "value": float(market.floats[k, at.E_VALUE]),
            }
            for k, of in enumerate(market.average_specs)
        ],
    }


def take_carried(market: "Market", held: Mapping[str, Any]) -> list[str]:
    """Put what was carried in its place; in words, what has no place here any more."""
    if held.get("version") != 1:
        return [f"market state carried in version {held.get('version')!r} is not known here"]
    left = []
    same = set()
    for name, scales in held["scales"].items():
        i = market.index.get(name)
        if i is None:
            left.append(f"{name} is no instrument of this session")
        elif scales != [market.instruments[i].price_scale, market.instruments[i].size_scale]:
            left.append(f"{name} has other scales now: its bars and trade counters begin anew")
        else:
            same.add(name)
            market.t[i, at.Q_END : at.T_END] = held["trades"][name]
    for name, diffs in held.get("diffs", {}).items():  # sessions of before the gap records carried none
        if name in market.index:
            market.t[market.index[name], at.D_ID : at.G_STREAM] = diffs
    bar_places = {(of.instrument_id, of.interval_ns): k for k, of in enumerate(market.bar_specs)}
    for bar in held["bars"]:
        place = bar_places.get((bar["instrument"], bar["interval_ns"]))
        if place is None:
            left.append(f"bars of {bar['interval_ns']} ns of {bar['instrument']} are not declared any more")
        elif bar["instrument"] in same:
            market.bar_state[place, : at.BAR_NUMBERS] = bar["forming"]
            market.bar_state[place, at.BAR_CLOSED_COUNT] = bar["closed_count"]
            market.bar_state[place, at.BAR_LATE] = bar["late"]
            _put_closed(market, place, np.array(bar["closed"], np.int64).reshape(-1, at.BAR_NUMBERS))
    average_places = {(of.instrument_id, of.source, of.length): k for k, of in enumerate(market.average_specs)}
    for average in held["averages"]:
        place = average_places.get((average["instrument"], average["source"], average["length"]))
        if place is None:
            left.append(
                f"the average of length {average['length']} of {average['instrument']} is not declared any more"
            )
        else:  # floats of prices, not of ticks: a new scale does not touch them
            market.average_state[place, at.E_COUNT] = average["count"]
            market.floats[place, at.E_VALUE] = average["value"]
    return left
