"""Bars from before a session out of a session, a capture or a file, for `--warm-up`."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.live.session_config import SessionConfig
    from engine.venues.candle_store import CandleStore

FILES = frozenset({".csv", ".zip", ".json"})  # of candles; any other file is a bundle of a session


def read_candles(source: str, journals: Path) -> "CandleStore":
    """Return the candles of a file or a session: bars that it requested, and one a second of its trades.

    Args:
        source: A file, or a session as every command names one.
        journals: The folder of the journals.

    Raises:
        NoCandlesError: It holds none.
        JournalError: The session is unknown or damaged.

    """
    from journal.reader import Journal
    from replay.resim.candle_sources import NoCandlesError, file_candles, recorded_candles, traded_candles
    from verbatim.session_lookup import find_to_resimulate, session_in

    path = Path(source)
    if path.suffix in FILES and path.is_file():
        return file_candles(path)
    folder = find_to_resimulate(journals, source)
    journal, body = Journal.open(folder), session_in(folder)
    store = recorded_candles(journal, body)
    traded_candles(journal, body, store)
    if not len(store):
        raise NoCandlesError(
            f"{folder} holds no trades. What to do: choose a session or a file of the same instruments"
        )
    return store


def with_warm_up(chosen: "SessionConfig", source: str) -> "SessionConfig":
    """Return the session with a source of bars in the venue's place, if one is named.

    Raises:
        ConfigError: it holds no candles.
        JournalError: The session is unknown or damaged.

    """
    from dataclasses import replace

    import msgspec

    from replay.resim.candle_sources import NoCandlesError
    from verbatim.config_sections import ConfigError

    if not source:
        return chosen
    try:
        store = read_candles(source, chosen.journals)
    except NoCandlesError as error:
        raise ConfigError(f"session.warm_up: {error}") from None
    return replace(chosen, history=store, engine=msgspec.structs.replace(chosen.engine, history_from=store.name))
