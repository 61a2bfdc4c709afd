"""Configuration: a TOML file, overridden by the environment; credentials from the environment or a secret file.

Values are checked here, once. No secret is ever in the TOML file, in an error or in a record. Unknown names, in the
file or in the environment, are errors.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import msgspec
from pydantic import BeforeValidator, Field, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from engine.live.clock import SessionClock
from engine.live.session_config import KeyReadError, SessionConfig, limits_text, missing_limits
from engine.live.venue_access import VenueAccess
from engine.requests import LinkRole
from engine.session_record import (
    SAFETY,
    SECOND_NS,
    DriftAction,
    EngineSettings,
    SafetySettings,
)
from engine.sim.modelled_venue import is_modelled
from engine.strategy.rule_loading import recorded_rules
from engine.suggestions import suggestion
from engine.venue_choices import AccountUse
from engine.venues.paper.any_market import paper_refusal
from engine.venues.polling import is_polled
from engine.venues.signing import SecretKey
from engine.venues.venue_lookup import ON_PAPER, make_venue, needs_key
from journal.signing import Signer
from verbatim import credentials
from verbatim.config_sections import (
    OF_VENUES,
    OWN_SYMBOL,
    PAPER,
    RULE_NAME,
    ClockSection,
    EngineSection,
    LogSection,
    PaperSection,
    RecordSection,
    RiskSection,
    RuleSection,
    SafeguardsSection,
    SessionSection,
    StrategySection,
)
from verbatim.named_venues import NamedVenue, named_venues, venue_tables
from verbatim.secret_files import read_signing_key
from verbatim.sections import ConfigError, first_error, read_toml
from verbatim.strategy_files import check_instruments, read_rule, read_strategy
from verbatim.venue_sections import ACCOUNT_NAME, VENUE_NAME, AccountSection, VenueSection

PREFIX = "VERBATIM_"
# read by the compiled fold, the cache of archives, tests and benchmarks
OTHER_VARIABLES = frozenset({
    "VERBATIM_CHROMIUM", "VERBATIM_CLIENTS", "VERBATIM_CLIENTS_CACHE", "VERBATIM_COCKPIT_CACHE", "VERBATIM_COPIES",
    "VERBATIM_CODE", "VERBATIM_CRASH_SEED", "VERBATIM_DATA", "VERBATIM_JIT", "VERBATIM_TESTNET",
})  # fmt: skip


OwnSymbol = Annotated[str, StringConstraints(pattern=OWN_SYMBOL)]


class Config(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", hide_input_in_errors=True, frozen=True
    )

    instruments: tuple[str, ...] = Field(min_length=1)  # by own symbol or by the venue's
    symbols: dict[OwnSymbol, str] = {}  # own symbol -> the venue's
    venue: Annotated[
        dict[Annotated[str, StringConstraints(pattern=f"{VENUE_NAME}|^$")], VenueSection], BeforeValidator(venue_tables)
    ] = Field(min_length=1)
    account: dict[Annotated[str, StringConstraints(pattern=ACCOUNT_NAME)], AccountSection] = {}
    strategy: dict[str, StrategySection] = {}  # a session that trades has one at least
    session: SessionSection = SessionSection()
    clock: ClockSection = ClockSection()
    risk: RiskSection = RiskSection()
    rule: dict[Annotated[str, StringConstraints(pattern=RULE_NAME)], RuleSection] = {}
    engine: EngineSection = EngineSection()
    safeguards: SafeguardsSection = SafeguardsSection()
    record: RecordSection = RecordSection()
    paper: PaperSection = PaperSection()
    log: LogSection = LogSection()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources in order of precedence: the environment, then the file."""
        return env_settings, init_settings


def read_config(path: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read and check the file and the environment.

    Raises:
        ConfigError: a name is unknown, or a value cannot be used.
    """
    return make_config(read_values(path), str(path), environment)


def read_values(path: Path) -> dict[str, Any]:
    """Read a TOML file that may hold no secret.

    Raises:
        ConfigError: it cannot be read, or has a key for a secret.
    """
    values = read_toml(path)
    _refuse_secrets(path, values)
    return values


def make_config(values: Mapping[str, Any], where: str, environment: Mapping[str, str] | None = None) -> Config:
    """Check values and the environment; errors name `where` as the source of the values.

    Raises:
        ConfigError: a name is unknown, or a value cannot be used.
    """
    _refuse_unknown_environment(os.environ if environment is None else environment)
    try:
        return Config(**values)
    except ValidationError as error:
        raise ConfigError(f"{where}: {first_error(error, _names_of)}") from None
    except SettingsError as error:
        raise ConfigError(f"environment: {error}") from None


def _names_of(sections: Sequence[int | str]) -> list[str]:
    """Return the names that a section of the configuration may hold."""
    found: Any = Config
    for name in sections:
        is_table = get_origin(found) is dict  # of sections under names of the user's choice
        found = get_args(found)[1] if is_table else found.model_fields[name].annotation
    return list(getattr(found, "model_fields", ()))


def _refuse_secrets(path: Path, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, Mapping):
            _refuse_secrets(path, value)
        elif name in ("api_key", "api_secret", "api_passphrase", "secret", "signature"):
            raise ConfigError(
                f"{path}: {name} does not belong into the configuration. What to do: put it into "
                f"{credentials.VARIABLES[0]} and {credentials.VARIABLES[1]}, or into a file of mode "
                "0600 named by venue.secret_file"
            )


def _refuse_unknown_environment(environment: Mapping[str, str]) -> None:
    for name in sorted(environment):
        if not name.startswith(PREFIX) or credentials.is_credential_name(name) or name in OTHER_VARIABLES:
            continue
        if name.removeprefix(PREFIX).lower().split("__")[0] not in Config.model_fields:
            known = [PREFIX + field.upper() for field in Config.model_fields]
            hint = suggestion(name, (*credentials.VARIABLES, *OTHER_VARIABLES, *known))
            raise ConfigError(f"environment: {name}: unknown name{hint}")


# ---- credentials -------------------------------------------------------------------------------


def venues_of(config: Config) -> tuple[NamedVenue, ...]:
    """Return the venues and accounts of a configuration.

    Raises:
        ConfigError: a name or an address cannot be used.
    """
    if config.account and "account" in config.session.model_fields_set and not is_on_paper(config):
        tables = ", ".join(f"[account.{name}]" for name in config.account)
        raise ConfigError(f"session.account: the accounts have tables: {tables}. What to do: remove session.account")
    return named_venues(config.venue, config.account, alias=config.session.account, speed=config.clock.speed)


def read_keys(
    config: Config, environment: Mapping[str, str] | None = None, base: Path | None = None
) -> dict[str, SecretKey]:
    """Read the API key of each account, by venue: from the environment, else its file or the keyring.

    Raises:
        ConfigError: there is no key, or it cannot be used.
    """
    if is_on_paper(config):
        return {}
    return credentials.read_keys(venues_of(config), environment, base)


def with_market_keys(config: Config, wanted: SessionConfig, base: Path | None = None) -> SessionConfig:
    """Return a recording with the keys of the venues that show their market to key holders alone.

    Raises:
        ConfigError: a key is missing, or it cannot be used.
    """
    closed = [each for each in venues_of(config) if needs_key(make_venue(each.settings, ()))]
    watched = [
        each._replace(settings=msgspec.structs.replace(each.settings, use=AccountUse.WATCHES)) for each in closed
    ]
    keys = credentials.read_keys(tuple(watched), base=base, may_share=True)
    return replace(wanted, venues=tuple(replace(each, key=keys.get(each.settings.name)) for each in wanted.venues))


def _read_keys_again(config: Config, base: Path | None) -> dict[str, SecretKey]:
    """Read the keys of a running session again, by the venue's word in sources. Raises KeyReadError."""
    words = {each.settings.name: make_venue(each.settings, ()).name for each in venues_of(config)}
    try:
        return {words[name]: key for name, key in read_keys(config, base=base).items()}
    except ConfigError as error:
        raise KeyReadError(str(error)) from None


def read_key(
    config: Config, environment: Mapping[str, str] | None = None, base: Path | None = None
) -> SecretKey | None:
    """Read the API key of the only account; None for the paper account.

    Raises:
        ConfigError: there is no key, or it cannot be used.
    """
    return next(iter(read_keys(config, environment, base).values()), None)


def read_signer(config: Config, base: Path | None = None) -> Signer | None:
    """Read the key that signs the journal; None if the configuration names none.

    Raises:
        ConfigError: it cannot be read.
    """
    if config.session.signing_key is None:
        return None
    path = config.session.signing_key.expanduser()
    return read_signing_key(path if path.is_absolute() or base is None else base / path)


def is_on_paper(config: Config) -> bool:
    """Return True if the session has the paper account."""
    return config.session.account == PAPER


def on_paper(config: Config) -> Config:
    """Return the configuration with the paper account."""
    return config.model_copy(update={"session": config.session.model_copy(update={"account": PAPER})})


# ---- sessions from configurations --------------------------------------------------------------


def session_config(
    config: Config,
    *,
    key: SecretKey | None = None,
    keys: Mapping[str, SecretKey] | None = None,
    base: Path | None = None,
    dry_run: bool = False,
) -> SessionConfig:
    """Return the session with accounts that a configuration describes.

    Args:
        config: The configuration. Without a strategy its session watches the accounts, and sends nothing.
        key: The key of the only account.
        keys: The keys of several accounts, by venue.
        base: The configuration's folder.
        dry_run: Record intents and verdicts, and send nothing that changes the venue.

    Raises:
        ConfigError: the configuration cannot trade.
        StrategyError: a strategy cannot be used.
    """
    found = venues_of(config)
    if all(each.settings.use is AccountUse.NONE for each in found):
        raise ConfigError("account: no venue has an account. What to do: add [account.NAME], or use `verbatim record`")
    is_paper = is_on_paper(config)
    for each in found:
        _check_account(each, is_paper=is_paper)
    if is_paper:
        found = (_on_paper(found),)
    given = {found[0].settings.name: key} if keys is None else keys
    chosen = recording_config(config, base=base)
    chosen = replace(
        chosen,
        strategies=tuple(
            read_strategy(section.file, name=name, parameters=section.parameters, base=base)
            for name, section in config.strategy.items()
        ),
        risk=config.risk.settings(),
        rules=recorded_rules(
            [
                read_rule(name, section.code, settings=section.settings, base=base)
                for name, section in config.rule.items()
            ]
        ),
        account=found[0].alias if len(found) == 1 else config.session.account,
        safeguards=config.safeguards.settings(),
        safety=safety_settings(config),
        on_journal_failure=config.session.on_journal_failure,
        release=config.session.orders_wait_for,
        carry=config.session.carry,
        venues=tuple(
            replace(
                one,
                settings=each.settings,
                key=given.get(each.settings.name),
                key_source=credentials.key_source(each, is_only=len(found) == 1),
            )
            for one, each in zip(chosen.venues, found, strict=True)
        ),
        paper=config.paper.settings() if is_paper else None,
        read_keys=None if is_paper else partial(_read_keys_again, config, base),
    )
    if dry_run or not config.strategy:
        chosen = read_only(chosen)
    check_instruments(chosen.strategies, instrument_names(chosen, config.instruments), listed="`instruments`")
    check_scopes(config)
    check_margin(config)
    return chosen


def _on_paper(venues: Sequence[NamedVenue]) -> NamedVenue:
    """Return the venue with the paper account. Raises ConfigError if its market cannot have one."""
    if len(venues) > 1:
        raise ConfigError("session.account: paper: it has one venue. What to do: trade each venue on paper by itself")
    [venue] = venues
    dialect, settings = venue.section.dialect, msgspec.structs.replace(venue.settings, private="")
    if not is_modelled(dialect):
        if reason := paper_refusal(make_venue(settings, ())):
            raise ConfigError(
                f"session.account: paper: not on {dialect}: {reason}. What to do: use shadow, or a test network"
            )
        settings = msgspec.structs.replace(settings, kind=f"{ON_PAPER}{dialect}")
    return venue._replace(settings=settings)


def _check_account(venue: NamedVenue, *, is_paper: bool) -> None:
    """Raise ConfigError if a venue cannot serve the account that is named for it."""
    if venue.settings.use is AccountUse.NONE:
        return
    made = make_venue(venue.settings, ())
    if not made.trades and not is_paper:
        setting = "kind" if venue.section.kind else "name"
        raise ConfigError(
            f"{venue.where}.{setting}: {venue.section.dialect} supports market data only. What to do: use `verbatim "
            "record`"
        )
    if not venue.settings.private and not is_paper and not is_polled(made, LinkRole.PRIVATE):
        raise ConfigError(f"{venue.where}.private: a session that trades needs the address of the account's stream")


def instrument_names(session: SessionConfig, listed: Sequence[str]) -> tuple[str, ...]:
    """Return the names by which strategies may name instruments: as listed, ids, and symbols of one venue alone."""
    symbols = session.symbols
    own = [name for each in session.venues for name in each.own_symbols.values()]
    if len(session.venues) == 1:
        return tuple(dict.fromkeys((*listed, *symbols, *own)))
    ids = [name for each in session.venues for name in each.instrument_ids]
    return tuple(dict.fromkeys((*listed, *ids, *(name for name in symbols if symbols.count(name) == 1), *own)))


def check_margin(config: Config) -> None:
    """Refuse settings of leverage and margin at a venue that has neither.

    Raises:
        ConfigError: the text names the setting.
    """
    venues = [(each, make_venue(each.settings, ()).capabilities.leverage) for each in venues_of(config)]
    for name in OF_VENUES:
        if getattr(config.risk, name) and not any(has_leverage for _, has_leverage in venues):
            raise ConfigError(
                f"risk.{name}: not at this venue: {venues[0][0].section.dialect} has no leverage and no margin modes. "
                "What to do: remove it"
            )


def check_scopes(config: Config) -> None:
    """Refuse limits of an instrument or a strategy that the session does not have.

    Raises:
        ConfigError: the text names it.
    """
    instruments = tuple(dict.fromkeys((*config.instruments, *venue_symbols(config))))
    for kind, known in (("instrument", instruments), ("strategy", tuple(config.strategy))):
        for name in getattr(config.risk, kind):
            if name not in known:
                raise ConfigError(f"risk.{kind}.{name}: the session has no {kind} {name}; it has {', '.join(known)}")


def require_limits(config: SessionConfig) -> None:
    """Refuse a session that trades real money without its limits.

    Raises:
        ConfigError: a limit is missing.
    """
    if config.trades_real_money and (missing := missing_limits(config.risk)):
        raise ConfigError(limits_text(missing))


def read_only(config: SessionConfig) -> SessionConfig:
    """Return the session without anything that changes the venue: a dry run, or an account that is watched.

    It continues no session and none continues it, it takes no lock, and what others do on the account does not halt it.
    """
    return replace(
        config,
        read_only=True,
        carry=False,
        locks_account=False,
        on_journal_failure="leave",
        safety=SafetySettings(pursues=True),
        engine=msgspec.structs.replace(config.engine, halt_on_rival=False),
        risk=msgspec.structs.replace(config.risk, on_drift=DriftAction.NOTE),  # others may trade the account
    )


def safety_settings(config: Config) -> SafetySettings:
    """Return what protects resting orders. Blindness depends on networks, so it stretches with the clock."""
    blind = config.session.on_blind
    after_ns = int(blind.after_s * SECOND_NS) * config.clock.speed if blind.then == "cancel" else 0
    return msgspec.structs.replace(
        SAFETY,
        cancels_on_failure=config.session.on_failure == "cancel",
        blind_after_ns=after_ns,
        dead_man_ns=int(config.session.dead_man_s * SECOND_NS) * config.clock.speed,
    )


def recording_config(config: Config, *, base: Path | None = None) -> SessionConfig:
    """Return the session without account, key and strategies, which only records.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    clock = config.clock
    found = venues_of(config)
    instruments = instruments_by_venue(config, [each.settings.name for each in found])
    return SessionConfig(
        journals=config.session.journals,
        clock=SessionClock.wall()
        if not clock.session_origin_ns
        else SessionClock.scaled(
            session_origin_ns=clock.session_origin_ns,
            monotonic_origin_ns=clock.monotonic_origin_ns,
            speed=clock.speed,
        ),
        venues=tuple(
            VenueAccess(
                settings=msgspec.structs.replace(each.settings, private="", use=AccountUse.TRADES, account=""),
                symbols=tuple(instruments[each.settings.name]),
                own_symbols={symbol: own for symbol, own in instruments[each.settings.name].items() if own},
                transport=each.section.transport,
            )
            for each in found
        ),
        engine=msgspec.structs.replace(
            scale_timeouts(config.engine.settings(), clock.speed), on_venue_trouble=config.session.on_venue_trouble
        ),
        account="",
        seed=config.session.seed,
        on_journal_failure="leave",  # a recording has no orders to cancel
        free_bytes_min=config.session.free_mib_min * 2**20,
        signer=read_signer(config, base),
    )


def venue_symbols(config: Config) -> tuple[str, ...]:
    """Return the venue's symbols of the session's instruments.

    Raises:
        ConfigError: two names stand for one instrument, or one name for two.
    """
    named: dict[str, str] = {}
    for own, venue in config.symbols.items():
        if venue in named:
            raise ConfigError(f"symbols: {named[venue]} and {own} are both {venue}. What to do: remove one")
        named[venue] = own
        if own in config.symbols.values() and own != venue:
            raise ConfigError(f"symbols.{own}: {own} is the venue's symbol of another one. What to do: choose another")
    symbols = tuple(config.symbols.get(name, name) for name in config.instruments)
    if repeated := next((name for place, name in enumerate(symbols) if name in symbols[:place]), ""):
        raise ConfigError(f"instruments: {repeated} is listed twice. What to do: remove one")
    return symbols


def instruments_by_venue(config: Config, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return venue -> symbol -> own symbol or "", of the session's instruments.

    Raises:
        ConfigError: an instrument names no venue of the session.
    """
    found: dict[str, dict[str, str]] = {name: {} for name in names}
    own = {theirs: mine for mine, theirs in config.symbols.items()}
    for text in venue_symbols(config):
        name, _, symbol = text.partition(":")
        if name not in found or not symbol:
            name, symbol = names[0], text
            if len(names) > 1:
                raise ConfigError(
                    f"instruments: {text} names no venue of the session. What to do: write it as VENUE:SYMBOL; the "
                    f"venues are {', '.join(names)}"
                )
        found[name][symbol] = own.get(text, "")
    for name in names:
        if not found[name]:
            raise ConfigError(
                f"instruments: the list has no instrument of venue {name}. What to do: add one, or remove "
                f"[venue.{name}]"
            )
    return found


def scale_timeouts(settings: EngineSettings, speed: int) -> EngineSettings:
    """Stretch the timeouts that depend on machines and networks, which do not speed up with session time."""
    return msgspec.structs.replace(
        settings,
        stale_after_ns=settings.stale_after_ns * speed,
        request_timeout_ns=settings.request_timeout_ns * speed,
        stop_timeout_ns=settings.stop_timeout_ns * speed,
        backoff_first_ns=settings.backoff_first_ns * speed,
        backoff_max_ns=settings.backoff_max_ns * speed,
        reconcile_every_ns=settings.reconcile_every_ns * speed,
        access_wait_ns=settings.access_wait_ns * speed,
        access_halt_after_ns=settings.access_halt_after_ns * speed,
        quote_age_max_ns=settings.quote_age_max_ns * speed,
        venue_lag_max_ns=settings.venue_lag_max_ns * speed,
        stream_silence_max_ns=settings.stream_silence_max_ns * speed,
        stream_behind_max_ns=settings.stream_behind_max_ns * speed,
        private_probe_after_ns=settings.private_probe_after_ns * speed,
        bar_close_after_ns=settings.bar_close_after_ns * speed,
        late_after_ns=settings.late_after_ns * speed,
        late_over_ns=settings.late_over_ns * speed,
        decision_warn_ns=settings.decision_warn_ns * speed,
        decision_stop_ns=settings.decision_stop_ns * speed,
    )
