"""What goes wrong in a hostile session: a list of faults, drawn from a seed. Values only.

The same seed gives the same plan. `kept` leaves out faults without moving the others, so that a failing plan can be
shrunk.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from engine.sim.feeds.synthetic_feed import Chance

FAULTS_MAX: Final = 14
STORM_MS: Final = 8_000  # every third plan has its faults within so long
FIRST_MS: Final = 1_500  # no fault before
LAST_MS: Final = 45_000  # all faults start before
RESTARTS: Final = frozenset({"kill", "power_cut", "stop_restart", "disk_full"})
RESTARTS_MAX: Final = 2  # in a session: each costs a journal

ORDER: Final = {"path": "/api/v3/order"}
PLACE: Final = {"method": "POST", **ORDER}
CANCEL: Final = {"method": "DELETE", **ORDER}
REQUESTS: Final[tuple[dict[str, Any], ...]] = (
    PLACE,
    PLACE,
    CANCEL,
    {"method": "GET", **ORDER},
    {"method": "GET", "path": "/api/v3/openOrders"},
    {"method": "GET", "path": "/api/v3/account"},
    {"method": "GET", "path": "/api/v3/myTrades"},
    {"method": "GET", "path": "/api/v3/depth"},
    {"method": "GET"},
    {},
)
REPORT: Final = "executionReport"
EVENTS: Final = (REPORT, "outboundAccountPosition", "NEW", "TRADE", "CANCELED", None)
OUTAGES: Final = ((500, -1000), (502, 0), (503, -1008), (504, -1007))


class Fault(msgspec.Struct, frozen=True):
    """One fault: its number in the plan, when it strikes after the start, and what it is."""

    number: int
    at_ms: int
    kind: str
    args: dict[str, Any] = {}

    def text(self) -> str:
        """Return the fault as a person reads it."""
        args = " ".join(f"{name}={value}" for name, value in self.args.items())
        return f"{self.number}: {self.at_ms / 1000:.1f} s {self.kind} {args}".rstrip()


class FaultPlan(msgspec.Struct, frozen=True):
    """A hostile session as drawn."""

    seed: int
    faults: tuple[Fault, ...]
    busy: int  # decisions of ten in which the strategy does something
    orders_max: int
    latency_ms: int
    wire_us: int
    ends_by: str  # "stop", or a safety order before it
    cancels_on_failure: bool  # the emergency cancel after a failed journal


def draw_plan(seed: int, kept: Sequence[int] | None = None) -> FaultPlan:
    """Return the plan of a seed.

    Args:
        seed: The seed.
        kept: The numbers of the faults to keep. None: all.
    """
    chance = Chance(seed * 0x9E37 + 77)
    faults = _draw_faults(chance)
    return FaultPlan(
        seed=seed,
        faults=tuple(fault for fault in faults if kept is None or fault.number in kept),
        busy=3 + chance.below(7),
        orders_max=1 + chance.below(6),
        latency_ms=(1, 1, 5, 40, 300)[chance.below(5)],
        wire_us=(200, 200, 2_000, 30_000)[chance.below(4)],
        ends_by=("stop", "cancel_all", "flatten")[chance.below(3)],
        cancels_on_failure=bool(chance.below(2)),
    )


def _draw_faults(chance: Chance) -> list[Fault]:
    drawn: list[tuple[int, str, dict[str, Any]]] = []
    restarts = 0
    within_ms = LAST_MS - FIRST_MS if chance.below(3) else STORM_MS
    begin_ms = FIRST_MS + chance.below(LAST_MS - FIRST_MS - within_ms + 1)
    for _ in range(chance.below(FAULTS_MAX + 1)):
        kind = KINDS[chance.below(len(KINDS))]
        at_ms = begin_ms + chance.below(within_ms)
        args = ARGUMENTS[kind](chance)
        if kind in RESTARTS:
            restarts += 1
            if restarts > RESTARTS_MAX:
                continue
        drawn.append((at_ms, kind, args))
    drawn.sort(key=lambda each: each[0])
    return [Fault(number, *each) for number, each in enumerate(drawn)]


# ---- the arguments of each kind --------------------------------------------------------------------

Draw = Callable[[Chance], dict[str, Any]]


def _request(**ranges: tuple[int, int]) -> Draw:
    """Return a drawer of a fault on requests: which, how often, and numbers from the given ranges."""

    def draw(chance: Chance) -> dict[str, Any]:
        args = dict(REQUESTS[chance.below(len(REQUESTS))])
        args["times"] = 1 + chance.below(4)
        return args | {name: low + chance.below(high - low + 1) for name, (low, high) in ranges.items()}

    return draw


def _event(**ranges: tuple[int, int]) -> Draw:
    def draw(chance: Chance) -> dict[str, Any]:
        args: dict[str, Any] = {"times": 1 + chance.below(6)}
        if (event := EVENTS[chance.below(len(EVENTS))]) is not None:
            args["event"] = event
        return args | {name: low + chance.below(high - low + 1) for name, (low, high) in ranges.items()}

    return draw


def _numbers(**ranges: tuple[int, int]) -> Draw:
    return lambda chance: {name: low + chance.below(high - low + 1) for name, (low, high) in ranges.items()}


def _target(chance: Chance) -> dict[str, Any]:
    return {"target": ("market", "private")[chance.below(2)]}


def _silence(chance: Chance) -> dict[str, Any]:
    return {**_target(chance), "ms": 500 + chance.below(20_000)}


def _outage(chance: Chance) -> dict[str, Any]:
    status, code = OUTAGES[chance.below(len(OUTAGES))]
    return {**_request()(chance), "status": status, "code": code, "msg": "Internal error"}


def _lost_outcome(chance: Chance) -> dict[str, Any]:
    return {**(PLACE, CANCEL)[chance.below(2)], "times": 1 + chance.below(3)}


def _refusal(chance: Chance) -> dict[str, Any]:
    code, text = ((-1013, "Filter failure: NOTIONAL"), (-2010, "Account has insufficient balance."))[chance.below(2)]
    return {**PLACE, "times": 1 + chance.below(8), "status": 400, "code": code, "msg": text}


def _order_limit(chance: Chance) -> dict[str, Any]:
    return {**PLACE, "times": 1 + chance.below(8), "status": 429, "code": -1015, "msg": "Too many new orders."}


def _command(chance: Chance) -> dict[str, Any]:
    name = ("pause", "halt", "cancel_all", "flatten", "reconcile")[chance.below(5)]
    return {"command": name, "resume_ms": 500 + chance.below(15_000)}


def _moved(chance: Chance) -> dict[str, Any]:
    asset = ("BTC", "USDT")[chance.below(2)]
    amount = (1 + chance.below(1_000)) * (1, -1)[chance.below(2)]
    return {"asset": asset, "amount": f"{amount / 1000:.3f}", "streamed": bool(chance.below(2))}


def _foreign(chance: Chance) -> dict[str, Any]:
    return {
        "side": ("BUY", "SELL")[chance.below(2)],
        "steps": chance.below(6) - 2,  # away from the touch; below 0 it trades at once
        "lots": 100 + chance.below(5_000),
        "cancel_ms": chance.below(20_000),  # 0: it stays
    }


ARGUMENTS: Final[dict[str, Draw]] = {
    # on requests (engine/sim/faults.py)
    "drop_request": _request(),
    "cut_answer": _request(),
    "delay_answer": _request(ms=(100, 15_000)),
    "reject": _outage,
    "error_after": _lost_outcome,
    # the next order: no answer, no report of its acceptance, and queries do not find it
    "not_found_for": lambda chance: {**PLACE, "ms": 500 + chance.below(12_000)},
    "hidden_order": _numbers(ms=(500, 12_000)),  # the next order: no answer, no report, and queries do not find it
    "rate_limit": _request(retry_after_s=(1, 20)),
    "order_limit": _order_limit,
    "refusal": _refusal,
    "ban": _numbers(seconds=(2, 40)),
    # on the private stream and on connections
    "delay_events": _event(ms=(100, 15_000)),
    "duplicate_events": _event(),
    "drop_events": _event(),
    "events_before_answer": lambda _chance: {},
    "silence": _silence,
    "disconnect": _target,
    # clocks
    "venue_clock": lambda chance: {"ms": chance.below(8_000) - 4_000, "for_ms": 1_000 + chance.below(30_000)},
    "clock_step": lambda chance: {"ms": chance.below(20_000) - 10_000},
    # people, and other programs on the account
    "balance_moved": _moved,
    "foreign_order": _foreign,
    "cancelled_by_hand": lambda _chance: {},
    "command": _command,
    # the machine
    "slow_strategy": _numbers(ms=(200, 30_000)),
    "kill": lambda chance: {"down_ms": 100 + chance.below(20_000), "arrives": bool(chance.below(2))},
    "power_cut": lambda chance: {
        "down_ms": 100 + chance.below(20_000),
        "arrives": bool(chance.below(2)),
        "lost": chance.below(30),
    },
    "stop_restart": _numbers(down_ms=(100, 20_000)),
    "disk_full": _numbers(down_ms=(100, 20_000)),
}
KINDS: Final = tuple(sorted(ARGUMENTS))
