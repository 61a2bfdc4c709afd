"""Run seeds of hostile sessions for tests. A failure prints the command that repeats the smallest session of its kind."""

from collections.abc import Sequence
from pathlib import Path

from verbatim.testing import run_hostile_in, shrink_hostile

# invariants that the engine does not keep yet, with the missing part; benchmarks/hostile.py counts them all
AWAITED: dict[str, str] = {}


def check_seeds(scratch: Path, seeds: Sequence[int]) -> None:
    for seed in seeds:
        result = run_hostile_in(scratch, seed)
        broken = [each for each in result.broken if each.invariant not in AWAITED]
        if broken:
            smallest = shrink_hostile(scratch, result, invariant=broken[0].invariant)
            numbers = ",".join(str(fault.number) for fault in smallest.plan.faults)
            command = f"python -P benchmarks/hostile.py --seed {seed} --keep '{numbers}'"
            raise AssertionError(f"{smallest.text()}\n{command}")
