"""Settings of a session that a backtest leaves out."""

from msgspec.structs import replace

from engine.session_record import SILENCE_NEVER_NS, EngineSettings


def without_silence_rules(settings: EngineSettings) -> EngineSettings:
    """Return the settings of a backtest: silence is a fact of its market, not of a link."""
    return replace(
        settings,
        stale_after_ns=SILENCE_NEVER_NS,
        stream_silence_max_ns=0,
        stream_behind_max_ns=0,
        private_probe_after_ns=0,
    )
