"""The end of a command that resimulates: one line and an exit code for each failure outside our code."""

from collections.abc import Iterator
from contextlib import contextmanager

from verbatim.exit_codes import DIFFERS, FAILED, stop


@contextmanager
def study_failures() -> Iterator[None]:
    """Exit with one line for a failure of the journal, an archive, a worker, a setting or a strategy."""
    from engine.errors import CoreError
    from engine.sim.venue_model import UnknownSettingError
    from engine.strategy.source_guard import StrategyError
    from journal.errors import (
        ArchiveFailedError,
        DamagedArchiveError,
        DamagedJournalError,
        JournalError,
        JournalFailedError,
    )
    from replay.code_trust import UntrustedSourceError
    from replay.fold_orders.foldable import CannotFoldError
    from replay.network_guard import SocketOpenedError
    from replay.overrides import UnknownOverrideError
    from replay.resim.candle_sources import NoCandlesError
    from replay.resim.sim_setup import CannotResimulateError
    from replay.study.sweep_space import SweepError
    from replay.study.workers import WorkFailedError
    from verbatim.sections import ConfigError

    try:
        yield
    except (DamagedJournalError, DamagedArchiveError, CoreError) as error:
        stop(str(error), DIFFERS)
    except (ArchiveFailedError, JournalFailedError, WorkFailedError) as error:
        stop(str(error), FAILED)
    except (
        JournalError,
        StrategyError,
        UnknownOverrideError,
        UnknownSettingError,
        CannotFoldError,
        CannotResimulateError,
        ConfigError,
        NoCandlesError,
        UntrustedSourceError,
        SocketOpenedError,
        SweepError,
    ) as error:
        stop(str(error))
