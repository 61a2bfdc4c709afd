"""A session as a configuration file would trade it: the file of `verbatim run`, for a backtest of a recorded market."""

from pathlib import Path

from msgspec.structs import replace

from engine.live.calendars import resolved
from engine.live.session_config import SessionConfig
from engine.session_record import SessionBody
from engine.sim.venue_model import UnknownSettingError
from verbatim.config import on_paper, read_config, session_config


def read_for_backtest(path: Path) -> SessionConfig:
    """Return the session that a configuration trades on paper: no key is read.

    Raises:
        ConfigError: The configuration cannot be used.
        StrategyError: A strategy cannot be used.
    """
    return session_config(on_paper(read_config(path)), key=None, base=path.parent)


def configured_session(recorded: SessionBody, config: SessionConfig) -> SessionBody:
    """Return a recorded session with the strategies, limits and settings of a configuration.

    Raises:
        UnknownSettingError: The recording lacks an instrument of the configuration.
    """
    symbols = [instrument.symbol for instrument in recorded.instruments]
    if missing := [symbol for symbol in config.symbols if symbol not in symbols]:
        known = ", ".join(symbols)
        raise UnknownSettingError(f"instruments: the session has no {', '.join(missing)}; it has {known}")
    own_symbols = config.venues[0].own_symbols
    try:
        risk = resolved(config.risk, recorded.started_ns)
    except ValueError as error:
        raise UnknownSettingError(f"risk: {error}") from None
    return replace(
        recorded,
        strategies=config.strategies,
        risk=risk,
        rules=config.rules,
        engine=replace(config.engine, books=recorded.engine.books),
        safeguards=config.safeguards,
        safety=config.safety,
        account=recorded.account or config.account,
        instruments=tuple(
            replace(instrument, own_symbol=own_symbols.get(instrument.symbol, instrument.own_symbol))
            for instrument in recorded.instruments
        ),
        seed=recorded.seed if config.seed is None else config.seed,
    )
