"""The lines that a session prints when it starts: venue, network, account, instruments, limits, and REAL MONEY."""

import os
from decimal import Decimal

import structlog

from engine.live.session_config import SessionConfig
from engine.risk_settings import NO_LIMITS
from engine.session_record import RiskSettings
from journal.record import plain
from verbatim.terminal import echo, secho

REAL_MONEY = "REAL MONEY"
ROOT = "running as root: a fault or a strategy could change this whole machine. What to do: make a user for it"

log = structlog.get_logger()


def report_start(config: SessionConfig, *, as_json: bool) -> None:
    """Print on stderr what the session is about to do, and warn once if it runs as root."""
    if as_json:
        log.warning("start", **start_values(config))
        if os.geteuid() == 0:
            log.warning(ROOT)
        return
    for line in start_lines(config):
        if line == REAL_MONEY:
            secho(line, err=True, fg="red", bold=True)
        else:
            echo(line, err=True)
    if os.geteuid() == 0:
        secho(f"warning: {ROOT}", err=True, fg="yellow")


def start_lines(config: SessionConfig) -> list[str]:
    """Return the lines."""
    values = start_values(config)
    lines = [f"{name:<11} {value}" for name, value in values.items() if name != "real_money"]
    return [*lines, *([REAL_MONEY] if values["real_money"] else [])]


def start_values(config: SessionConfig) -> dict[str, object]:
    """Return the same as values: texts, and `real_money`."""
    strategies = ", ".join(strategy.name for strategy in config.strategies)
    if config.read_only:
        strategies = f"{strategies}; dry run, nothing is sent" if strategies else "none; the account is watched"
    return {
        "venue": f"{config.venue.name} at {config.venue.rest}",
        "network": str(config.network),
        "account": config.account if config.paper is None else f"{config.account}; no order leaves this process",
        "instruments": ", ".join(
            f"{own} ({symbol})" if (own := config.own_symbols.get(symbol)) else symbol for symbol in config.symbols
        ),
        "strategies": strategies,
        "limits": limits(config.risk),
        "real_money": config.trades_real_money,
    }


def limits(risk: RiskSettings) -> str:
    """Return the limits of risk in one line; those that are not set, last."""
    names = [name for name in risk.__struct_fields__ if name.endswith("_max") and name != "market_slippage_max"]
    values = {name: getattr(risk, name) for name in names}
    texts = {name: plain(Decimal(value)) for name, value in values.items()}
    stated = [f"{name} {texts[name]}" for name, value in values.items() if value]
    absent = [name for name, value in values.items() if not value]
    stated += [f"{kind} {name}" for kind in ("instrument", "strategy") for name in getattr(risk, kind)]
    stated += [kind for kind in ("account", "portfolio") if getattr(risk, kind) != NO_LIMITS]
    return ", ".join(stated) + (f"; not set: {', '.join(absent)}" if absent else "")
