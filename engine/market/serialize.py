"""Market state as digests, as bytes of a snapshot, and as the opening state of the next session.

Only logical content: no capacity, no numbers after the end of a list. Reads and restores a Market; decides nothing.
"""

from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from engine.market import layout as at
from engine.market import old_dumps
from engine.market.history import HistoryBars
from engine.market.indicators.ema import EmaSpec
from engine.market.indicators.indicator import IndicatorSpec, spec_fields
from engine.market.rows import Rows

if TYPE_CHECKING:
    from engine.market.market_state import Market

# One for each part. Raise it when the meaning or the bytes of the part change: replays of older journals then skip the
# part.
VERSIONS: Final = {
    "bar_closing": 1,
    "bars": 1,
    "books": 1,
    "conditions": 1,
    "gaps": 1,
    "history": 1,
    "indicators": 1,
    "marks": 1,
    "quotes": 1,
    "trades": 1,
    "triggers": 1,
    "user_indicators": 1,
}
DUMP_VERSION: Final = 7
_INDICATOR_STATE: Final = ("count", "value", "state")  # the rest of a carried indicator is its key


def digests(market: "Market") -> dict[str, tuple[int, str]]:
    """Return for each part its version and a sha256 over its numbers.

    The numbers are little-endian words in the order of layout.py.
    """
    t = market.t
    books = sha256(t[:, at.T_END : at.B_END].tobytes())
    books.update(t[:, at.X_CONDITIONS].tobytes())
    for i, kept in enumerate(t[:, at.B_PENDING].tolist()):
        for side in range(2):
            books.update(market.side(i, side).data)
        books.update(market.pending[i, :kept].data)
    bars = sha256(market.bar_state[:, : at.BAR_END].tobytes())
    for k in range(len(market.bar_specs)):
        bars.update(_closed_hash(market, k))
    # the part is older than indicators other than averages: their own numbers come after its bytes
    state, values = market.indicator_state, market.indicator_values
    if market.user_rows:
        built_in = [k for k in range(len(state)) if k not in market.user_rows]
        state, values = state[built_in], values[built_in, : market.built_in_end]
    indicators = sha256(state[:, : at.I_DIGESTED].tobytes())
    indicators.update(values[:, [at.I_OWN, at.I_VALUE, at.I_DIVISOR]].tobytes())
    indicators.update(values[:, at.I_OWN + 1 :].tobytes())
    triggers = sha256(market.trigger_state.tobytes())
    triggers.update(market.s[at.S_LEVELS_MAX : at.S_CONDITIONS].tobytes())
    triggers.update(t[:, at.X_TRIGGERS : at.X_END].tobytes())
    parts = {
        "indicators": indicators,
        "bars": bars,
        "books": books,
        "gaps": sha256(t[:, at.X_END : at.G_END].tobytes()),
        "quotes": sha256(t[:, : at.Q_END].tobytes()),
        "trades": sha256(t[:, at.Q_END : at.T_END].tobytes()),
        "triggers": triggers,
    }
    if market.runs_users_code:  # a rebuild runs none, so only replays compare this part
        parts["user_indicators"] = sha256(market.indicator_state[market.user_rows, : at.I_DIGESTED].tobytes())
        for k in market.user_rows:
            kept = market.indicator_values[k, at.I_OWN : at.I_OWN + len(market.indicator_specs[k].own_numbers)]
            parts["user_indicators"].update(market.indicator_values[k, at.I_VALUE].tobytes() + kept.tobytes())
    if len(market.condition_state):  # most sessions declare none
        parts["conditions"] = sha256(market.condition_state.tobytes())
    if t[:, at.M_COUNT].any():  # spot has no marks, and older journals lack that part
        parts["marks"] = sha256(t[:, at.G_END : at.M_END].tobytes())
    if market.bars_by_time and len(market.bar_specs):  # older journals lack that part
        parts["bar_closing"] = sha256(t[:, at.M_END :].tobytes())
        parts["bar_closing"].update(market.bar_state[:, at.BAR_END :].tobytes())
        for k in range(len(market.bar_specs)):
            parts["bar_closing"].update(_closed_bars(market, k)[:, at.CLOSED_COMPLETE].tobytes())
    if market.history:
        parts["history"] = sha256()
        for k, known in sorted(market.history.items()):
            parts["history"].update(f"{k} {known.end_ns} {known.is_loaded} ".encode() + known.bars.tobytes())
    return {name: (VERSIONS[name], part.hexdigest()) for name, part in parts.items()}


def _closed_bars(market: "Market", k: int) -> Rows:
    """Return the closed bars still kept, oldest first."""
    count = int(market.bar_state[k, at.BAR_CLOSED_COUNT])
    slots = [n % at.BARS_KEPT for n in range(max(0, count - at.BARS_KEPT), count)]
    bars: Rows = market.closed[k][slots]
    return bars


def _closed_hash(market: "Market", k: int) -> bytes:
    """Hash the closed bars, once for each closing: a strict replay needs the hash at every record."""
    count = int(market.bar_state[k, at.BAR_CLOSED_COUNT])
    known = market.closed_hashes.get(k)
    if known is None or known[0] != count:
        known = (count, sha256(_closed_bars(market, k)[:, : at.BAR_NUMBERS].tobytes()).digest())
        market.closed_hashes[k] = known
    return known[1]


def _specification(market: "Market") -> bytes:
    """Return the specifications as bytes; a dump fits only the same ones."""
    parts = [
        [[instrument.id, instrument.price_scale, instrument.size_scale] for instrument in market.instruments],
        [[bar.instrument_id, bar.interval_ns] for bar in market.bar_specs],
        [[spec.name, spec_fields(spec)] for spec in market.indicator_specs],
        [
            [
                trigger.name,
                list(trigger.instruments),
                trigger.throttle_ns,
                trigger.on_bar,
                [msgspec.to_builtins(condition) for condition in trigger.conditions],
                *([list(trigger.bars_ns)] if trigger.bars_ns else []),
            ]
            for trigger in market.triggers
        ],
        market.levels_max,
        *(["bars by time"] if market.bars_by_time else []),
        *([f"bar rules {market.bar_rules}"] if market.bar_rules else []),
    ]
    return msgspec.msgpack.encode(parts)


def dump(market: "Market") -> bytes:
    """Return the whole state as bytes."""
    assert not market.s[at.S_IN_RECORD], "a snapshot is made between records, not inside one"
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
            "indicators": market.indicator_state[:, : at.I_DIGESTED].tobytes(),
            "values": market.indicator_values[:, _dumped_values(market)].tobytes(),
            "conditions": market.condition_state.tobytes(),
            "triggers": market.trigger_state.tobytes(),
            **({"history": _dumped_history(market)} if market.history else {}),
        }
    )


def _dumped_history(market: "Market") -> dict[int, list[Any]]:
    return {k: [known.bars.tobytes(), known.end_ns, known.is_loaded] for k, known in sorted(market.history.items())}


def _dumped_values(market: "Market") -> list[int]:
    """Return the columns of an indicator's floats that are state, with its divisor: not the input of its update."""
    return [at.I_VALUE, at.I_DIVISOR, *range(at.I_OWN, market.indicator_values.shape[1])]


def load(market: "Market", dumped: bytes) -> None:
    """Restore a dump into a market made under the same specifications. The caller checked that the bytes are whole.

    Raises:
        ValueError: the specifications or the version differ.

    """
    dump_parts = msgspec.msgpack.decode(dumped)
    if dump_parts["version"] == old_dumps.VERSION_5:
        dump_parts = old_dumps.as_version_6(dump_parts, msgspec.msgpack.decode(_specification(market)))
    if dump_parts["version"] == old_dumps.VERSION_6:
        dump_parts = old_dumps.as_today(dump_parts, market.s.tolist())
    if dump_parts["version"] != DUMP_VERSION or dump_parts["specification"] != _specification(market):
        raise ValueError(
            "the snapshot of the market was made by another version or for other instruments, bars or triggers"
        )
    for array, name in (
        (market.s, "s"),
        (market.t, "t"),
        (market.bar_state, "bars"),
        (market.indicator_state[:, : at.I_DIGESTED], "indicators"),
        (market.trigger_state, "triggers"),
        (market.condition_state, "conditions"),
    ):
        array[...] = np.frombuffer(dump_parts[name], np.int64).reshape(array.shape)
    columns = _dumped_values(market)
    values = np.frombuffer(dump_parts["values"], np.float64)
    market.indicator_values[:, columns] = values.reshape(len(market.indicator_specs), len(columns))
    counts = market.t[:, [at.B_BIDS, at.B_ASKS, at.B_PENDING]]
    market.make_room(levels=int(counts[:, :2].max(initial=0)), pending=int(counts[:, 2].max(initial=0)))
    for i, (bid_prices, bid_sizes, ask_prices, ask_sizes, pending) in enumerate(dump_parts["books"]):
        kept = int(counts[i, 2])
        for side, numbers in enumerate((bid_prices + bid_sizes, ask_prices + ask_sizes)):
            market.restore_side(i, side, np.frombuffer(numbers, np.int64).reshape(2, -1))
        market.pending[i, :kept] = np.frombuffer(pending, np.int64).reshape(kept, 3)
    for k, closed in enumerate(dump_parts["closed"]):
        _restore_closed(market, k, np.frombuffer(closed, np.int64).reshape(-1, at.CLOSED_NUMBERS))
    for k, (bars, end_ns, is_loaded) in dump_parts.get("history", {}).items():
        rows = np.frombuffer(bars, np.int64).reshape(-1, at.CLOSED_NUMBERS)
        market.history[k] = HistoryBars(rows, end_ns, is_loaded)
    market.next_due_ns = int(market.s[at.S_NEXT_DUE])


def _restore_closed(market: "Market", k: int, bars: Rows) -> None:
    """Store closed bars in their ring."""
    count = int(market.bar_state[k, at.BAR_CLOSED_COUNT])
    for n, bar in zip(range(count - len(bars), count), bars, strict=True):
        market.closed[k, n % at.BARS_KEPT] = bar
    market.closed_hashes.pop(k, None)


def carried(market: "Market") -> dict[str, Any]:
    """Return bars, indicators, trade counters and the ends of the depth streams, by name.

    Books and quotes are not carried.
    """
    return {
        "version": 1,
        "scales": {instrument.id: [instrument.price_scale, instrument.size_scale] for instrument in market.instruments},
        "trades": {
            instrument.id: market.t[i, at.Q_END : at.T_END].tolist() for i, instrument in enumerate(market.instruments)
        },
        "diffs": {
            instrument.id: market.t[i, at.D_ID : at.G_STREAM].tolist()
            for i, instrument in enumerate(market.instruments)
        },
        "bars": [
            {
                "instrument": bar.instrument_id,
                "interval_ns": bar.interval_ns,
                "forming": market.bar_state[k, : at.BAR_NUMBERS].tolist(),
                "closed_count": int(market.bar_state[k, at.BAR_CLOSED_COUNT]),
                "late": int(market.bar_state[k, at.BAR_LATE]),
                "closed": _closed_bars(market, k)[:, : at.BAR_NUMBERS].tolist(),
                **_carried_closing(market, k),
            }
            for k, bar in enumerate(market.bar_specs)
        ],
        "indicators": [
            _carried_indicator(market, k) for k in range(len(market.indicator_specs)) if k not in market.user_rows
        ],
    }


def _carried_closing(market: "Market", k: int) -> dict[str, Any]:
    """Return what bars by time carry beside their numbers."""
    if not market.bars_by_time:
        return {}
    state = market.bar_state[k]
    return {
        "begun": int(state[at.BAR_BEGUN]),
        "complete": _closed_bars(market, k)[:, at.CLOSED_COMPLETE].tolist(),
        "since_ns": _known_since_ns(market, int(state[at.BAR_INSTRUMENT])),
    }


def _known_since_ns(market: "Market", i: int) -> int:
    """Return the time since which no trade is missing, if the next trade's id follows the last one."""
    since_ns, before_ns = market.t[i, [at.L_SINCE_NS, at.L_BEFORE_NS]].tolist()
    return int(since_ns if before_ns == at.NEVER else before_ns)


def _indicator_key(spec: IndicatorSpec) -> dict[str, Any]:
    """Return the name and the parameters of an indicator.

    Those of an average have no name, as older sessions recorded them.
    """
    fields = spec_fields(spec)
    name: dict[str, Any] = {} if spec.name == EmaSpec.name else {"indicator": spec.name}
    return name | {"instrument": fields.pop("instrument_id")} | fields


def _carried_indicator(market: "Market", k: int) -> dict[str, Any]:
    """Return an indicator's key with its count, its value and its own state."""
    spec = market.indicator_specs[k]
    own = market.indicator_values[k, at.I_OWN : at.I_OWN + len(spec.own_numbers)].tolist()
    state = own[spec.carried_from :]
    return (
        _indicator_key(spec)
        | {"count": market.indicator_count(k), "value": float(market.indicator_values[k, at.I_VALUE])}
        | ({"state": state} if state else {})
    )


def restore_carried(market: "Market", carried: Mapping[str, Any]) -> list[str]:
    """Restore what the previous session carried; return a line for each thing dropped."""
    if carried.get("version") != 1:
        return [f"market state carried in version {carried.get('version')!r} is unknown"]
    dropped = []
    same_scales = set()
    for name, scales in carried["scales"].items():
        i = market.index.get(name)
        if i is None:
            dropped.append(f"{name} is not an instrument of this session")
        elif scales != [market.instruments[i].price_scale, market.instruments[i].size_scale]:
            dropped.append(f"{name} has new scales: its bars and trade counters start again")
        else:
            same_scales.add(name)
            market.t[i, at.Q_END : at.T_END] = carried["trades"][name]
    for name, diffs in carried.get("diffs", {}).items():  # sessions older than the gap records did not carry them
        if name in market.index:
            market.t[market.index[name], at.D_ID : at.G_STREAM] = diffs
    return (
        dropped
        + _restore_bars(market, carried["bars"], same_scales)
        + _restore_indicators(market, carried["indicators"])
    )


def _restore_bars(market: "Market", bars: Iterable[Mapping[str, Any]], same_scales: Collection[str]) -> list[str]:
    """Restore the bars of instruments with the same scales; return a line for each one dropped."""
    dropped = []
    row_of = {(bar.instrument_id, bar.interval_ns): k for k, bar in enumerate(market.bar_specs)}
    for bar in bars:
        k = row_of.get((bar["instrument"], bar["interval_ns"]))
        if k is None:
            dropped.append(f"bars of {bar['interval_ns']} ns of {bar['instrument']} are no longer declared")
        elif bar["instrument"] in same_scales:
            market.bar_state[k, : at.BAR_NUMBERS] = bar["forming"]
            market.bar_state[k, at.BAR_CLOSED_COUNT] = bar["closed_count"]
            market.bar_state[k, at.BAR_LATE] = bar["late"]
            closed = np.zeros((len(bar["closed"]), at.CLOSED_NUMBERS), np.int64)
            closed[:, : at.BAR_NUMBERS] = np.array(bar["closed"], np.int64).reshape(-1, at.BAR_NUMBERS)
            market.bar_state[k, at.BAR_BEGUN] = bar["forming"][at.BAR_TRADES] > 0
            if market.bars_by_time:  # those of an older session may be incomplete
                closed[:, at.CLOSED_COMPLETE] = bar.get("complete", 0)
                market.bar_state[k, at.BAR_BEGUN] |= bar.get("begun", 0)
                market.t[market.bar_state[k, at.BAR_INSTRUMENT], at.L_BEFORE_NS] = bar.get("since_ns", at.NEVER)
            _restore_closed(market, k, closed)
    return dropped


def _restore_indicators(market: "Market", indicators: Iterable[Mapping[str, Any]]) -> list[str]:
    """Restore the indicators declared again; return a line for each one dropped.

    Their prices do not depend on scales.
    """
    dropped = []
    row_of = {_sorted_items(_indicator_key(spec)): k for k, spec in enumerate(market.indicator_specs)}
    for carried in indicators:
        key = _sorted_items({name: value for name, value in carried.items() if name not in _INDICATOR_STATE})
        k = row_of.get(key)
        if k is None:
            parameters = ", ".join(f"{name} {value}" for name, value in key)
            dropped.append(f"the indicator with {parameters} is no longer declared")
            continue
        begin = at.I_OWN + market.indicator_specs[k].carried_from
        state = carried.get("state", ())
        market.indicator_state[k, at.I_COUNT] = carried["count"]
        market.indicator_values[k, at.I_VALUE] = carried["value"]
        market.indicator_values[k, begin : begin + len(state)] = state
    return dropped


def _sorted_items(values: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(values.items()))
