"""The share of time that a session spent in each mode, and why. A reducer over its mode facts; values only.

Live, resimulated and recorded sessions use it.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.facts import ModeChanged
from engine.mode_reasons import Mode, ModeReason, texts

SECOND_NS = 1_000_000_000
LASTING_NS = 60 * SECOND_NS  # a session that does not trade for so long at its end gets a headline
TEXT_MAX = 300


class ModeSummary(msgspec.Struct, frozen=True):
    """The time of a session in each mode, by reason. Several reasons may hold at one time."""

    total_ns: int
    mode_ns: dict[str, int]  # by mode
    reason_ns: dict[str, dict[str, int]]  # by mode and code of reason
    last: Mode
    last_reasons: tuple[str, ...]
    last_ns: int  # how long the last mode has lasted

    @property
    def is_halted(self) -> bool:
        """True if the session ended halted."""
        return self.last is Mode.HALTED

    @property
    def line(self) -> str:
        """The shares in one line."""
        parts = []
        for mode in sorted(self.mode_ns, key=lambda name: (name != Mode.RUNNING, -self.mode_ns[name], name)):
            reasons = self.reason_ns.get(mode, {})
            shares = [
                f"{code.replace('_', ' ')} {self._share(reasons[code])}"
                for code in sorted(reasons, key=lambda code: (-reasons[code], code))
            ]
            because = f" ({', '.join(shares)})" if shares else ""
            parts.append(f"{mode} {self._share(self.mode_ns[mode])}{because}")
        return f"{span_text(self.total_ns)}: {'; '.join(parts)}"

    @property
    def headline(self) -> str:
        """The mode and its reasons if the session did not trade at its end, or ""."""
        never_ran = not self.mode_ns.get(Mode.RUNNING)
        if self.last is Mode.RUNNING or not (self.is_halted or never_ran or self.last_ns >= LASTING_NS):
            return ""
        since = "it never ran" if never_ran and not self.is_halted else f"for the last {span_text(self.last_ns)}"
        why = "; ".join(self.last_reasons)
        return f"{self.last.upper()} at the end, {since}: {why if len(why) <= TEXT_MAX else why[:TEXT_MAX] + '...'}"

    def as_json(self) -> dict[str, Any]:
        """Return the summary as JSON values."""
        return {
            "total_s": round(self.total_ns / SECOND_NS, 3),
            "modes": {mode: round(spent / SECOND_NS, 3) for mode, spent in sorted(self.mode_ns.items())},
            "reasons": {
                mode: {code: round(spent / SECOND_NS, 3) for code, spent in sorted(found.items())}
                for mode, found in sorted(self.reason_ns.items())
            },
            "last": self.last.value,
            "last_reasons": list(self.last_reasons),
        }

    def _share(self, spent_ns: int) -> str:
        return f"{100 * spent_ns / self.total_ns:.1f} %" if self.total_ns else "0.0 %"


class ModeShares:
    """Adds up the mode facts of a session, in their order."""

    def __init__(self, started_ns: int) -> None:
        self._started_ns = self._since_ns = self._first_of_mode_ns = started_ns
        self._mode = Mode.STARTING
        self._reasons: tuple[ModeReason, ...] = ()
        self._mode_ns: dict[str, int] = {}
        self._reason_ns: dict[str, dict[str, int]] = {}

    def add(self, time_ns: int, fact: ModeChanged) -> None:
        """Add the fact that the mode, or its reasons, changed."""
        self._mode_ns, self._reason_ns = self._times_until(time_ns)
        if fact.mode is not self._mode:
            self._first_of_mode_ns = time_ns
        self._since_ns, self._mode, self._reasons = time_ns, fact.mode, fact.reasons

    def summary(self, end_ns: int) -> ModeSummary:
        """Return the summary of the session up to a time."""
        mode_ns, reason_ns = self._times_until(end_ns)
        return ModeSummary(
            total_ns=max(end_ns - self._started_ns, 0),
            mode_ns=mode_ns,
            reason_ns=reason_ns,
            last=self._mode,
            last_reasons=tuple(texts((reason,)) for reason in self._reasons),
            last_ns=max(end_ns - self._first_of_mode_ns, 0),
        )

    def _times_until(self, end_ns: int) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
        """Return the times so far with those since the last fact."""
        spent_ns = max(end_ns - self._since_ns, 0)
        if not spent_ns:
            return self._mode_ns, self._reason_ns
        reasons = self._reason_ns
        if codes := {reason.code.value for reason in self._reasons}:
            reasons = {**reasons, self._mode.value: _added(reasons.get(self._mode.value, {}), codes, spent_ns)}
        return _added(self._mode_ns, {self._mode.value}, spent_ns), reasons


def _added(before: Mapping[str, int], names: set[str], spent_ns: int) -> dict[str, int]:
    return {**before, **{name: before.get(name, 0) + spent_ns for name in sorted(names)}}


def span_text(span_ns: int) -> str:
    """Return a time span for people.

    >>> [span_text(n * SECOND_NS) for n in (0, 42, 61, 3600 * 16 + 300)]
    ['0.0 s', '42.0 s', '1 min 1 s', '16 h 5 min']
    """
    seconds = span_ns / SECOND_NS
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
