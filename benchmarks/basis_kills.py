"""One session with Spot and USD-M trades the basis of examples/basis.py in real processes, through kills and faults.

    python benchmarks/basis_kills.py --rounds 20

Each venue is a process, and so is the engine. In each round the engine is killed by SIGKILL at a random moment and
started again, one venue refuses an order once, and one is lost: its process is stopped, so that connections stay up and
nothing is answered. When the engine has come to rest, both legs must be equal, balances, wallet, position, open orders and
fills must equal the books of both venues, no client order id may have been sent twice, and each journal must verify and
replay identically. Prints one JSON line; the exit code is 1 if a check failed.

Clocks run at `--speed`; `--lost` is in real seconds. Limits of silence and of answers are about a second of real time.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from kill_test import begun, fills_of, fork_session, load, state_of
from msgspec.structs import replace

from engine.facts import AccountModeChanged, OrderClosed
from engine.lifecycle import Report
from engine.live.clock import SessionClock
from engine.live.previous_session import rebuilt_state
from engine.live.session import LiveSession
from engine.live.session_config import SessionConfig
from engine.live.venue_access import VenueAccess
from engine.live.venue_main import DEMO_KEY, DEMO_SECRET
from engine.mode_reasons import Mode
from engine.record_codec import read_fact
from engine.session_record import (
    SECOND_NS,
    EngineSettings,
    RiskSettings,
    VenueSettings,
    new_engine_settings,
    newest_risk,
)
from engine.strategy.rule_loading import recorded_rules
from engine.venue_choices import VenueTrouble
from engine.venues.signing import Credentials
from engine.venues.venue_lookup import make_venue
from journal.reader import Journal
from journal.record import Kind
from journal.recover import recover
from journal.verify import verify
from replay.replay import replay_session
from verbatim.config import scale_timeouts
from verbatim.strategy_files import read_strategy

KINDS = {"spot": "binance_spot", "perp": "binance_usdm"}
ORDER_PATHS = {"spot": "/api/v3/order", "perp": "/fapi/v1/order"}
SPOT, PERP = "spot:BTCUSDT", "perp:BTCUSDT"
SIZE, STEP = Decimal("0.03"), Decimal("0.002")  # of each leg more a round, and of one order
CUT = Decimal("3e-8")  # a fill of a contract: the venue cuts entry price, P&L and fee to 8 decimals
EVENT_MS = 100  # a calm market: kills and refusals are the subject
DELAY_SECONDS = (0.6, 1.6)  # until the kill
LOSS_AFTER_SECONDS = 0.7


class BasisVenue(NamedTuple):
    """A venue's process and its ready line."""

    process: subprocess.Popen[bytes]
    ready: dict[str, Any]

    @property
    def address(self) -> str:
        return str(self.ready["listening"])


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--speed", type=int, default=5)
    options.add_argument("--lost", type=float, default=3.0, help="seconds for which a venue is stopped in each round")
    options.add_argument("--seed", type=int, default=None, help="of moments and faults; printed, to repeat a run")
    options.add_argument("--keep", type=Path, default=None, help="a folder for the journals, which then stay")
    given = options.parse_args()
    seed = random.SystemRandom().randrange(2**32) if given.seed is None else given.seed
    load()
    with tempfile.TemporaryDirectory() as folder:
        found = trade_and_look(given.keep or Path(folder), given, random.Random(seed))
    sys.stdout.write(json.dumps({"seed": seed, "speed": given.speed, "lost_s": given.lost, **found}) + "\n")
    return 1 if found["broken"] else 0


@contextmanager
def basis_venue(kind: str, **options: Any) -> Iterator[BasisVenue]:
    """Run a venue's process. A stopped one continues, so that it can end."""
    limits = {"orders_10s_max": 100_000, "weight_max": 1_000_000}
    text = json.dumps({"kind": kind, "symbols": ["BTCUSDT"], "event_ms": EVENT_MS, **limits, **options})
    command = [sys.executable, "-P", "-m", "engine.live.venue_main", text]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None, "asked for"
        try:
            yield BasisVenue(process, json.loads(process.stdout.readline()))
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()


def trade_and_look(journals: Path, given: argparse.Namespace, chance: random.Random) -> dict[str, Any]:
    broken: list[str] = []
    with ExitStack() as stack:
        spot = stack.enter_context(basis_venue(KINDS["spot"], seed=7, speed=given.speed))
        clock = {name: spot.ready[name] for name in ("session_origin_ns", "monotonic_origin_ns", "speed")}
        venues = {"spot": spot, "perp": stack.enter_context(basis_venue(KINDS["perp"], seed=8, **clock))}
        for number in range(given.rounds):
            wanted = basis_session(journals, venues, SIZE * (number + 1), given.speed)
            seen = one_round(wanted, venues, chance, number, given.lost)
            broken += [f"round {number}: {text}" for text in (*seen, *disagreements(journals, venues))]
        broken += journal_problems(journals)
        fills = {name: len(state_of(each.address)["fills"]) for name, each in venues.items()}
    counted = events_of(journals)
    return {"rounds": given.rounds, "sessions": len(begun(journals)), "fills": fills, **counted, "broken": broken}


def one_round(
    wanted: SessionConfig, venues: dict[str, BasisVenue], chance: random.Random, number: int, lost_s: float
) -> list[str]:
    """Refuse an order, kill the engine, start it again, and stop a venue. Return what went wrong."""
    refusing, lost = [("perp", "spot"), ("spot", "perp")][number % 2]
    nth = chance.randrange(1, 6)
    refusal = {"status": 400, "code": -2010 if refusing == "spot" else -2019, "msg": "refused by a test"}
    add_fault(venues[refusing].address, action="reject", method="POST", path=ORDER_PATHS[refusing], nth=nth, **refusal)
    killed = fork_session(wanted, rest=False)
    time.sleep(chance.uniform(*DELAY_SECONDS))
    os.kill(killed, signal.SIGKILL)
    os.waitpid(killed, 0)
    back = wanted.journals / f"back-{number}"

    def is_settled(session: LiveSession) -> bool:
        """Return True once the lost venue is back and both legs are complete."""
        positions = session.state.account.positions
        bought, sold = positions.get("basis", SPOT).quantity, positions.get("basis", PERP).quantity
        is_equal = abs(bought + sold) < STEP / 2 and bought > SIZE * (number + 1) - STEP
        return back.exists() and is_equal and not session.state.account.orders.live

    resting = fork_session(wanted, rest=True, is_settled=is_settled)
    time.sleep(LOSS_AFTER_SECONDS + chance.uniform(0, 0.5))
    venues[lost].process.send_signal(signal.SIGSTOP)
    time.sleep(lost_s)
    venues[lost].process.send_signal(signal.SIGCONT)
    back.touch()
    _, status = os.waitpid(resting, 0)
    wrong = [f"the engine that came to rest ended with {os.waitstatus_to_exitcode(status)}"] if status else []
    if 0 in struck(venues[refusing].address):
        wrong.append(f"the refusal at {refusing} did not strike")
    return wrong


def basis_session(journals: Path, venues: dict[str, BasisVenue], size: Decimal, speed: int) -> SessionConfig:
    example = Path(__file__).resolve().parent.parent / "examples" / "basis.py"
    parameters = {"size": str(size), "step": str(STEP)}
    ready = venues["spot"].ready
    return SessionConfig(
        journals=journals,
        clock=SessionClock.scaled(
            session_origin_ns=ready["session_origin_ns"], monotonic_origin_ns=ready["monotonic_origin_ns"], speed=speed
        ),
        venues=tuple(access(name, each.address, speed) for name, each in venues.items()),
        strategies=(read_strategy(f"{example}:Basis", name="basis", parameters=parameters),),
        rules=recorded_rules([]),
        risk=newest_risk(RiskSettings()),
        engine=impatient(speed),
        account="demo",
        seed=1,
    )


def access(name: str, address: str, speed: int) -> VenueAccess:
    stream = address.replace("http", "ws", 1)
    window_ms = min(1000 * speed, 60_000)
    settings = VenueSettings(
        name, rest=address, stream=stream, private=stream, recv_window_ms=window_ms, kind=KINDS[name], account=name
    )
    key = make_venue(settings, ()).signer.load_key(Credentials(DEMO_KEY, DEMO_SECRET))
    return VenueAccess(settings=settings, symbols=("BTCUSDT",), key=key)


def impatient(speed: int) -> EngineSettings:
    """Return settings with short limits of silence: after a second of real time a stream is lost."""
    second_ns = SECOND_NS * speed
    return replace(
        scale_timeouts(new_engine_settings(), speed),
        on_venue_trouble=VenueTrouble.OWN,
        stale_after_ns=second_ns,
        stream_silence_max_ns=second_ns,
        request_timeout_ns=2 * second_ns,
        venue_timeout_ns=second_ns // 5,
        order_query_interval_ns=second_ns // 5,
    )


def add_fault(address: str, **rule: Any) -> None:
    """Script a fault at a venue, in place of those of earlier rounds."""
    for method, data in (("DELETE", None), ("POST", json.dumps(rule).encode())):
        urllib.request.urlopen(urllib.request.Request(f"{address}/sim/faults", data, method=method)).close()


def struck(address: str) -> list[int]:
    with urllib.request.urlopen(f"{address}/sim/faults") as answer:
        return [fault["struck"] for fault in json.load(answer)]


def disagreements(journals: Path, venues: dict[str, BasisVenue]) -> list[str]:
    """Compare the newest journal with the books of both venues."""
    account = rebuilt_state(Journal.open(begun(journals)[-1].path)).account
    spot, perp = (state_of(venues[name].address) for name in ("spot", "perp"))
    wrong = [f"the engine considers these orders open: {sorted(account.orders.live)}"] if account.orders.live else []
    wrong += [
        f"open at {name}: {each['open_orders']}"
        for name, each in (("spot", spot), ("perp", perp))
        if each["open_orders"]
    ]
    for asset, held in spot["balances"]["demo"].items():
        ours = account.balances.get(asset, "spot")
        if asset in ("BTC", "USDT") and (ours.free, ours.locked) != (Decimal(held["free"]), Decimal(held["locked"])):
            wrong.append(f"{asset}: spot has {held}, the engine {ours}")
    net = sum((Decimal(each["quantity"]) for each in perp["positions"]), Decimal(0))
    if account.positions.net(PERP) != net:
        wrong.append(f"the contract: perp has {net}, the engine {account.positions.net(PERP)}")
    wallet, ours = Decimal(perp["wallets"]["demo"]["USDT"]), account.ledger.by_asset.get("perp/USDT")
    if ours is None or abs(wallet - ours.expected) > CUT * len(perp["fills"]):
        wrong.append(f"the wallet: perp has {wallet}, the engine {'no entry' if ours is None else ours.expected}")
    booked = Counter((fill.instrument, fill.fill_id) for fill in fills_of(journals))
    known = {(SPOT, str(fill["trade_id"])) for fill in spot["fills"]} | {
        (PERP, str(fill["trade_id"])) for fill in perp["fills"]
    }
    wrong += [f"fill {fill} is booked {times} times" for fill, times in booked.items() if times > 1]
    wrong += [f"fill {fill} is not in both books" for fill in sorted(known ^ booked.keys())]
    sent = [*spot["client_order_ids"].items(), *perp["client_order_ids"].items()]
    return wrong + [f"the venue received {name} {times} times" for name, times in sent if times != 1]


def journal_problems(journals: Path) -> list[str]:
    """Verify and replay each journal."""
    wrong = []
    for found in begun(journals):
        recover(found.path)
        wrong += [f"{found.session_id}: {problem}" for problem in verify(found.path).problems]
        verdict = replay_session(found.path)
        wrong += [] if verdict.identical else [f"{found.session_id}: {verdict.text()}"]
    return wrong


def events_of(journals: Path) -> dict[str, int]:
    """Count refused orders, and the times that one account alone was not RUNNING after it had been."""
    refused, lost = 0, 0
    for found in begun(journals):
        running: set[str] = set()
        for record in Journal.open(found.path).records():
            fact = read_fact(record.body or "") if record.kind is Kind.FACT else None
            refused += isinstance(fact, OrderClosed) and fact.status is Report.REJECTED
            if isinstance(fact, AccountModeChanged):
                lost += fact.venue in running and fact.mode is not Mode.RUNNING
                (running.add if fact.mode is Mode.RUNNING else running.discard)(fact.venue)
    return {"refused": refused, "lost": lost}


if __name__ == "__main__":
    sys.exit(main())
