"""A recorded session with changes, for commands and functions that decide again: its strategy, settings, venue model.

One place checks that recorded code may run, applies the changes and measures the latency.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from analysis.session import Session
from analysis.session_tables import SessionPlace
from engine.session_record import SessionBody, StrategySettings
from engine.sim.venue_model import VenueModel, parse_balances, with_settings
from journal.reader import Journal
from replay.code_trust import refuse_untrusted_code
from replay.imported_sessions import refuse_import
from replay.overrides import apply_overrides, with_strategy
from replay.resim.capture_session import with_half_spread
from replay.resim.measured_latency import MeasuredLatency, session_model
from replay.resim.model_notes import model_notes
from verbatim.session_lookup import described_session

if TYPE_CHECKING:
    from engine.live.session_config import SessionConfig

NOTHING: Mapping[str, str] = MappingProxyType({})


class ChangedSession(NamedTuple):
    """A session and what is to decide in it."""

    place: SessionPlace
    journal: Journal
    recorded: SessionBody
    body: SessionBody  # with the changes
    model: VenueModel
    measured: MeasuredLatency
    balances: dict[str, str]
    notes: tuple[
        str, ...
    ]  # of a capture: the instruments that were inferred or left out, and what the model makes of them

    @property
    def folder(self) -> Path:
        """The folder of the session."""
        return self.place.folder


def changed_session(
    session: Session,
    *,
    strategy: StrategySettings | None = None,
    alone: StrategySettings | None = None,
    configured: "SessionConfig | None" = None,
    settings: Mapping[str, str] = NOTHING,
    model: Mapping[str, str] = NOTHING,
    balances: Mapping[str, str] = NOTHING,
    exchange_info: Path | None = None,
    quote_assets: Mapping[str, str] = NOTHING,
    needs_decisions: bool = False,
    trust_code: bool = False,
) -> ChangedSession:
    """Return a session with changes.

    Args:
        session: The session, or a capture.
        strategy: Decides in place of the recorded strategy.
        alone: Decides instead of all recorded strategies, whose code does not run.
        configured: Decides instead of the recorded session: strategies, limits, settings, money and model.
        settings: Settings to change, as `{"risk.order_size_max": "0.5"}`.
        model: Settings of the simulated venue.
        balances: The account's money, where the session states none.
        exchange_info: For a capture, a file with the venue's answer to exchangeInfo.
        quote_assets: For a capture without metadata, symbol to the asset in which it is quoted.
        needs_decisions: Refuse a capture.
        trust_code: Run recorded code though it was not recorded on this machine.

    Raises:
        JournalError: It is a capture, but decisions are needed.
        UntrustedSourceError: Recorded code would run that was recorded elsewhere.
        UnknownOverrideError: A setting does not fit.
        UnknownSettingError: A setting of the model or a balance does not fit.
        CannotResimulateError: The market of the capture is not known.
    """
    place, journal = session.place, session.journal
    if needs_decisions:
        refuse_import(journal)
    described = described_session(place.folder, exchange_info, quote_assets)
    recorded = described.body
    runs_recorded_code = configured is None and (alone is None or any(rule.module for rule in recorded.rules))
    if runs_recorded_code and not trust_code:
        refuse_untrusted_code(recorded, place.trust_key, Path(place.label))
    body = recorded if strategy is None else with_strategy(recorded, strategy)
    if alone is not None:
        body = msgspec.structs.replace(body, strategies=(alone,), account=recorded.account or "main")
    if configured is not None:
        from verbatim.configured_session import configured_session

        body = configured_session(recorded, configured)
    measured = session_model(journal, (configured or recorded).paper)
    money = {} if configured is None or configured.paper is None else configured.paper.balances
    venue_model = with_settings(measured.model, dict(model), measured.ways_ns)
    changed = apply_overrides(with_half_spread(body, venue_model), dict(settings))
    of_model = () if described.market is None else model_notes(changed.instruments, described.market, venue_model)
    return ChangedSession(
        place=place,
        journal=journal,
        recorded=recorded,
        body=changed,
        model=venue_model,
        measured=measured,
        balances=parse_balances({**money, **balances}),
        notes=(*described.notes, *of_model),
    )
