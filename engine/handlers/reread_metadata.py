"""The instruments' rules and status, read again on schedule and after refusals that they explain.

A change of a rule is a fact, which moves the instrument in state (engine/state/instrument_changes.py). Arrays name
prices and sizes at the scales of the SESSION record, so a tick or lot that needs finer ones stops the instrument.
"""

from msgspec.structs import replace

from engine.bodies import NoteLevel
from engine.events import InstrumentsReport
from engine.facts import InstrumentChanged, TradingAllowed
from engine.handlers.link_changes import is_blocked
from engine.model import Instrument
from engine.requests import Purpose
from engine.session_context import SessionContext
from engine.session_record import TERM_RULES
from engine.step_context import StepContext
from engine.timer_names import TimerKind

SOURCE = "metadata"
RULES = (
    "tick_size", "lot_size", "price_min", "price_max", "quantity_min", "quantity_max", "market_quantity_max",
    "notional_min", "notional_min_applies_to_market", "trading",
)  # fmt: skip
NEWEST_RULES = ("iceberg_parts_max", "trailing_delta_min", "trailing_delta_max", "forbids")  # since order_rules 2
NEWER_RULES = ("buy_price_low", "buy_price_high", "sell_price_low", "sell_price_high")  # not in older sessions


def request_metadata(session: SessionContext, step: StepContext) -> None:
    """Request the instruments of every venue that may be queried, as scheduled."""
    for name in sorted(session.venues):
        _request(session, step, name)


def reread_metadata(session: SessionContext, step: StepContext, venue: str) -> None:
    """Request a venue's instruments after a refusal that a changed rule explains, but not with every refusal."""
    if session.safeguards.metadata_every_ns and not step.account.timers.is_set(TimerKind.METADATA_RETRY, venue):
        _request(session, step, venue)


def _request(session: SessionContext, step: StepContext, venue: str) -> None:
    factory = session.factories[venue]
    is_pending = step.account.requests.find(Purpose.EXCHANGE_INFO, venue=venue) is not None
    if not is_pending and not is_blocked(step, venue) and factory.may_query(step):
        factory.metadata(step)


def apply_metadata(session: SessionContext, step: StepContext, venue: str, report: InstrumentsReport) -> None:
    """Emit what changed in the session's instruments. One that is not listed any more does not trade."""
    rules = (*RULES, *NEWER_RULES) if session.body.risk.figures else RULES
    if session.settings.order_rules >= TERM_RULES:
        rules = (*rules, *NEWEST_RULES)
    listed = {instrument.id: instrument for instrument in report.instruments}
    for name, recorded in session.instruments.items():
        if recorded.venue != venue:
            continue
        known = step.account.instruments.current(recorded)
        theirs = listed.get(name)
        if theirs is None:
            changed, text = replace(known, trading=False), "the venue no longer lists it"
        else:
            changed = replace(known, **{field: getattr(theirs, field) for field in rules})
            text = _difference(known, changed)
            if not _fits(recorded, theirs):
                changed = replace(known, trading=False)
                text += "; its grid needs more decimals than this session has, so it stops until a restart"
        if changed != known:
            step.emit(InstrumentChanged(changed), source=SOURCE)
            level = NoteLevel.WARNING if changed.trading else NoteLevel.ALARM
            step.note(level, f"{name} changed: {text}")


def apply_permission(session: SessionContext, step: StepContext, venue: str, *, is_allowed: bool) -> None:
    """Emit a change of the account's permission to trade."""
    if not session.safeguards.metadata_every_ns:
        return
    was_allowed = venue not in step.account.instruments.forbidden
    if is_allowed is was_allowed:
        return
    step.emit(TradingAllowed(venue, is_allowed), source=SOURCE)
    if is_allowed:
        step.note(NoteLevel.WARNING, f"{venue}: the account may trade again")
    else:
        step.note(NoteLevel.ALARM, f"{venue}: the account may not trade; check the account at the venue")


def _fits(recorded: Instrument, theirs: Instrument) -> bool:
    """Return True if the instrument's new grids can be named at the session's scales."""
    grids = ((theirs.tick_size, recorded.price_scale), (theirs.lot_size, recorded.size_scale))
    return all(step.scaleb(scale) % 1 == 0 for step, scale in grids)


def _difference(known: Instrument, changed: Instrument) -> str:
    return "; ".join(
        f"{field} is {getattr(changed, field)}, was {getattr(known, field)}"
        for field in (*RULES, *NEWER_RULES, *NEWEST_RULES)
        if getattr(changed, field) != getattr(known, field)
    )
