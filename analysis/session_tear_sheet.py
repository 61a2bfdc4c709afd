"""The tear sheet of a recorded session with the market beside it, as text, page and JSON."""

import json
import os
from pathlib import Path
from typing import Any

import msgspec

from analysis.session_figures import recorded_sheet
from analysis.session_tables import SessionTables
from analysis.sheet_prices import SheetPrices, sheet_prices
from analysis.tear_sheet_page import sheet_page
from analysis.tear_sheet_text import sheet_text
from journal.private_files import write_bytes
from replay.study.pnl import open_whole, plain_values
from replay.study.tear_sheet import TearSheet

LONG = ("points", "trades", "fills", "exposures")  # of the JSON: left out unless they are wanted


class SessionTearSheet(msgspec.Struct, frozen=True):
    """A tear sheet. Its text is the terminal's; `write` makes a page."""

    sheet: TearSheet
    prices: SheetPrices | None = None  # None: left out, or a trial kept no market

    def __str__(self) -> str:
        return sheet_text(self.sheet, self.prices)

    __repr__ = __str__

    def html(self) -> str:
        """Return the page: one file without scripts and loads."""
        return sheet_page(self.sheet, self.prices)

    def write(self, path: str | os.PathLike[str]) -> int:
        """Write the page and return its size in bytes."""
        text = self.html().encode()
        write_bytes(Path(path), text)
        return len(text)

    def as_json(self, *, with_rows: bool = False) -> dict[str, Any]:
        """Return JSON values, money as exact texts.

        Args:
            with_rows: Include each report, trade and fill.
        """
        left_out = () if with_rows else LONG
        fields = {name: getattr(self.sheet, name) for name in TearSheet.__struct_fields__ if name not in left_out}
        fields["performance"] = {
            name: getattr(self.sheet.performance, name)
            for name in self.sheet.performance.__struct_fields__
            if name not in ("shares", "lines")
        }
        if not with_rows:
            fields["returns"] = {"step_ns": self.sheet.returns.step_ns, "count": len(self.sheet.returns.values)}
        found: dict[str, Any] = plain_values(fields) | {
            "total": plain_values(self.sheet.total),
            "currency": self.sheet.currency,
            "maker_ratio": self.sheet.maker_ratio,
            "hit_ratio": self.sheet.trade_sums.hit_ratio,
            "profit_factor": self.sheet.trade_sums.profit_factor,
        }
        times = {} if self.sheet.modes is None else self.sheet.modes.as_json()
        found["time"] = {name: times[name] for name in ("modes", "reasons", "last", "last_reasons") if times}
        if self.prices is not None:
            found["slippage"] = plain_values(self.prices.slippage)
            found["benchmark"] = plain_values(self.prices.benchmark)
        return json.loads(json.dumps(found))  # type: ignore[no-any-return]  # a dict


def session_tear_sheet(session: SessionTables, *, benchmark: str, with_prices: bool) -> SessionTearSheet:
    """Return the tear sheet of a session, finished or running.

    Raises:
        IncompleteSessionError: It is a slice.
    """
    open_whole(session.folders[0])
    sheet = recorded_sheet(session)
    return SessionTearSheet(sheet, sheet_prices(session, sheet, benchmark) if with_prices else None)
