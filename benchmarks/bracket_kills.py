"""kill -9 of an engine that runs brackets, at random moments around entry and exits, while the venue's market runs on.

    python benchmarks/bracket_kills.py --moments 20

After each kill it is read from the venue what protects the position there. Then the engine is started again. A position
without exits must get them before the session places anything else. Once it has come to rest, the exits of each plan
cover its position, and balances, open orders and fills equal the venue's books (`kill_test.py` compares them). Prints
one JSON line; the exit code is 1 if a check failed.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

from kill_test import (
    begun,
    disagreements,
    fork_session,
    impatient,
    list_sessions,
    load,
    problems_of,
    signed,
    state_of,
    venue,
)

from engine.bodies import CommandName
from engine.kernel import rebuilder_of
from engine.live.previous_session import rebuilt_state
from engine.live.session import LiveSession
from engine.model import Side
from engine.money import ZERO
from engine.plan_terms import Bracket
from engine.record_codec import read_command, read_request
from engine.state.execution_plans import ExecutionPlan
from engine.state.linked_orders import fillable_together
from engine.state.session_state import Account
from journal.reader import Journal
from journal.record import Kind
from verbatim.demo import DemoOptions, demo_session

STRATEGY = Path(__file__).resolve().parent.parent / "tests/strategies/bracketer.py"
START_SECONDS_MAX = 20.0
AFTER_SECONDS_MAX = 0.4  # between the first order of a plan and the kill: entry, list and exits fall into it
LOT = Decimal("0.00001")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--moments", type=int, default=20)
    options.add_argument("--seed", type=int, default=None, help="of the moments; printed, so a run can be repeated")
    given = options.parse_args()
    seed = random.SystemRandom().randrange(2**32) if given.seed is None else given.seed
    load()
    with tempfile.TemporaryDirectory() as folder:
        found = kill_and_look(Path(folder), given.moments, random.Random(seed))
    sys.stdout.write(json.dumps({"seed": seed, **found}) + "\n")
    return 1 if found["broken"] else 0


def kill_and_look(journals: Path, moments: int, chance: random.Random) -> dict[str, Any]:
    broken: list[str] = []
    at_kill: Counter[str] = Counter()
    with venue({"symbols": ["BTCUSDT"], "seed": 7, "orders_10s_max": 100_000, "weight_max": 1_000_000}) as ready:
        address = str(ready["listening"])
        wanted = impatient(demo_session(DemoOptions(journals=journals, strategy=str(STRATEGY)), ready))
        for moment in range(moments):
            seen = len(state_of(address)["orders"])
            killed = fork_session(wanted, rest=False)
            await_orders(address, seen + chance.randint(1, 8))
            delay_s = chance.uniform(0, AFTER_SECONDS_MAX)
            time.sleep(delay_s)
            os.kill(killed, signal.SIGKILL)
            os.waitpid(killed, 0)
            at_kill[protection_at(address, journals)] += 1
            _, status = os.waitpid(fork_session(wanted, rest=True, is_settled=is_covered), 0)
            what = f"moment {moment} ({delay_s:.3f} s)"
            if status:
                broken.append(f"{what}: the restarted engine ended with {os.waitstatus_to_exitcode(status)}")
            broken += [f"{what}: {text}" for text in (*restored(journals), *disagreements(journals, address))]
        last = state_of(address)
    broken += [problem for found in begun(journals) for problem in problems_of(found.path)]
    return {
        "moments": moments,
        "at_kill": dict(sorted(at_kill.items())),
        "sessions": len(list_sessions(journals)),
        "orders": len(last["orders"]),
        "fills": len(last["fills"]),
        "broken": broken,
    }


def await_orders(address: str, count: int) -> None:
    """Wait until the venue has so many orders: a session needs a moment to begin."""
    end = time.monotonic() + START_SECONDS_MAX
    while len(state_of(address)["orders"]) < count and time.monotonic() < end:
        time.sleep(0.002)


def protection_at(address: str, journals: Path) -> str:
    """Return what the venue holds of the killed session's plan: an entry with its exits, the exits, or neither."""
    lists = signed(address, "/api/v3/openOrderList")
    orders = {order["clientOrderId"]: order for order in signed(address, "/api/v3/openOrders", symbol="BTCUSDT")}
    sells = [order for order in orders.values() if order["side"] == "SELL"]
    if lists:
        names = {each["clientOrderId"] for each in lists[0]["orders"]}
        waits = any(name in orders and orders[name]["status"] == "PENDING_NEW" for name in names)
        return "entry and exits as one list" if waits else "both exits as one list"
    if sells:
        return "one exit"
    account = rebuilt_state(Journal.open(begun(journals)[-1].path)).account
    return "no exits, a plan runs" if account.plans.running else "no plan"


def restored(journals: Path) -> list[str]:
    """Return what is wrong in the newest session: carried plans must have their exits before anything else is placed."""
    newest = begun(journals)[-1]
    records = Journal.open(newest.path).records()
    first = next(records)
    kernel = rebuilder_of(first)
    state = kernel.begin(first)
    carried = set(state.account.plans.running)
    wrong = []
    for record in records:
        plans = [plan for plan in state.account.plans.by_age() if uncovered(state.account, plan) >= LOT]
        if record.kind is Kind.REQUEST and (request := read_request(record.body or "")).placed:
            bare = [plan.plan_id for plan in plans if plan.plan_id in carried]
            if bare and request.plan_id not in carried:
                wrong.append(f"record {record.seq} places another order while {', '.join(bare)} have no exits")
        elif record.kind is Kind.COMMAND and read_command(record.body or "").command is CommandName.PAUSE:
            wrong += [f"plan {plan.plan_id} has no exits once the session is at rest" for plan in plans]
        kernel.rebuild(state, record)
    return wrong


def is_covered(session: LiveSession) -> bool:
    """Return True if the exits of every plan cover its position."""
    account = session.state.account
    return all(uncovered(account, plan) < LOT for plan in account.plans.by_age())


def uncovered(account: Account, plan: ExecutionPlan) -> Decimal:
    """Return the part of a bracket's position that no exit covers; of an entry under way, the venue covers none yet."""
    assert isinstance(plan.terms, Bracket), "the strategy runs nothing else"
    orders = [account.orders.known(name) for name in plan.orders]
    bought = sum((order.filled_quantity for order in orders if order.order.side is Side.BUY), ZERO)
    sold = sum((order.filled_quantity for order in orders if order.order.side is Side.SELL), ZERO)
    live = account.orders.live
    if any(order.order.side is Side.BUY and order.client_order_id in live for order in orders):
        return ZERO
    exits = [order for order in orders if order.order.side is Side.SELL and order.client_order_id in live]
    covered = sum((order.leaves_quantity for order in fillable_together(exits, live)), ZERO)
    held = account.positions.get(plan.strategy, plan.terms.instrument).quantity
    return min(bought - sold, held) - covered


if __name__ == "__main__":
    sys.exit(main())
