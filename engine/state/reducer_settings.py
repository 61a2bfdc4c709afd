"""Settings of a session that reducers need beside the change. Values only."""

import msgspec

from engine.model import Instrument
from engine.session_record import EngineSettings, RiskSettings, SafeguardSettings, SafetySettings
from engine.state.fill_cursor import FillCursor
from engine.state.rate_budgets import RateModel


class ReducerSettings(msgspec.Struct, frozen=True):
    """Settings of the session that reducers need beside the change."""

    engine: EngineSettings
    recurring: dict[str, int]
    seed: int
    rates: dict[str, RateModel] = {}  # by venue
    cursors: dict[str, FillCursor] = {}  # by venue
    safeguards: SafeguardSettings = SafeguardSettings()
    safety: SafetySettings = SafetySettings()
    instruments: dict[str, Instrument] = {}
    risk: RiskSettings = RiskSettings()

    @property
    def has_ledger(self) -> bool:
        """True from accounting 2 on."""
        return self.engine.accounting > 1
