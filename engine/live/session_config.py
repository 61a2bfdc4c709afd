"""The settings and the start plan of a session. Values only."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from engine.live.clock import SessionClock
from engine.live.link_tasks import HandedOverLink
from engine.live.venue_access import VenueAccess
from engine.paper_settings import PaperSettings
from engine.sequencer import Arrival
from engine.session_record import (
    SAFEGUARDS,
    SAFETY,
    EngineSettings,
    RiskSettings,
    RuleSettings,
    SafeguardSettings,
    SafetySettings,
    SessionBody,
    StrategySettings,
    VenueSettings,
)
from engine.venue_choices import AccountUse
from engine.venues.candle_store import CandleStore
from engine.venues.signing import SecretKey
from engine.venues.venue import Network
from journal.signing import Signer
from journal.writer_options import Release

LIMITS_REQUIRED = ("order_size_max", "order_notional_max", "position_max", "daily_loss_max")  # with real money


class KeyReadError(Exception):
    """The keys cannot be read again; the text states the reason, and never holds a secret."""


ReadKeys = Callable[[], Mapping[str, SecretKey]]  # by venue, as the configuration names them; raises KeyReadError


class StartError(Exception):
    """The session cannot begin; the text states the cause and what to do, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """The settings of one session (verbatim/config.py makes them from a configuration)."""

    journals: Path
    clock: SessionClock
    venues: tuple[VenueAccess, ...]  # one at least
    strategies: tuple[StrategySettings, ...] = ()
    risk: RiskSettings = field(default_factory=RiskSettings)
    rules: tuple[RuleSettings, ...] = ()  # as recorded_rules (engine/strategy/rule_loading.py) lists them
    engine: EngineSettings = field(default_factory=EngineSettings)
    safeguards: SafeguardSettings = SAFEGUARDS
    safety: SafetySettings = SAFETY
    locks_account: bool = True  # False: only to cancel beside a process that holds the lock and does not answer
    account: str = "main"  # of venues that name none; "": none, the session records public data and trades nothing
    seed: int | None = None  # None: drawn
    on_journal_failure: str = "cancel_all"  # "cancel_all" | "leave"
    free_bytes_min: int = 1 << 30  # on the journal's disk: with less, trading halts
    signer: Signer | None = None  # signs sealed segments
    sync: bool = True  # False is for benchmarks alone: records are then not durable
    release: Release = Release.DURABLE  # what the record of an order must be before the order leaves
    carry: bool = True  # continue from the newest session of this account and venue
    # to end orders, not to trade: join the states of accounts that different sessions traded last, and list every
    # instrument in which they left something open
    joins: bool = False
    read_seconds_max: float = 0  # for reading that session; then this one begins without its state. 0: no limit
    history: CandleStore | None = None  # answers requests for bars from before the session; None: the venue does
    read_keys: ReadKeys | None = None  # again, on a person's command
    read_only: bool = False  # nothing that changes the venue is sent: a dry run, or an account that is watched
    paper: PaperSettings | None = None  # the account is simulated in this process, and there is no key

    @property
    def venue(self) -> VenueSettings:
        """The settings of the first venue, which most sessions have alone."""
        return self.venues[0].settings

    @property
    def by_name(self) -> dict[str, VenueAccess]:
        """The venues by the name that sources and ids bear."""
        return {each.name: each for each in self.venues}

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of all venues."""
        return tuple(symbol for each in self.venues for symbol in each.symbols)

    @property
    def accounts(self) -> dict[str, str]:
        """Venue -> alias of the account; without the venues that have none, and empty for a recording."""
        return accounts_of(self.account, [each.settings for each in self.venues])

    @property
    def trades_real_money(self) -> bool:
        """True if the session's strategies may send orders to a live venue."""
        is_live = any(each.trades and each.network is Network.LIVE for each in self.venues)
        return bool(self.strategies) and not self.read_only and self.paper is None and is_live


def accounts_of(account: str, venues: Iterable[VenueSettings]) -> dict[str, str]:
    """Return venue -> alias of the account, of the venues with an account. `account` is that of venues that name none.

    The key of a venue is its name in settings, so that no dialect must be installed to compare two sessions.
    """
    if not account:
        return {}
    return {each.name: each.account or account for each in venues if each.use is not AccountUse.NONE}


def with_venue(config: SessionConfig, **changes: Any) -> SessionConfig:
    """Return a session of one venue with other fields of its VenueSettings."""
    [venue] = config.venues
    return replace(config, venues=(replace(venue, settings=msgspec.structs.replace(venue.settings, **changes)),))


def with_accounts(config: SessionConfig, venues: Collection[str]) -> SessionConfig:
    """Return a session that has the accounts at these venues alone, by their names in settings.

    The other venues stay without an account, so that their instruments are known.
    """
    return replace(config, venues=tuple(_as_used(each, venues) for each in config.venues))


def _as_used(venue: VenueAccess, used: Collection[str]) -> VenueAccess:
    if venue.settings.name in used:
        return venue
    return replace(venue, key=None, settings=msgspec.structs.replace(venue.settings, use=AccountUse.NONE))


def missing_limits(risk: RiskSettings) -> list[str]:
    """Return the limits that a session with real money must state and does not."""
    return [name for name in LIMITS_REQUIRED if not getattr(risk, name)]


def limits_text(missing: list[str]) -> str:
    """Return why a session with real money cannot start without these limits, and what to do."""
    first = missing[0]
    return (
        f"risk.{', risk.'.join(missing)}: a session that trades real money states these limits. What to do: add them "
        f'to [risk], as in {first} = "...", or begin with venue.network = "testnet" or --dry-run'
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StartPlan:
    """All that `run_session` needs. The key is in no record."""

    wanted: SessionConfig
    body: SessionBody
    folder: Path
    first: tuple[Arrival, ...]  # processed right after the SESSION record
    kept: Mapping[str, HandedOverLink] = field(default_factory=dict)  # open connections of the session before
    release: Callable[[], None] = lambda: None  # of the accounts' locks, after the journal is sealed
