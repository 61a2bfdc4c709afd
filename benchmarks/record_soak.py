"""`verbatim record` as a process against the simulated venue as a process, with scripted disconnects and silences: what
must hold.

    python -P benchmarks/record_soak.py --minutes 30 --speed 60

- every frame that the venue sent on a connection is in the journals byte for byte and in order, across rolls
  (the venue tallies and hashes what it sends: /sim/sent);
- every lost or silent connection is one gap, ended by the next; every jump of trade or depth ids is within a gap;
- sessions roll, each names the one before with its chain, and all are whole;
- the recorder's memory in the last quarter of the run is that of the first within `--ratio`.

Prints one JSON line; exit code 1 where something did not hold. Both run on one scaled clock: a minute is `--speed`
minutes of theirs.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from analysis.sql_session import connect, run_query
from engine.record_codec import read_link
from engine.session_record import read_session
from engine.sim.binance.connections import Sent
from journal.reader import Journal
from journal.record import Kind, Record
from journal.sessions import list_sessions
from journal.verify import verify

VERBATIM = [sys.executable, "-P", "-c", "from verbatim.cli import main; main(prog_name='verbatim')"]
SYMBOL = "BTCUSDT"
STALE_SECONDS = 10  # of silence until the recorder reconnects (engine.stale_after_s, which the scaled clock stretches)
# a disconnect, a silence. A link that is lost again within backoff_max (30 s) is opened later and later, so what is
# struck must be further
# apart: with a disconnect every 30 s the recorder was away for up to 30 s after each, and most silences fell into that
ROUND_SECONDS = 60.0
LONG_SILENCE_EVERY = 4  # rounds
SETTLE_SECONDS = 2.0
WARM_SAMPLES = 60
TRADE_ID = re.compile(rb'"t":(\d+)')
DIFF_IDS = re.compile(rb'"U":(\d+),"u":(\d+)')


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=30)
    options.add_argument("--speed", type=int, default=60)
    options.add_argument("--rolls", type=int, default=5, help="sessions in the run")
    options.add_argument(
        "--ratio", type=float, default=1.1, help="of memory, last quarter to first, that is still flat"
    )
    options.add_argument("--keep", type=Path, help="a folder for the journals, which then stay")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        journals = given.keep or Path(scratch) / "journals"
        found = soak(Path(scratch), journals, given.minutes * 60, given.speed, given.rolls)
    if found["memory"]["ratio"] > given.ratio:
        found["violations"].append(f"memory grew: {found['memory']}")
    sys.stdout.write(json.dumps(found) + "\n")
    return 1 if found["violations"] else 0


def soak(scratch: Path, journals: Path, seconds: float, speed: int, rolls: int) -> dict[str, Any]:
    with process("venue", "--port", "0", "--speed", speed, "--symbol", SYMBOL) as venue:
        assert venue.stdout is not None, "asked for"
        ready = json.loads(venue.stdout.readline())
        address = str(ready["listening"])
        config = write_config(scratch, journals, ready, roll_hours=seconds * speed / 3600 / rolls)
        with process("record", config, "--json", "--log-level", "error") as recorder:
            until_recording(address, recorder)
            sampled, struck = strike(address, recorder, seconds, speed)
            ask(address, "/sim/faults", {"action": "silence", "target": "market", "ms": 3_600_000 * speed})
            time.sleep(SETTLE_SECONDS)  # until all sent frames are recorded
            cpu_s = cpu_seconds(recorder.pid)
            recorder.send_signal(signal.SIGTERM)
            told = [json.loads(line) for line in recorder.communicate(timeout=120)[0].splitlines()]
        sent = ask(address, "/sim/sent")
    violations = [f"the recorder ended with {recorder.returncode}"] if recorder.returncode else []
    received, breaks = taken_down(journals)
    gaps = gaps_of(journals)
    violations += compare_frames(sent, received)
    violations += compare_gaps(gaps, breaks, connections=len(sent), struck=struck)
    violations += look_at_sessions(journals, rolls)
    records = sum(each["records"] for each in told)
    stored = sum(path.stat().st_size for path in journals.rglob("*.parquet"))
    return {
        "minutes": round(seconds / 60, 2),
        "speed": speed,
        "frames": sum(tally.frames for tally in received),
        "records": records,
        "sessions": len(told),
        "connections": len(sent),
        "struck": struck,
        "gaps": {"link": sum(not gap["stream"] for gap in gaps), "ids": sum(bool(gap["stream"]) for gap in gaps)},
        "id_breaks": len(breaks),
        "waiting_peak": max(each["waiting_peak"] for each in told),
        "cpu_us_per_record": round(cpu_s * 1e6 / records, 1),
        "bytes_per_record": round(stored / records, 1),
        "memory": flatness(sampled),
        "violations": violations,
    }


# ---- the two processes -------------------------------------------------------------------------


@contextmanager
def process(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VERBATIM_")}
    command = [*VERBATIM, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as started:
        try:
            yield started
        finally:
            if started.poll() is None:
                started.terminate()


def write_config(scratch: Path, journals: Path, ready: dict[str, Any], *, roll_hours: float) -> Path:
    path = scratch / "record.toml"
    path.write_text(f"""
instruments = ["{SYMBOL}"]
[venue]
rest = "{ready["listening"]}"
stream = "{str(ready["listening"]).replace("http", "ws", 1)}"
[session]
journals = "{journals}"
[record]
roll_hours = {roll_hours:.6f}
[engine]
stale_after_s = {STALE_SECONDS}
[clock]
speed = {ready["speed"]:.0f}
session_origin_ns = {ready["session_origin_ns"]}
monotonic_origin_ns = {ready["monotonic_origin_ns"]}
""")
    return path


def ask(address: str, page: str, posted: Any = None) -> Any:
    data = None if posted is None else json.dumps(posted).encode()
    with urllib.request.urlopen(f"{address}{page}", data=data) as answer:
        return json.load(answer)


def until_recording(address: str, recorder: subprocess.Popen[str]) -> None:
    """The first run of all compiles for a while."""
    end = time.monotonic() + 120
    while not any(connection["frames"] for connection in ask(address, "/sim/sent")):
        assert recorder.poll() is None, "the recorder ended before it recorded"
        assert time.monotonic() < end, "nothing was recorded within two minutes"
        time.sleep(0.2)


def strike(
    address: str, recorder: subprocess.Popen[str], seconds: float, speed: int
) -> tuple[list[tuple[float, float]], dict[str, int]]:
    """The faults, round after round, while memory is sampled: (resident, anonymous) in MB once a second."""
    sampled: list[tuple[float, float]] = []
    struck = {"disconnects": 0, "short_silences": 0, "long_silences": 0, "depth_refused": 0}
    begun = time.monotonic()

    def sample(for_seconds: float) -> None:
        end = min(time.monotonic() + for_seconds, begun + seconds)
        while (rest := end - time.monotonic()) > 0:
            sampled.append(memory_mb(recorder.pid))
            time.sleep(min(rest, 1))

    def silence(silent_s: float) -> None:
        ask(address, "/sim/faults", {"action": "silence", "target": "market", "ms": int(silent_s * 1000 * speed)})

    number = 0
    while begun + seconds - time.monotonic() >= ROUND_SECONDS:
        number += 1
        sample(5)
        if number % 3 == 0:
            ask(address, "/sim/faults", {"action": "reject", "path": "/api/v3/depth", "status": 503, "times": 2})
            struck["depth_refused"] += 2
        ask(address, "/sim/faults", {"action": "disconnect", "target": "market"})
        struck["disconnects"] += 1
        sample(7)
        long = number % LONG_SILENCE_EVERY == 0
        struck["long_silences" if long else "short_silences"] += 1
        silence(STALE_SECONDS + 3 if long else 1.5)
        sample(ROUND_SECONDS - 12)
    sample(seconds)
    return sampled, struck


def memory_mb(pid: int) -> tuple[float, float]:
    text = Path(f"/proc/{pid}/status").read_text()
    return tuple(int(text.split(name)[1].split()[0]) / 1024 for name in ("VmRSS:", "RssAnon:"))  # type: ignore[return-value]  # two


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def flatness(sampled: list[tuple[float, float]]) -> dict[str, Any]:
    """Medians of the first and the last quarter, and of each tenth; without the time until the first segments were
    sealed.
    """
    sampled = sampled[min(WARM_SAMPLES, len(sampled) // 4) :]
    quarter, tenth = max(len(sampled) // 4, 1), max(len(sampled) // 10, 1)
    told: dict[str, Any] = {}
    for at, name in enumerate(("rss_mb", "anonymous_mb")):
        column = [sample[at] for sample in sampled]
        first, last = median(column[:quarter]), median(column[-quarter:])
        told |= {
            f"{name}_first": round(first, 1),
            f"{name}_last": round(last, 1),
            f"{name}_peak": round(max(column), 1),
        }
        told["ratio" if at == 0 else "anonymous_ratio"] = round(last / first, 3)
        told[f"{name}_tenths"] = [round(median(column[n : n + tenth])) for n in range(0, len(column), tenth)]
    return told


# ---- what must hold ----------------------------------------------------------------------------


def taken_down(journals: Path) -> tuple[list[Sent], list[tuple[str, int, int]]]:
    """The frames of each connection as the venue tallies them, and each jump of a stream's ids: (stream, session times
    around it).
    """
    tallies: list[Sent] = []
    breaks: list[tuple[str, int, int]] = []
    last: dict[str, tuple[int, int]] = {}  # stream -> id and time
    for found in list_sessions(journals):
        records = Journal.open(found.path).records()
        previous = read_session(next(records).body or "").previous
        goes_on = previous is not None and bool(previous.links)
        for record in records:
            if record.kind is Kind.LINK and read_link(record.body or "").state == "up":
                if not goes_on:
                    tallies.append(Sent())
                goes_on = False
            elif record.kind is Kind.FEED and record.meta is None:
                tallies[-1].add(record.payload or b"")
                breaks += jumped(record, last)
    return tallies, breaks


def jumped(record: Record, last: dict[str, tuple[int, int]]) -> Iterator[tuple[str, int, int]]:
    """Read without the engine's decoder: it is what is judged."""
    payload = record.payload or b""
    if found := TRADE_ID.search(payload):
        stream, first_id, last_id = "trade", int(found[1]), int(found[1])
    elif found := DIFF_IDS.search(payload):
        stream, first_id, last_id = "depth", int(found[1]), int(found[2])
    else:
        return
    if stream in last and first_id != last[stream][0] + 1:
        yield stream, last[stream][1], record.time_ns
    last[stream] = last_id, record.time_ns


def gaps_of(journals: Path) -> list[dict[str, Any]]:
    found = []
    for session in list_sessions(journals):
        told = run_query(connect(session.path), "SELECT * FROM gaps")
        found += [dict(zip(told.columns, row, strict=True)) for row in told.rows]
    return found


def compare_frames(sent: list[dict[str, Any]], received: list[Sent]) -> list[str]:
    said = (
        []
        if len(sent) == len(received)
        else [f"{len(sent)} connections were made, {len(received)} are in the journals"]
    )
    for number, (theirs, ours) in enumerate(zip(sent, received, strict=False)):
        if (theirs["frames"], theirs["sha256"]) != (ours.frames, ours.sha256):
            said.append(
                f"connection {number}: {theirs['frames']} frames were sent, {ours.frames} are in the journals, or "
                "others"
            )
    return said


def compare_gaps(
    gaps: list[dict[str, Any]], breaks: list[tuple[str, int, int]], *, connections: int, struck: dict[str, int]
) -> list[str]:
    links = [gap for gap in gaps if not gap["stream"]]
    lost = struck["disconnects"] + struck["long_silences"]
    said = []
    if not len(links) == lost == connections - 1:
        said.append(f"{lost} connections were lost, {connections - 1} made anew, {len(links)} gaps told")
    said += [f"a gap has no end: {gap}" for gap in links if gap["to_ns"] is None]
    silent = sum(gap["reason"].startswith("silent") for gap in links)
    if silent != struck["long_silences"]:
        said.append(f"{struck['long_silences']} silences, {silent} of them told")
    spans = {(gap["stream"], gap["from_ns"], gap["to_ns"]) for gap in gaps}
    said += [f"ids jump and no gap says so: {found}" for found in breaks if found not in spans]
    if len(gaps) - len(links) != len(breaks):
        said.append(f"{len(breaks)} jumps of ids, {len(gaps) - len(links)} told")
    return said


def look_at_sessions(journals: Path, rolls: int) -> list[str]:
    said = []
    before: tuple[str, int, str] | None = None
    sessions = list_sessions(journals)
    if len(sessions) < rolls:
        said.append(f"{len(sessions)} sessions, though {rolls} were due")
    for found in sessions:
        report = verify(found.path)
        said += [f"{found.session_id}: {problem}" for problem in report.problems]
        if not report.closed:
            said.append(f"{found.session_id} was not closed")
        previous = read_session(Journal.open(found.path).session_record().body or "").previous
        named = None if previous is None else (previous.session, previous.last_seq, previous.chain)
        if named != before:
            said.append(f"{found.session_id} names {named} as the one before, which was {before}")
        before = found.session_id, report.records - 1, report.chain
    return said


if __name__ == "__main__":
    sys.exit(main())
