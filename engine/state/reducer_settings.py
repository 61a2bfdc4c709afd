"""Settings of a session that reducers need beside the change. Values only."""

from functools import cached_property
from typing import Any

import msgspec

from engine import contracts
from engine.model import Instrument
from engine.requests import Purpose
from engine.session_record import EngineSettings, RiskSettings, SafeguardSettings, SafetySettings
from engine.state.fill_cursor import FillCursor
from engine.state.rate_budgets import RateModel
from engine.trigger_kinds import TriggerKind


class ReducerSettings(msgspec.Struct, frozen=True, dict=True):
    """Settings of the session that reducers need beside the change. Its properties are computed once."""

    engine: EngineSettings
    recurring: dict[str, int]
    seed: int
    rates: dict[str, RateModel] = {}  # by venue
    cursors: dict[str, FillCursor] = {}  # by venue
    safeguards: SafeguardSettings = SafeguardSettings()
    safety: SafetySettings = SafetySettings()
    instruments: dict[str, Instrument] = {}
    risk: RiskSettings = RiskSettings()
    rounds_every_ns: int = 0  # between rounds in place of a private stream; 0: the account has one
    has_order_budgets: bool = False  # placements, cancels or replacements are limited: engine.risk.budget_answers.py
    wanted_events: dict[str, frozenset[TriggerKind]] = {}  # strategy -> the events of the account that make it decide
    fundings_from_ns: int = 0  # session time of the end of the session before, or of this one's beginning
    has_accounts: bool = False  # several: their balances, ledgers, wallets and rounds are keyed by venue
    moves: dict[type | Purpose, Any] = {}  # kind of change -> its fold under these settings: account_fold.py

    @cached_property
    def has_ledger(self) -> bool:
        """True from accounting 2 on."""
        return self.engine.accounting > 1

    @cached_property
    def has_pnl(self) -> bool:
        """True from accounting 3 on: P&L is kept in a reporting currency."""
        return self.engine.accounting > 2

    @cached_property
    def has_reported_losses(self) -> bool:
        """True from accounting 4 on: losses of the day are reported P&L."""
        return self.engine.accounting > 3

    @cached_property
    def keeps_fill_ids(self) -> bool:
        """True from accounting 5 on: the ledger orders fills of one moment by the venue's ids."""
        return self.engine.accounting > 4

    @cached_property
    def settles_contracts(self) -> bool:
        """True from accounting 6 on: the ledger has the flows of contracts."""
        return self.engine.accounting > 5

    @cached_property
    def reporting_currency(self) -> str:
        """The currency of P&L and equity; "" without instruments."""
        first = next(iter(self.instruments.values()), None)
        return self.engine.reporting_currency or ("" if first is None else contracts.asset_of(first))
