"""The answers about a session, by the name that an address gives, and the parameters of a question."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from analysis.session import Session
from analysis.session_tables import SessionPlace
from journal.record import plain
from replay.study.mode_shares import session_mode_shares
from replay.study.performance import session_performance
from replay.study.pnl import Grouping, pnl_json, session_pnl
from verbatim.cockpit import at_cursor, plots, record_pages
from verbatim.cockpit.at_cursor import with_texts
from verbatim.cockpit.session_view import NotAnswerableError, SessionView

TIME_MAX = 2**53  # exact as a number of the browser


class BadQuestionError(Exception):
    """A request's parameter is missing or wrong."""


class Parameters:
    """The parameters of a request, checked."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def integer(self, name: str, default: int | None = None, *, low: int = 0, high: int = TIME_MAX) -> int:
        """Return a whole number within bounds."""
        text = self._values.get(name, "" if default is None else str(default))
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 16):
            raise BadQuestionError(f"{name} must be a whole number")
        return max(low, min(int(text), high))

    def optional(self, name: str) -> int | None:
        """Return a whole number, or None if it is not given."""
        return self.integer(name) if name in self._values else None

    def text(self, name: str, longest: int = 200) -> str:
        """Return a text, "" if it is not given."""
        return self._values.get(name, "")[:longest]

    def names(self, name: str) -> list[str]:
        """Return a list of names that commas separate."""
        return [part for part in self.text(name, 4_000).split(",") if part][:40]


def _instrument(view: SessionView, given: Parameters) -> int:
    count = 0 if view.context is None else len(view.context.body.instruments)
    index = given.integer("instrument", 0)
    if index >= count:
        raise NotAnswerableError("the session has no market data that an installed venue decodes")
    return index


def _plot(view: SessionView, given: Parameters) -> dict[str, Any]:
    index = _instrument(view, given)
    assert view.context is not None, "it has instruments"
    name = view.context.body.instruments[index].id
    return plots.plot_acts(view, name, given.integer("from"), given.integer("to"))


def _series(view: SessionView, given: Parameters) -> dict[str, Any]:
    index = _instrument(view, given)
    columns = given.integer("columns", 1_000, high=4_000)
    return plots.series(view, index, given.integer("from"), given.integer("to"), columns)


def _heat(view: SessionView, given: Parameters) -> dict[str, Any]:
    index = _instrument(view, given)
    return plots.heat(view, index, given.integer("from"), given.integer("to"), given.integer("columns", 120, high=240))


def _pnl(view: SessionView, _given: Parameters) -> dict[str, Any]:
    if view.is_capture:
        raise NotAnswerableError("a capture has no orders and no P&L")
    return pnl_json(session_pnl(view.folder), Grouping.LINE) | {"equity": plots.equity(view)}


def _summary(view: SessionView, _given: Parameters) -> dict[str, Any]:
    if view.is_capture:
        raise NotAnswerableError("a capture has no orders and no P&L")
    found = session_performance(view.folder)
    fields = {name: getattr(found, name) for name in found.__struct_fields__ if name not in ("lines", "shares")}
    figures: dict[str, Any] = with_texts(msgspec.to_builtins(fields))
    return figures | {
        "time": session_mode_shares(view.folder).as_json(),
        "troubles": found.troubles,
        "equity": plots.equity(view),
        "activity": plots.activity(view),
        "figures": _figures(view),
    }


def _figures(view: SessionView) -> dict[str, Any]:
    """Return the ratios of the session, as the Python API's `Session.figures` does."""
    if (known := view.memory.get("figures")) is None:
        found = Session([SessionPlace(view.folder)]).figures(with_slippage=not view.is_live)
        fields: dict[str, Any] = msgspec.to_builtins(found)
        slippage = [
            {"asset": row.asset, "cost": plain(row.cost), "ratio": row.ratio, "fills": row.fills}
            for row in found.slippage
        ]
        money = {name: plain(getattr(found, name)) for name in ("pnl", "drawdown")}
        sums = {
            name: {asset: plain(amount) for asset, amount in getattr(found, name).items()}
            for name in ("turnover", "exposure_max")
        }
        ratios = {"maker_ratio": found.maker_ratio, "hit_ratio": found.hit_ratio}
        known = view.memory["figures"] = with_texts(fields | money | sums | ratios | {"slippage": slippage})
    return dict(known)


Answer = Callable[[SessionView, Parameters], Any]
ANSWERS: dict[str, Answer] = {
    "head": lambda view, _: view.head(),
    "rail": lambda view, given: plots.rail(view, given.integer("columns", 1_000)),
    "series": _series,
    "plot": _plot,
    "heat": _heat,
    "at": lambda view, given: at_cursor.cursor_facts(view, given.optional("seq"), given.optional("time")),
    "state": lambda view, given: at_cursor.state(view, given.integer("seq")),
    "ladder": lambda view, given: at_cursor.ladder(view, _instrument(view, given), given.integer("seq"), 20),
    "next": lambda view, given: at_cursor.next_mark(
        view, given.integer("seq"), given.text("mark"), forward=given.text("way") != "back"
    ),
    "orders": lambda view, given: view.orders(
        text=given.text("text"), status=given.text("status"), limit=given.integer("limit", 500)
    ),
    "fills": lambda view, _: view.fills(),
    "refusals": lambda view, given: at_cursor.refusals(view, given.integer("seq")),
    "values": lambda view, given: plots.values(view, given.names("names")),
    "records": lambda view, given: record_pages.records(
        view,
        seq=given.integer("seq"),
        before=given.integer("before", 60),
        after=given.integer("after", 140),
        kinds=given.names("kinds"),
        text=given.text("text"),
    ),
    "record": lambda view, given: record_pages.whole_record(view, given.integer("seq")),
    "health": lambda view, given: at_cursor.health(view, given.integer("seq")),
    "pnl": _pnl,
    "summary": _summary,
    "why": lambda view, given: at_cursor.why(view, given.text("order", 100)),
}
