"""Resimulation beside its peers, on the same captured messages: rows per CPU second, and the results.

    python benchmarks/resim_peers.py FOLDER [--nautilus PYTHON] [--nautilus-1 PYTHON] [--hftbacktest PYTHON]
        [--against CHECKOUT] [--rounds 5] [--tiles N] [--only CASE ...] [--record]

FOLDER is made once: captures imported as sessions. NautilusTrader 2.0.0rc7 and 1.221, and hftbacktest 2.4.4 are run with the Pythons given, by
their programs in shared/bench/peers, in turns with ours, each in its own process; medians of the rounds. Another checkout of ours runs in turns too.
Every decision of ours is kept, intent to fill, as values that become text when they are read; imports and compiling are apart. The engine's own timers
(watch, report, reconcile) beat each minute here, and each second in a live session: `--timers lived` leaves them unchanged.

Each case of ours runs at two sizes. `x1` is the capture once: the opening of the session is in its time. `x10` and so on is the capture so many times
as one session, as the peer's program repeats it (`--tiles` gives another number), so fixed costs weigh as little as there. The same: the messages of
each tile and their distances in time. Not the same: between two tiles the peers clear the book, while ours gets one depth diff that turns the last book
into the first one (benchmarks/tiling.py); its levels count as rows, as the snapshot's do at the peers. A later tile lacks the snapshot and the few diffs
before it. The peers have their rows in memory; ours are read from disk within the time, except in `rule_fold_in_memory`. No run of ours may lose its
book: a gap, a second snapshot or an instrument that is blocked after its start ends the benchmark.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from history import record
from measuring import DATA, HERE, SHARED
from tiling import read, tiled_quotes
from tiling import tiled as tiled_stream

CAPTURES = DATA / "captures" / "binance"
PEERS = SHARED / "bench" / "peers"
STRATEGIES = HERE / "strategies"
TIMERS = {
    "engine.watch_every_ns": "60000000000",
    "engine.report_every_ns": "600000000000",
    "engine.reconcile_every_ns": "600000000000",
}
AS_HFT = {
    "request_ms": "5",
    "answer_ms": "5",
    "feed_ms": "0",
    "clock": "venue",
    "quotes": "ignored",
    "queue": "power",
    "fills": "whole",
}
CASES = {  # name: (session, strategy, model settings, rows that count, peer)
    "idle": ("spot_quotes", "idle.py:Never", {}, "quotes and trades", "nautilus idle"),
    "ema": ("spot_quotes", "ema_cross.py:EmaCross", {}, "quotes", "nautilus ema"),
    "callback": ("spot_quotes", "idle.py:EachQuote", {}, "quotes and trades", "nautilus idle"),
    "event": ("spot_quotes", "idle.py:EachEvent", {}, "quotes and trades", "nautilus idle"),
    "quoter": ("spot", "touch.py:Touch", {}, "book messages and trades", "nautilus quoter"),
    "quoter_compiled": ("spot", "touch.py:CompiledTouch", {}, "book messages and trades", "nautilus quoter"),
    "quoter_in_fold": ("spot", "touch.py:Touch", {}, "book messages and trades", "nautilus quoter"),
    "ema_in_fold": ("spot_quotes", "ema_cross.py:EmaCross", {}, "quotes", "nautilus ema"),
    "never": ("usdm", "idle.py:Never", {}, "levels and trades", "hftbacktest idle"),
    "level": ("usdm", "idle.py:EachEvent", {}, "levels and trades", "hftbacktest idle"),
    "beat": ("usdm", "idle.py:Beat", {}, "levels and trades", "hftbacktest idle"),
    "rule": ("usdm", "hft_rule.py:Rule", AS_HFT, "levels and trades", "hftbacktest quote"),
    "rule_compiled": ("usdm", "hft_rule.py:CompiledRule", AS_HFT, "levels and trades", "hftbacktest quote"),
    "rule_in_fold": ("usdm", "hft_rule.py:Rule", AS_HFT, "levels and trades", "hftbacktest quote"),
    "rule_in_fold_in_memory": ("usdm", "hft_rule.py:Rule", AS_HFT, "levels and trades", "hftbacktest quote"),
    "rule_fold": ("usdm", "hft_rule.py:FoldRule", AS_HFT, "levels and trades", "hftbacktest quote"),
    "rule_fold_in_memory": ("usdm", "hft_rule.py:FoldRule", AS_HFT, "levels and trades", "hftbacktest quote"),
}
PEER_TILES = {
    "nautilus idle": 60,
    "nautilus ema": 60,
    "nautilus quoter": 20,
    "hftbacktest idle": 10,
    "hftbacktest quote": 10,
}


# ---- sessions --------------------------------------------------------------------------------------------


def tiled(name: str, times: int, *, with_books: bool) -> Iterator[bytes]:
    """Yield a capture's lines so many times as one valid stream."""
    lines = read(CAPTURES / f"{name}.gz")
    make = tiled_stream if with_books else tiled_quotes
    yield from (line + b"\n" for line in make(lines, times))


def session(folder: Path, name: str, tiles: int) -> Path:
    """Return the session of a capture, tiled so many times. It is made if it is not there."""
    place = folder / f"{name}_{tiles}"
    if not place.exists():
        capture = folder / f"{name}.dat"
        capture.parent.mkdir(parents=True, exist_ok=True)
        source = "spot_btcusdt_20240808" if name.startswith("spot") else "usdm_btcusdt_20240808"
        with capture.open("wb") as file:
            file.writelines(tiled(source, tiles, with_books=not name.endswith("quotes")))
        verbatim = Path(sys.executable).parent / "verbatim"
        subprocess.run(
            [str(verbatim), "import", str(capture), "--into", str(place)], check=True, stdout=subprocess.DEVNULL
        )
        capture.unlink()
    return place


# ---- ours ------------------------------------------------------------------------------------------------


def ours(
    folder: Path, strategy: str, settings: dict[str, str], counted: str, timers: dict[str, str], *, case: str
) -> dict[str, Any]:
    from engine.market import rows as r
    from engine.session_context import SessionContext
    from engine.sim.exchange.venue_books import VenueBooks
    from engine.sim.venue_model import VenueModel, with_settings
    from engine.step_context import Output
    from journal.reader import Journal
    from journal.record import Kind, Record
    from replay.entries import Entry
    from replay.overrides import apply_overrides, with_strategy
    from replay.resim.capture_session import session_from_capture
    from replay.resim.resimulate import ResimOptions, resimulate_steps
    from replay.resim.timeline import RowSpan, Timeline
    from replay.study.performance import measure_performance
    from verbatim.strategy_files import read_strategy

    journal = Journal.open(folder)
    body = with_strategy(session_from_capture(journal), read_strategy(f"{STRATEGIES / strategy}"))
    body = apply_overrides(body, timers | {"risk.orders_per_second_max": "0"})
    tape = Timeline(journal, SessionContext(body, {}), journal.last_seq, frozenset())  # and the projection is made
    kinds: Counter[int] = Counter()
    for piece in tape.items():
        if isinstance(piece, RowSpan):
            kinds.update(piece.rows[:, r.TYPE].tolist())
    rows = sum(kinds[kind] for kind in COUNTED[counted])
    VenueBooks(1)
    model = with_settings(VenueModel(fee_maker="0.0002", fee_taker="0.0005"), settings)
    wanted = ResimOptions(session=body, model=model, balances={"USDT": "10000000", "BTC": "1000"})
    if "fold" in case:
        return folded(journal, wanted, rows, in_memory=case.endswith("in_memory"))
    seconds = []
    for _ in range(3):
        kept: list[Entry] = []

        def keep(inputs: Sequence[Record], outputs: Sequence[Output], kept: list[Entry] = kept) -> None:
            kept += inputs
            kept += outputs

        begun = time.process_time()
        resimulate_steps(folder, wanted, keep)
        seconds.append(time.process_time() - begun)
    refuse_lost_books(kept)
    found = measure_performance(kept)
    asked = sum(1 for record in kept if record.kind in (Kind.FEED, Kind.TIMER))
    (line, *_) = [*found.lines.values(), None]
    cpu_s = sorted(seconds)[1]
    return {
        "rows": rows, "cpu_s": round(cpu_s, 3), "rows_per_cpu_s": round(rows / cpu_s), "python_asked": asked, "placed": found.placed, "cancels": found.canceled,
        "fills": found.fills, "records": len(kept), "position": f"{line.position:f}" if line else "0", "pnl": f"{found.pnl:.6f}",
    }  # fmt: skip


def folded(journal: Any, wanted: Any, rows: int, *, in_memory: bool) -> dict[str, Any]:
    """Run with orders in the fold. `in_memory`: the rows are read before, as hftbacktest's are, and the session is open."""
    from engine.gc_tuning import rare_collections
    from engine.sim.fold_orders import fold_layout as at
    from replay.fold_orders.agree import check_against_steps
    from replay.fold_orders.run import prepare_run

    seconds = []
    for _ in range(6):
        with rare_collections():  # as run_folded has it
            begun = time.process_time()
            run = prepare_run(journal, wanted)
            if in_memory:
                run.load_rows()
                begun = time.process_time()
            found = run.run()
            seconds.append(time.process_time() - begun)
    check_against_steps(found, journal, wanted)
    cpu_s = sorted(seconds[1:])[2]  # the first one loads machine code
    return {
        "rows": rows, "cpu_s": round(cpu_s, 4), "rows_per_cpu_s": round(rows / cpu_s), "decisions": found.decisions,
        "placed": found.count(at.PLACED), "cancels": found.count(at.CANCEL_SENT), "rejected": found.count(at.REJECTED),
        "fills": found.count(at.FILLED), "events": len(found.events), "position": f"{found.position:f}", "pnl": f"{found.pnl:.6f}",
    }  # fmt: skip


def refuse_lost_books(kept: Sequence[Any]) -> None:
    """Refuse a run whose book was lost, at a join of tiles or elsewhere. The first messages may come before the snapshot."""
    from engine.facts import InstrumentBlocked, MarketGap
    from engine.requests import Purpose
    from engine.step_context import Output

    bodies = [entry.body for entry in kept if isinstance(entry, Output)]
    snapshots = sum(getattr(body, "purpose", None) is Purpose.DEPTH for body in bodies)
    blocks = [bool(body.reasons) for body in bodies if isinstance(body, InstrumentBlocked)]
    gaps = [body for body in bodies if isinstance(body, MarketGap)]
    assert snapshots <= 1, f"{snapshots} snapshots were requested"
    assert False not in blocks[:-1], "the instrument was blocked again after its book was ready"
    assert not gaps, f"messages are missing: {gaps}"


COUNTED = {
    "quotes": (1,),
    "quotes and trades": (1, 2),
    "book messages and trades": (2, 3),
    "levels and trades": (2, 5),
}


# ---- peers -----------------------------------------------------------------------------------------------


def nautilus(python: str, program: str, scenario: str) -> dict[str, Any]:
    line = _run(
        [
            python,
            str(PEERS / program),
            str(CAPTURES / "spot_btcusdt_20240808.gz"),
            scenario,
            "--tile",
            str(PEER_TILES[f"nautilus {scenario}"]),
            "--runs",
            "3",
        ]
    )
    return {
        "rows": line["rows"],
        "cpu_s": line["run_cpu_s"],
        "rows_per_cpu_s": round(line["rows"] / line["run_cpu_s"]),
        "orders": line["orders"],
        "fills": line["fills"],
    }


def hftbacktest(python: str, mode: str, folder: Path) -> dict[str, Any]:
    data = folder / "hftbacktest"
    if not data.exists():
        subprocess.run(
            [
                python,
                str(PEERS / "hftbacktest_prepare.py"),
                str(CAPTURES / "usdm_btcusdt_20240808.gz"),
                "--market",
                "usdm",
                "--out",
                str(data),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    found = {}
    for depth in ("hash", "roi"):
        line = _run(
            [
                python,
                str(PEERS / "hftbacktest_bench.py"),
                "one",
                "--data",
                str(data),
                "--market",
                "usdm",
                "--mode",
                mode,
                "--depth",
                depth,
                "--tiles",
                str(PEER_TILES[f"hftbacktest {mode}"]),
            ]
        )
        found[depth] = line["rows_per_cpu_s"]
    once = _run(
        [
            python,
            str(PEERS / "hftbacktest_bench.py"),
            "one",
            "--data",
            str(data),
            "--market",
            "usdm",
            "--mode",
            mode,
            "--depth",
            "roi",
            "--tiles",
            "1",
            "--repeat",
            "1",
        ]
    )
    return {
        "rows_per_cpu_s": found["roi"],
        "hash": found["hash"],
        "placed": once["sent"],
        "cancels": once["cancels"],
        "fills": once["num_trades"],
        "position": once["position"],
        "pnl": once["equity"],
        "compile_s": once["compile_s"],
    }


def _run(words: list[str], env: dict[str, str] | None = None) -> dict[str, Any]:
    ended = subprocess.run(words, capture_output=True, text=True, check=True, env=env)
    found: dict[str, Any] = json.loads([line for line in ended.stdout.splitlines() if line.startswith("{")][-1])
    return found


Run = Callable[[], dict[str, Any]]


def contenders(name: str, options: argparse.Namespace) -> dict[str, Run]:
    """Return who runs in a case: ours and our other checkout at both sizes, and the peers whose Pythons are given."""
    place, _, _, _, peer = CASES[name]
    whose, _, mode = peer.partition(" ")
    runs: dict[str, Run] = {}
    for tiles in (1, options.tiles or PEER_TILES[peer]):
        session(options.folder, place, tiles)
        runs[f"ours x{tiles}"] = partial(child, name, tiles, options, HERE.parent)
        if options.against:
            runs[f"against x{tiles}"] = partial(child, name, tiles, options, options.against)
    if whose == "hftbacktest" and options.hftbacktest:
        runs["hftbacktest"] = partial(hftbacktest, options.hftbacktest, mode, options.folder)
    if whose == "nautilus" and options.nautilus:
        runs["nautilus 2.0.0rc7"] = partial(nautilus, options.nautilus, "nautilus_v2_backtest.py", mode)
    if whose == "nautilus" and options.nautilus_1:
        runs["nautilus 1.221"] = partial(nautilus, options.nautilus_1, "nautilus_backtest.py", mode)
    return runs


def child(name: str, tiles: int, options: argparse.Namespace, checkout: Path) -> dict[str, Any]:
    """Run a case of ours in its own process, with the modules of a checkout."""
    words = [sys.executable, "-P", str(HERE / "resim_peers.py"), str(options.folder), "--case", name]
    words += ["--tiles", str(tiles), "--timers", options.timers]
    return _run(words, {**os.environ, "PYTHONPATH": f"{checkout}:{HERE}"})


def ratios_of(name: str, rates: dict[str, float]) -> dict[str, float]:
    """Return the ratios of ours over each other, at each size; another checkout of ours runs at the same size."""
    return {
        f"{name} {ours.removeprefix('ours ')} over {whose}": rates[ours] / rates[whose]
        for ours in rates
        if ours.startswith("ours")
        for whose in rates
        if not whose.startswith(("ours", "against")) or whose == ours.replace("ours", "against")
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nautilus", help="a Python 3.13 with nautilus_trader 2.0.0rc7")
    parser.add_argument("--nautilus-1", help="a Python 3.11 with nautilus_trader 1.221.0")
    parser.add_argument("--hftbacktest", help="a Python with hftbacktest 2.4.4")
    parser.add_argument("--against", type=Path, help="another checkout of Verbatim")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tiles", type=int, help="in place of the peer's number")
    parser.add_argument("--timers", choices=["minute", "lived"], default="minute")
    parser.add_argument("--only", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--record", action="store_true", help="add the ratios to benchmarks/results/resim_peers.json")
    parser.add_argument(
        "--case", choices=list(CASES), help="run one case of ours in this process, and print it as JSON"
    )
    options = parser.parse_args()
    if options.case:
        place, strategy, settings, counted, _ = CASES[options.case]
        timers = TIMERS if options.timers == "minute" else {}
        place = session(options.folder, place, options.tiles)
        print(json.dumps(ours(place, strategy, settings, counted, timers, case=options.case)))
        return
    for name in options.only:
        try:
            rates = measured(name, options)
        except subprocess.CalledProcessError as error:
            print(f"{name}: {error.stderr[-2000:]}", flush=True)
            continue
        ratios = ratios_of(name, rates)
        for ratio, value in ratios.items():
            print(f"  {ratio} {value:.3f}", flush=True)
        if options.record:
            record("resim_peers", ratios)


def measured(name: str, options: argparse.Namespace) -> dict[str, float]:
    """Run a case of each contender in turns. Return the medians of rows a CPU second."""
    runs = contenders(name, options)
    seen: dict[str, list[dict[str, Any]]] = {whose: [] for whose in runs}
    for number in range(options.rounds):
        order = list(runs)
        for whose in order[number % len(order) :] + order[: number % len(order)]:
            seen[whose].append(runs[whose]())
    rates = {whose: statistics.median(run["rows_per_cpu_s"] for run in each) for whose, each in seen.items()}
    print(f"{name}: {CASES[name][1]} on {CASES[name][0]}, {CASES[name][3]}")
    for whose, each in seen.items():
        print(f"  {whose} {rates[whose]:,.0f} rows a CPU second, median of {len(each)}: {json.dumps(each[-1])}")
    return rates


if __name__ == "__main__":
    sys.exit(main())
