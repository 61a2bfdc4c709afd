"""kill -9 of the engine at random moments of a session while the venue runs on, and the checks after each kill.

    python -P benchmarks/kill_test.py --moments 20

After each kill the journal is recovered and verified, and the engine is started again. When it has come to rest, its
balances, open orders and fills must equal the venue's books, read over signed REST requests as a client does. No fill is
missing or booked twice, and the venue received each client order id once. Prints one JSON line; the exit code is 1 if a
check failed.

Writer and sealer are threads of the engine's process: one SIGKILL ends all three. Segments are small here, so that kills
strike while a segment is being sealed; `killed_unsealed` counts kills that left a finished segment unsealed.

The engine runs in children forked from a process that has everything loaded, so that a moment costs about a second.
"""

import argparse
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import trio

from engine.facts import OrderFilled
from engine.lifecycle import Status
from engine.live.logs import configure
from engine.live.machine import software_versions
from engine.live.previous_session import rebuilt_state
from engine.live.session import LiveSession
from engine.live.session_config import SessionConfig, with_venue
from engine.live.session_status import is_reconciled
from engine.live.venue_main import DEMO_KEY, DEMO_SECRET
from engine.record_codec import read_fact
from engine.session_record import SECOND_NS
from engine.sim.binance.key_ring import signature
from engine.strategy.api import Place  # noqa: F401 - loaded before forking: what strategies import
from journal.reader import Journal
from journal.record import Kind
from journal.sessions import SessionFolder, list_sessions
from journal.verify import verify
from journal.writer import JournalWriter
from verbatim.demo import DemoOptions, demo_session
from verbatim.runner import run_session_config
from verbatim.warmup import warm

SETTLE_SECONDS_MAX = 60.0
DELAY_SECONDS_MAX = 1.5  # connecting, reconciling and trading all fall into it
SEGMENT_BYTES = 16 * 1024  # several segments a second, so the sealer is at work all the time
PAGE = 1000  # fills of one answer


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--moments", type=int, default=20)
    options.add_argument(
        "--seed", type=int, default=None, help="of the moments; printed, so that a run can be repeated"
    )
    options.add_argument(
        "--strategy", default=str(Path(__file__).resolve().parent.parent / "tests/strategies/restless.py")
    )
    options.add_argument("--keep", type=Path, default=None, help="a folder for the journals, which then stay")
    given = options.parse_args()
    seed = random.SystemRandom().randrange(2**32) if given.seed is None else given.seed
    load()
    with tempfile.TemporaryDirectory() as folder:
        journals = given.keep or Path(folder)
        found = kill_and_look(journals, given.moments, random.Random(seed), given.strategy)
    sys.stdout.write(json.dumps({"seed": seed, **found}) + "\n")
    return 1 if found["broken"] else 0


def load() -> None:
    """Load what a session needs before its process is forked: what its start imports, and compiled code."""
    configure(level="error")
    for name in (
        "encodings.idna",
        "httpcore",
        "engine.live.transport.standard_http",
        "engine.live.transport.standard_websocket",
    ):
        import_module(name)
    warm()
    software_versions()


@contextmanager
def venue(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The venue's process. No trio here: the engine's children are forked from this one."""
    command = [sys.executable, "-P", "-m", "engine.live.venue_main", json.dumps(options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None, "asked for"
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def kill_and_look(journals: Path, moments: int, chance: random.Random, strategy: str) -> dict[str, Any]:
    broken: list[str] = []
    unsealed = 0
    with venue({"symbols": ["BTCUSDT"], "seed": 7, "orders_10s_max": 100_000, "weight_max": 1_000_000}) as ready:
        address = str(ready["listening"])
        wanted = impatient(demo_session(DemoOptions(journals=journals, strategy=strategy), ready))
        for moment in range(moments):
            delay_s = chance.uniform(0.02, DELAY_SECONDS_MAX)
            killed = fork_session(wanted, rest=False)
            time.sleep(delay_s)
            os.kill(killed, signal.SIGKILL)
            os.waitpid(killed, 0)
            unsealed += left_unsealed(journals)
            _, status = os.waitpid(fork_session(wanted, rest=True), 0)
            what = f"moment {moment} ({delay_s:.3f} s)"
            if status:
                broken.append(f"{what}: the restarted engine ended with {os.waitstatus_to_exitcode(status)}")
            broken += [f"{what}: {said}" for said in disagreements(journals, address)]
        last = state_of(address)
    broken += [problem for found in begun(journals) for problem in problems_of(found.path)]
    return {
        "moments": moments,
        "killed_unsealed": unsealed,
        "sessions": len(list_sessions(journals)),
        "orders": len(last["orders"]),
        "fills": len(last["fills"]),
        "broken": broken,
    }


def left_unsealed(journals: Path) -> bool:
    """Return True if the newest session has a finished segment that is not sealed yet."""
    sessions = list_sessions(journals)
    return bool(sessions) and len(list(sessions[-1].path.glob("*.open"))) > 1


def impatient(wanted: SessionConfig) -> SessionConfig:
    """The same session with short windows, so that an order that never left is proved absent within two seconds."""
    engine = msgspec.structs.replace(
        wanted.engine,
        venue_timeout_ns=SECOND_NS // 5,
        request_timeout_ns=2 * SECOND_NS,
        order_query_interval_ns=SECOND_NS // 5,
    )
    return with_venue(dataclasses.replace(wanted, carry=True, engine=engine), recv_window_ms=500)


def fork_session(
    wanted: SessionConfig, *, rest: bool, is_settled: Callable[[LiveSession], bool] = lambda _session: True
) -> int:
    """A child that runs the engine: until it is killed or, to rest, until it has run for a moment and stopped in order."""
    child = os.fork()
    if child:
        return child
    code = 70
    create = JournalWriter.create
    JournalWriter.create = partial(create, segment_bytes=SEGMENT_BYTES)  # type: ignore[method-assign]  # of this child
    try:
        code = _in_child(wanted, rest=rest, is_settled=is_settled)
    except BaseException as error:
        sys.stderr.write(f"engine: {error!r}\n")
    finally:
        os._exit(code)


def _in_child(wanted: SessionConfig, *, rest: bool, is_settled: Callable[[LiveSession], bool]) -> int:
    async def go_on(session: LiveSession) -> None:
        """A person's pause outlives a restart: the last engine at rest left one."""
        while session.status().mode not in ("running", "paused"):
            await trio.sleep(0.01)
        await session.command("resume", by="kill_test")

    async def come_to_rest(session: LiveSession) -> None:
        account = lambda: session.state.account  # noqa: E731 - it is replaced with every record
        with trio.move_on_after(SETTLE_SECONDS_MAX):
            await go_on(session)
            while session.status().mode != "running" or any_unknown(session) or not is_settled(session):
                await trio.sleep(0.01)
            await trio.sleep(0.1)
            await session.command("pause", by="kill_test")
            await session.command("cancel_all", by="kill_test")
            while account().orders.live or account().requests.by_seq:
                await trio.sleep(0.01)
            asked = await session.command("reconcile", by="kill_test")
            while not is_reconciled(session.kernel.session, account(), asked.seq):
                await trio.sleep(0.01)
        await session.command("stop", by="kill_test")

    async def engine() -> Any:
        return await run_session_config(wanted, drive=come_to_rest if rest else go_on)

    return 0 if trio.run(engine).clean else 1


def any_unknown(session: LiveSession) -> bool:
    return any(order.status is Status.UNKNOWN for order in session.state.account.orders.live.values())


def state_of(address: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{address}/sim/state") as answer:
        state: dict[str, Any] = json.load(answer)
        return state


def signed(address: str, path: str, **query: str) -> Any:
    """Return the answer to a signed REST request, made as any client of the account makes it."""
    with urllib.request.urlopen(f"{address}/api/v3/time") as answer:
        now_ms = json.load(answer)["serverTime"]
    text = urllib.parse.urlencode({**query, "timestamp": str(now_ms), "recvWindow": "60000"})
    text += f"&signature={signature(DEMO_SECRET, text.encode())}"
    request = urllib.request.Request(f"{address}{path}?{text}", headers={"X-MBX-APIKEY": DEMO_KEY})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def fills_at(address: str) -> set[str]:
    """Return the ids of all fills that the venue lists, page by page."""
    found: set[str] = set()
    first = 0
    while True:
        page = signed(address, "/api/v3/myTrades", symbol="BTCUSDT", fromId=str(first), limit=str(PAGE))
        found |= {str(fill["id"]) for fill in page}
        if len(page) < PAGE:
            return found
        first = page[-1]["id"] + 1


def begun(journals: Path) -> list[SessionFolder]:
    """Return the sessions that have a record. One that was killed before its first sent nothing."""
    return [found for found in list_sessions(journals) if any(found.path.glob("0*"))]


def disagreements(journals: Path, address: str) -> list[str]:
    """Compare the last session's journal, and the fills of all, with the venue's REST books.

    Each session is read once: it has ended, and no later one may change it (`kill_and_look` verifies all at the end).
    """
    held_at = {each["asset"]: each for each in signed(address, "/api/v3/account")["balances"]}
    newest = begun(journals)[-1]
    read = [read_ended(found.path) for found in begun(journals)]
    said = [problem for each in read for problem in each.problems]
    account = rebuilt_state(Journal.open(newest.path)).account
    if live := sorted(account.orders.live):
        said.append(f"the engine thinks these orders live: {live}")
    if open_orders := signed(address, "/api/v3/openOrders", symbol="BTCUSDT"):
        said.append(f"open at the venue: {[order['clientOrderId'] for order in open_orders]}")
    for asset in ("BTC", "USDT"):
        held = held_at[asset]
        ours = account.balances.get(asset)
        if (ours.free, ours.locked) != (Decimal(held["free"]), Decimal(held["locked"])):
            said.append(f"{asset}: the venue holds {held}, the engine thinks {ours}")
    booked = Counter(fill.fill_id for fill in fills_of(journals))
    known = fills_at(address)
    said += [f"fill {fill} is booked {times} times" for fill, times in booked.items() if times > 1]
    said += [f"fill {fill} is not booked" for fill in sorted(known - booked.keys())]
    said += [f"fill {fill} is not the venue's" for fill in sorted(booked.keys() - known)]
    asked = state_of(address)["client_order_ids"]
    said += [f"the venue saw {name} {times} times" for name, times in asked.items() if times != 1]
    return said


def fills_of(journals: Path) -> list[OrderFilled]:
    return [fill for found in begun(journals) for fill in read_ended(found.path).fills]


class EndedSession(NamedTuple):
    """The compared contents of a session that has ended."""

    problems: list[str]
    fills: list[OrderFilled]


@cache
def read_ended(folder: Path) -> EndedSession:
    """Verify and read a session."""
    facts = (read_fact(each.body or "") for each in Journal.open(folder).records() if each.kind is Kind.FACT)
    return EndedSession(problems_of(folder), [fact for fact in facts if isinstance(fact, OrderFilled)])


def problems_of(folder: Path) -> list[str]:
    return [f"{folder.name}: {problem}" for problem in verify(folder).problems]


if __name__ == "__main__":
    sys.exit(main())
