"""Verbatim: a trading engine with a flight recorder. These are the names that strategies and notebooks import.

Each is loaded when it is first used, so `verbatim --help` and pytest load none of the heavy packages.
"""

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.fleet import Fleet as Fleet
    from analysis.record_stream import RecordStream as RecordStream
    from analysis.session import Session as Session
    from analysis.table import Table as Table
    from engine.bodies import NoteLevel as NoteLevel
    from engine.bodies import RequestBody as RequestBody
    from engine.events import Fill as Fill
    from engine.events import OrderReport as OrderReport
    from engine.facts import NewOrder as NewOrder
    from engine.facts import PlanPhase as PlanPhase
    from engine.facts import Position as Position
    from engine.lifecycle import Status as Status
    from engine.market.order_decision import FOLD_CANCEL as FOLD_CANCEL
    from engine.market.order_decision import FOLD_LIMIT as FOLD_LIMIT
    from engine.market.order_decision import FOLD_LIMIT_MAKER as FOLD_LIMIT_MAKER
    from engine.market.order_decision import FOLD_MARKET as FOLD_MARKET
    from engine.market.order_decision import FoldIntents as FoldIntents
    from engine.market.order_decision import FoldOrders as FoldOrders
    from engine.market.predicates import MarketTick as MarketTick
    from engine.market.views import Bar as Bar
    from engine.market.views import Bars as Bars
    from engine.market.views import BookTop as BookTop
    from engine.market.views import Quote as Quote
    from engine.market.views import Trade as Trade
    from engine.model import Instrument as Instrument
    from engine.model import OrderTerm as OrderTerm
    from engine.model import OrderType as OrderType
    from engine.model import Side as Side
    from engine.model import TimeInForce as TimeInForce
    from engine.plan_terms import Bracket as Bracket
    from engine.plan_terms import Chase as Chase
    from engine.plan_terms import Level as Level
    from engine.plan_terms import MarketLimits as MarketLimits
    from engine.plan_terms import Oco as Oco
    from engine.plan_terms import Scale as Scale
    from engine.plan_terms import StopChoice as StopChoice
    from engine.plan_terms import Timed as Timed
    from engine.plan_terms import Trail as Trail
    from engine.plan_terms import Twap as Twap
    from engine.risk.context import RiskAnswer as RiskAnswer
    from engine.risk.context import RiskContext as RiskContext
    from engine.risk.context import RiskRule as RiskRule
    from engine.session_record import MarkChoice as MarkChoice
    from engine.state.execution_plans import EndedPlan as EndedPlan
    from engine.state.execution_plans import ExecutionPlan as ExecutionPlan
    from engine.state.orders import Order as Order
    from engine.state.pnl_figures import PnlFigures as PnlFigures
    from engine.state.protection import ProtectedBy as ProtectedBy
    from engine.state.strategy_events import OwnFill as OwnFill
    from engine.state.strategy_events import Refusal as Refusal
    from engine.strategy.api import Amend as Amend
    from engine.strategy.api import Average as Average
    from engine.strategy.api import Cancel as Cancel
    from engine.strategy.api import Close as Close
    from engine.strategy.api import Indicator as Indicator
    from engine.strategy.api import Intent as Intent
    from engine.strategy.api import Place as Place
    from engine.strategy.api import Range as Range
    from engine.strategy.api import Run as Run
    from engine.strategy.api import View as View
    from engine.strategy.api import WarmUp as WarmUp
    from engine.strategy.cadences import CrossOver as CrossOver
    from engine.strategy.cadences import Every as Every
    from engine.strategy.cadences import OnBar as OnBar
    from engine.strategy.cadences import OnBook as OnBook
    from engine.strategy.cadences import OnFill as OnFill
    from engine.strategy.cadences import OnMode as OnMode
    from engine.strategy.cadences import OnOrderEnd as OnOrderEnd
    from engine.strategy.cadences import OnQuote as OnQuote
    from engine.strategy.cadences import OnRefusal as OnRefusal
    from engine.strategy.cadences import OnTrade as OnTrade
    from engine.strategy.cadences import Predicate as Predicate
    from engine.strategy.cadences import PriceMove as PriceMove
    from engine.trigger_kinds import TriggerKind as TriggerKind
    from engine.valuation import Valuation as Valuation
    from verbatim.backtesting import backtest as backtest
    from verbatim.session_opening import follow as follow
    from verbatim.session_opening import open as open
    from verbatim.session_opening import open_fleet as open_fleet
    from verbatim.sweeping import sweep as sweep

_STRATEGY_HOMES = {
    "TriggerKind": "engine.trigger_kinds",
    "NoteLevel": "engine.bodies",
    "RequestBody": "engine.bodies",
    "Fill": "engine.events",
    "OrderReport": "engine.events",
    "Intent": "engine.strategy.api",
    "OwnFill": "engine.state.strategy_events",
    "Refusal": "engine.state.strategy_events",
    "OnMode": "engine.strategy.cadences",
    "OnRefusal": "engine.strategy.cadences",
    "OnOrderEnd": "engine.strategy.cadences",
    "OnFill": "engine.strategy.cadences",
    "OnBook": "engine.strategy.cadences",
    "OnTrade": "engine.strategy.cadences",
    "Amend": "engine.strategy.api",
    "Average": "engine.strategy.api",
    "Bar": "engine.market.views",
    "Bars": "engine.market.views",
    "BookTop": "engine.market.views",
    "Bracket": "engine.plan_terms",
    "Cancel": "engine.strategy.api",
    "Chase": "engine.plan_terms",
    "Close": "engine.strategy.api",
    "CrossOver": "engine.strategy.cadences",
    "EndedPlan": "engine.state.execution_plans",
    "ProtectedBy": "engine.state.protection",
    "Every": "engine.strategy.cadences",
    "Indicator": "engine.strategy.api",
    "Instrument": "engine.model",
    "MarkChoice": "engine.session_record",
    "Level": "engine.plan_terms",
    "MarketLimits": "engine.plan_terms",
    "MarketTick": "engine.market.predicates",
    "FOLD_CANCEL": "engine.market.order_decision",
    "FOLD_LIMIT": "engine.market.order_decision",
    "FOLD_LIMIT_MAKER": "engine.market.order_decision",
    "FOLD_MARKET": "engine.market.order_decision",
    "FoldIntents": "engine.market.order_decision",
    "FoldOrders": "engine.market.order_decision",
    "NewOrder": "engine.facts",
    "OnBar": "engine.strategy.cadences",
    "OnQuote": "engine.strategy.cadences",
    "Oco": "engine.plan_terms",
    "Order": "engine.state.orders",
    "OrderTerm": "engine.model",
    "OrderType": "engine.model",
    "Place": "engine.strategy.api",
    "PlanPhase": "engine.facts",
    "PnlFigures": "engine.state.pnl_figures",
    "ExecutionPlan": "engine.state.execution_plans",
    "Position": "engine.facts",
    "Predicate": "engine.strategy.cadences",
    "PriceMove": "engine.strategy.cadences",
    "Quote": "engine.market.views",
    "Range": "engine.strategy.api",
    "RiskAnswer": "engine.risk.context",
    "RiskContext": "engine.risk.context",
    "RiskRule": "engine.risk.context",
    "Run": "engine.strategy.api",
    "Scale": "engine.plan_terms",
    "StopChoice": "engine.plan_terms",
    "Side": "engine.model",
    "Status": "engine.lifecycle",
    "TimeInForce": "engine.model",
    "Timed": "engine.plan_terms",
    "Trade": "engine.market.views",
    "Valuation": "engine.valuation",
    "Trail": "engine.plan_terms",
    "Twap": "engine.plan_terms",
    "View": "engine.strategy.api",
    "WarmUp": "engine.strategy.api",
}
_READER_HOMES = {
    "Fleet": "analysis.fleet",
    "RecordStream": "analysis.record_stream",
    "Session": "analysis.session",
    "Table": "analysis.table",
    "backtest": "verbatim.backtesting",
    "follow": "verbatim.session_opening",
    "open": "verbatim.session_opening",
    "open_fleet": "verbatim.session_opening",
    "sweep": "verbatim.sweeping",
}
_HOMES = _STRATEGY_HOMES | _READER_HOMES
# strategies in recorded sessions import these names, so they work for as long as such sessions are replayed
OLD_NAMES = {"Compiled": "Predicate", "Cross": "CrossOver", "Glance": "MarketTick", "Move": "PriceMove"}
STRATEGY_NAMES = sorted(_STRATEGY_HOMES)  # those that a strategy may import
__all__ = sorted(_HOMES)  # noqa: PLE0605 - a list of strings, made where the names are written once


@cache  # once a process: a strategy imports many names, and a package found once stays where it is
def check_packages() -> None:
    """Check that `engine`, `journal`, `replay` and `analysis` are ours, since their names are plain.

    Raises:
        ImportError: another distribution, or a folder of the user's, has one of these names and comes first.
    """
    ours = Path(__file__).resolve().parent.parent
    for name in ("engine", "journal", "replay", "analysis"):
        spec = find_spec(name)
        place = None if spec is None or spec.origin is None else Path(spec.origin).resolve().parent
        if place != ours / name:
            raise ImportError(
                f"verbatim's package {name!r} should be {ours / name}, but Python finds {place or 'none'}: another "
                "distribution or folder has that name. Install verbatim in a separate environment (pipx, venv), or run "
                "with `python -P`."
            )


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("verbatim-trading")
    name = OLD_NAMES.get(name, name)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    check_packages()
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
