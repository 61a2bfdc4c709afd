"""The result of a sweep with its guards, as text, page and JSON."""

import os
from pathlib import Path
from typing import Any

import msgspec

from analysis.session_tables import LeftOutSession
from analysis.sweep_page import sweep_page
from analysis.sweep_rows import guard_rows, variant_lines
from journal.printable import counted, join_lines, printable
from journal.private_files import write_bytes
from replay.study.overfitting import DeflatedSharpe, OverfittingProbability
from replay.study.pnl import plain_values
from replay.study.sweep_table import Neighbourhood, SensitivityMap, SweepTable
from replay.study.walk_forward import WalkForward
from replay.study.winner_checks import CheckedSession, ModelDraws, Resampled

SHOWN = 10  # variants in the text


class WinnerReport(msgspec.Struct, frozen=True):
    """The checks of the best variant."""

    number: int
    resampled: Resampled
    draws: ModelDraws | None  # None: not run
    checked: tuple[CheckedSession, ...] = ()  # lookahead and recursion on the longest sessions; (): not run


class SweepReport(msgspec.Struct, frozen=True):
    """A sweep: the table of its variants, and the guards that separate skill from chance."""

    table: SweepTable
    search: str
    seed: int
    step_ns: int  # between two returns
    step_asked_ns: int  # shorter, if the sessions report their P&L less often
    numbers: tuple[int, ...]  # of the variants that ran on every session
    overfitting: OverfittingProbability
    deflated: DeflatedSharpe | None  # None: no variant has a score
    walk: WalkForward | None
    maps: tuple[SensitivityMap, ...]
    neighbourhood: Neighbourhood | None
    winner: WinnerReport | None
    seconds: float  # of the backtests
    cpu_seconds: float  # of the backtests on this machine
    kept: int  # rows of an earlier run
    results: Path | None  # the Parquet file of all rows
    left_out: tuple[LeftOutSession, ...] = ()  # sessions that cannot be read, or on which no variant ran

    def __str__(self) -> str:
        table = self.table
        variants, sessions = counted(len(table.results), "variant"), counted(len(table.sessions), "session")
        head = f"sweep: {variants} by {self.search}, {sessions}"
        kept = f", {self.kept:,} rows kept from before" if self.kept else ""
        lines = [f"{head}, best {table.objective}{kept}", ""]
        lines += variant_lines(table.ranked[:SHOWN])
        failed = [result for result in table.results if result.errors]
        lines += [f"{counted(len(failed), 'variant')} could not be run everywhere:"] if failed else []
        lines += [
            f"  {printable(each.variant.label)}: {printable(join_lines(each.errors[0]))}" for each in failed[:SHOWN]
        ]
        lines += [printable(join_lines(str(each))) for each in self.left_out]
        rows = guard_rows(self)
        names = max((len(row.name) for row in rows), default=0)
        values = max((len(row.value) for row in rows), default=0)
        lines += ["", "Guards"]
        lines += [f"  {row.name:<{names}}  {row.value:>{values}}  {printable(row.note)}".rstrip() for row in rows]
        lines += ["", str(self.results)] if self.results is not None else []
        return "\n".join(lines)

    __repr__ = __str__

    def html(self) -> str:
        """Return the page: one file without scripts and loads."""
        return sweep_page(self)

    def write(self, path: str | os.PathLike[str]) -> int:
        """Write the page and return its size in bytes."""
        text = self.html().encode()
        write_bytes(Path(path), text)
        return len(text)

    def as_json(self) -> dict[str, Any]:
        """Return JSON values, money as exact texts; the rows are in the Parquet file."""
        fields = {
            name: getattr(self, name) for name in self.__struct_fields__ if name not in ("table", "results", "left_out")
        }
        fields["overfitting"] = msgspec.structs.replace(self.overfitting, logits=())
        ranked = {result.number: place for place, result in enumerate(self.table.ranked, 1)}
        variants = [
            {**plain_values(result), "rank": ranked.get(result.number), "values": result.variant.values}
            for result in self.table.results
        ]
        found: dict[str, Any] = plain_values(fields)
        return found | {
            "objective": self.table.objective.value,
            "sessions": list(self.table.sessions),
            "left_out": {each.name: each.reason for each in self.left_out},
            "variants": variants,
            "results": None if self.results is None else str(self.results),
        }
