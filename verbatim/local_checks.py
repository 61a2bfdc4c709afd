"""The checks of `verbatim check` that need no network: limits, journals, the user."""

import os
import shutil
from enum import StrEnum
from typing import NamedTuple

from engine.live.account_lock import check_free
from engine.live.previous_session import check_not_parted
from engine.live.session_config import SessionConfig, StartError, limits_text, missing_limits
from engine.live.venue_access import VenueAccess
from engine.venues.venue import Network
from journal.errors import JournalError
from journal.printable import in_one_line
from verbatim.start_report import ROOT, limits


class CheckStatus(StrEnum):
    """The result of a check."""

    OK = "OK"
    FAIL = "FAIL"
    SKIP = "SKIP"  # an earlier check failed


class Check(NamedTuple):
    """One line of the report."""

    name: str
    status: CheckStatus
    text: str
    advice: str = ""  # what to do

    def line(self) -> str:
        """Return the line as it is printed. Texts of the venue forge no other line."""
        advice = f". What to do: {self.advice}" if self.advice else ""
        text = self.text.removesuffix(".") if advice else self.text
        return f"{self.status:<5} {self.name:<16} {in_one_line(text + advice)}"


class CheckFailedError(Exception):
    """A check failed: its text, then what to do."""

    def __init__(self, text: str, advice: str) -> None:
        super().__init__(text)
        self.text = text
        self.advice = advice


class NeedsKeyError(Exception):
    """A check needs a key and has no usable one: the check `key` says why."""


def check_settings(config: SessionConfig, *, key_error: str = "") -> list[Check]:
    """Return the checks that need no network: limits, journals, the user."""
    real = ": REAL MONEY" if config.trades_real_money else ""
    checks = [
        Check("session", CheckStatus.OK, "; ".join(_venue_text(config, each, real) for each in config.venues)),
        _limits(config),
        _journals(config),
    ]
    if key_error:
        checks.append(Check("key", CheckStatus.FAIL, key_error))
    if os.geteuid() == 0:
        checks.append(Check("user", CheckStatus.OK, f"warning: {ROOT}"))
    return checks


def _venue_text(config: SessionConfig, venue: VenueAccess, real: str) -> str:
    """Return a venue, its network, and what the session does with the account there."""
    kind = "trades" if config.strategies and venue.trades else "is watched"
    kind += "" if config.strategies else ", without a strategy"
    account = config.accounts.get(venue.settings.name, "")
    use = f"{account} {kind}" if account else "market data alone"
    return f"{venue.settings.name}, network {venue.network}{real if venue.network is Network.LIVE else ''}; {use}"


def _limits(config: SessionConfig) -> Check:
    missing = missing_limits(config.risk)
    if missing and config.trades_real_money:
        text, _, advice = limits_text(missing).partition(". What to do: ")
        return Check("limits", CheckStatus.FAIL, text, advice)
    return Check("limits", CheckStatus.OK, limits(config.risk))


def _journals(config: SessionConfig) -> Check:
    folder, free_bytes_min = config.journals, config.free_bytes_min
    existing = next(path for path in (folder, *folder.resolve().parents) if path.is_dir())
    if not os.access(existing, os.W_OK):
        return Check(
            "journals", CheckStatus.FAIL, f"{folder} cannot be written", "choose another folder with --journals"
        )
    free = shutil.disk_usage(existing).free
    text = f"{folder}, {free / 2**30:,.1f} GiB free"
    if free < free_bytes_min:
        wanted = f"{free_bytes_min / 2**20:,.0f} MiB"
        return Check("journals", CheckStatus.FAIL, f"{text}, and session.free_mib_min is {wanted}", "make room")
    try:
        check_free(folder, config.accounts)
        check_not_parted(config)
    except (StartError, JournalError, ValueError) as error:  # as `run` would refuse
        text, _, advice = str(error).partition("What to do: ")
        return Check("journals", CheckStatus.FAIL, text.rstrip(" ."), advice)
    return Check("journals", CheckStatus.OK, text)
