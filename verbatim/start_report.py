"""The lines that a session prints when it starts: venue, network, account, instruments, limits, and REAL MONEY."""

import os
from decimal import Decimal

import structlog

from engine.live.session_config import SessionConfig, StartPlan
from engine.risk_settings import NO_LIMITS
from engine.session_record import RiskSettings, SessionBody
from engine.state.idle_strategies import idle_strategies
from engine.state.session_state import restore_opening
from engine.venue_choices import AccountUse
from journal.printable import in_one_line
from journal.record import plain
from verbatim.terminal import echo_line, secho

RESUMES = {"stopped": "resume", "paused": "resume-strategy {name}"}  # commands that end it
REAL_MONEY = "REAL MONEY"
ROOT = "running as root: a fault or a strategy could change this whole machine. What to do: make a user for it"

log = structlog.get_logger()


def report_start(plan: StartPlan, *, as_json: bool) -> None:
    """Print on stderr what the session is about to do, and warn once if it runs as root."""
    config, idle = plan.wanted, idle_lines(plan.body)
    if as_json:
        log.warning("start", **start_values(config))
        for line in idle:
            log.warning(line)
        if os.geteuid() == 0:
            log.warning(ROOT)
        return
    for line in idle:
        secho(f"warning: {line}", err=True, fg="yellow")
    for line in start_lines(config):
        if line == REAL_MONEY:
            secho(line, err=True, fg="red", bold=True)
        else:
            echo_line(line, err=True)
    if os.geteuid() == 0:
        secho(f"warning: {ROOT}", err=True, fg="yellow")


def idle_lines(body: SessionBody) -> list[str]:
    """Return a line for each strategy that the session before left stopped or paused: it decides nothing."""
    if body.opening is None:
        return []
    account = restore_opening(body.opening)
    names = [each.name for each in body.strategies]
    found = idle_strategies(account.strategies, account.breakers, names, body.started_ns)
    return [
        in_one_line(
            f"strategy {name} does not decide, {why} (before this session). What to do: verbatim control "
            f"{body.session} {RESUMES[why.partition(':')[0]].format(name=name)}"
        )
        for name, why in found.items()
    ]


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
    is_only = len(config.venues) == 1
    instruments = [
        f"{own} ({name})" if (own := each.own_symbols.get(symbol)) else name
        for each in config.venues
        for symbol in each.symbols
        for name in (symbol if is_only else f"{each.name}:{symbol}",)
    ]
    return {
        "venue": ", ".join(f"{each.settings.name} at {each.settings.rest}" for each in config.venues),
        "network": ", ".join(dict.fromkeys(str(each.network) for each in config.venues)),
        "account": _account_text(config),
        "instruments": ", ".join(instruments),
        "strategies": strategies,
        "limits": limits(config.risk),
        "real_money": config.trades_real_money,
    }


def _account_text(config: SessionConfig) -> str:
    """Return the session's account, or that of each venue of several."""
    if config.paper is not None:
        return f"{config.account}; no order leaves this process"
    if len(config.venues) == 1:
        return config.account
    uses = {each.settings.name: each.settings.use for each in config.venues}
    texts = [
        f"{alias} at {venue}" + ("" if uses[venue] is AccountUse.TRADES else ", watched")
        for venue, alias in config.accounts.items()
    ]
    return "; ".join([*texts, *(f"none at {name}" for name, use in uses.items() if use is AccountUse.NONE)])


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
