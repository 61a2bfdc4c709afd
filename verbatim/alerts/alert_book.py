"""Decides what is reported, on which channel and when: from findings and the time to events. No clock, no input.

Each decision compares the alerts that a channel should know with those that it was sent. So quiet hours, the rate
limit and a failing channel only delay: once the channel is free, one message names everything that is due.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from verbatim.alerts.alert_events import (
    WATCHER,
    AlertAcknowledged,
    AlertChanged,
    AlertClosed,
    AlertEvent,
    AlertOpened,
    AlertResolved,
    Finding,
    MessageFailed,
    MessageSending,
    MessageSent,
    Severity,
    WatchBegan,
    Why,
)
from verbatim.alerts.alert_messages import PARTS_MAX, compose
from verbatim.alerts.alert_state import Alert, AlertState, ChannelState
from verbatim.alerts.quiet_hours import SECOND_NS, QuietHours

OPEN_MAX = 200  # alerts; further ones are not opened
ATTEMPTS_MAX = 10  # to send to a channel before its alerts wait for their next repeat: within half an hour
BACKOFF_S_MAX = 600
WAIT_S_MAX = 1200  # that a receiver may state
FAILURES_SHOWN = 3  # in a row: then the other channels are informed
CHANNEL_FAILING = "channel_failing"
LOG_FAILING = "log_failing"
FOLDER_MISSING = "folder_missing"
RUN_FAILED = "run_failed"
# rules about the watcher and its folder, each with the seconds that a condition must last
OWN_RULES = {CHANNEL_FAILING: 0, LOG_FAILING: 0, FOLDER_MISSING: 60, RUN_FAILED: 0}


class RulePolicy(NamedTuple):
    """How alerts of a rule are treated."""

    hold_ns: int = 0  # a condition must last for so long
    repeat_ns: int = 0  # between two messages while it lasts; 0: one message
    ends_together: bool = False  # its alerts of a target end once it finds nothing there


class ChannelPolicy(NamedTuple):
    """What a channel gets."""

    severity_min: Severity = Severity.WARNING
    rules: frozenset[str] = frozenset()  # empty: all
    sends_resolved: bool = True
    is_quiet: bool = True  # in quiet hours
    messages_max: int = 20  # within the window; twice as many if they are critical
    window_ns: int = 600 * SECOND_NS

    def accepts(self, name: str, alert: Alert) -> bool:
        """Return True if the channel of this name gets an alert."""
        finding = alert.finding
        return (
            finding.severity.rank >= self.severity_min.rank
            and (not self.rules or finding.rule in self.rules)
            and (finding.rule, finding.about) != (CHANNEL_FAILING, name)
        )


class AlertPolicy(NamedTuple):
    """All settings of the decisions."""

    rules: dict[str, RulePolicy]
    channels: dict[str, ChannelPolicy]
    clear_ns: int = 10 * SECOND_NS  # a condition must be absent for so long
    event_ns: int = 300 * SECOND_NS  # an event that occurs again within it belongs to the same alert
    quiet: QuietHours | None = None


class AlertBook:
    """The open alerts.

    A method that returns events has folded them. They must be on stable storage before they are performed.
    """

    def __init__(self, policy: AlertPolicy, state: AlertState) -> None:
        self.policy, self.state = policy, state
        self._held: dict[tuple[str, str, str], int] = {}  # conditions that do not last for long enough yet
        self._absent: dict[int, int] = {}  # alerts whose condition does not hold: since when

    # ---- observations

    def observe(
        self, target: str, session: str, findings: Sequence[Finding], now_ns: int, *, seq: int = -1
    ) -> list[AlertEvent]:
        """Return the events that findings lead to.

        Args:
            target: The account that is observed.
            session: The id of its newest session.
            findings: All conditions that hold, and all events that were read.
            now_ns: The time.
            seq: In a session that was not watched before, events up to this record are not reported.
        """
        now_ns, events = self._advance_time(now_ns), list[AlertEvent]()
        if session and self.state.targets.get(target) != session:
            self._emit(events, WatchBegan(now_ns, target, session, self._first_seq(target, session, seq)))
        found: dict[tuple[str, str, str], list[Finding]] = {}
        seen = self.state.seen.get(session, -1)
        for finding in findings:
            if not finding.is_event or finding.seq > seen:
                found.setdefault((target, finding.rule, finding.about), []).append(finding)
        known = {alert.key: alert for alert in self.state.alerts.values() if not alert.ended_ns}
        for key, group in found.items():
            events += self._note(known.get(key), key, group, session, now_ns)
        for key in [key for key in self._held if key[0] == target and key not in found]:
            del self._held[key]
        found_rules = {rule for _, rule, _ in found}
        for key, alert in known.items():
            if key[0] != target or key in found:
                continue
            if self._rule(key[1]).ends_together and key[1] in found_rules:
                self._absent.pop(alert.number, None)
            else:
                self._note_absence(events, alert, now_ns)
        return events

    def _first_seq(self, target: str, session: str, seq: int) -> int:
        if session in self.state.seen:
            return self.state.seen[session]
        return -1 if target in self.state.targets else seq

    def _note(
        self, alert: Alert | None, key: tuple[str, str, str], group: list[Finding], session: str, now_ns: int
    ) -> list[AlertEvent]:
        """Open an alert for findings of one key, or keep the open one up to date."""
        events, finding = list[AlertEvent](), group[-1]
        if alert is None:
            since_ns = now_ns if finding.is_event else self._held.setdefault(key, now_ns)
            is_full = sum(not other.ended_ns for other in self.state.alerts.values()) >= OPEN_MAX
            if is_full or now_ns - since_ns < self._rule(finding.rule).hold_ns:
                return events
            number = self.state.alert_number + 1
            self._emit(events, AlertOpened(now_ns, number, key[0], finding, session, len(group)))
            self._held.pop(key, None)
            return events
        self._absent.pop(alert.number, None)
        if finding.is_event:
            count = alert.count + len(group)
            self._emit(events, AlertChanged(now_ns, alert.number, finding, session, count))
        elif finding.severity is not alert.finding.severity:
            self._emit(events, AlertChanged(now_ns, alert.number, finding))
        else:
            alert.finding = finding  # figures in the text change all the time, so they are no event
        return events

    def _note_absence(self, events: list[AlertEvent], alert: Alert, now_ns: int) -> None:
        if alert.finding.is_event:
            is_over = not _is_within(alert.last_ns, self.policy.event_ns, now_ns)
        else:
            is_over = now_ns - self._absent.setdefault(alert.number, now_ns) >= self.policy.clear_ns
        if is_over:
            self._absent.pop(alert.number, None)
            self._emit(events, AlertResolved(now_ns, alert.number))

    def observe_watcher(
        self, now_ns: int, log_failure: str = "", folder_findings: Sequence[Finding] = ()
    ) -> list[AlertEvent]:
        """Return the events of channels that fail, of a log that cannot be written, and of the folder."""
        findings = [Finding(LOG_FAILING, "", Severity.CRITICAL, log_failure)] if log_failure else []
        findings += folder_findings
        findings += [
            Finding(CHANNEL_FAILING, name, Severity.CRITICAL, f"channel {name} accepts no message: {channel.reason}")
            for name, channel in sorted(self.state.channels.items())
            if name in self.policy.channels and channel.failures >= FAILURES_SHOWN
        ]
        return self.observe(WATCHER, "", findings, now_ns)

    def retire(self, targets: Iterable[str], now_ns: int) -> list[AlertEvent]:
        """Close the alerts of all targets except these, without a message: they are not watched any more."""
        now_ns, events, kept = self._advance_time(now_ns), list[AlertEvent](), {*targets, WATCHER}
        for alert in list(self.state.alerts.values()):
            if alert.target not in kept:
                self._emit(events, AlertClosed(now_ns, alert.number))
        return events

    def acknowledge(self, numbers: Iterable[int], now_ns: int, *, by: str, note: str) -> list[AlertEvent]:
        """Return the events of a person who knows."""
        now_ns, events = self._advance_time(now_ns), list[AlertEvent]()
        for number in numbers:
            self._emit(events, AlertAcknowledged(now_ns, number, by, note))
        return events

    # ---- messages

    def plan(self, now_ns: int) -> list[AlertEvent]:
        """Return the messages to send now, and the alerts about which nothing is left to send."""
        now_ns, events = self._advance_time(now_ns), list[AlertEvent]()
        is_quiet = self.policy.quiet is not None and self.policy.quiet.is_quiet(now_ns)
        for name, policy in self.policy.channels.items():
            channel = self.state.channel(name)
            is_waiting = 0 < channel.next_ns - now_ns <= WAIT_S_MAX * SECOND_NS
            if channel.sending is None and not is_waiting:
                self._plan_message(events, name, now_ns, is_quiet=is_quiet and policy.is_quiet)
        for alert in list(self.state.alerts.values()):
            if alert.ended_ns and not any(self._is_awaited(name, alert, now_ns) for name in self.policy.channels):
                self._emit(events, AlertClosed(now_ns, alert.number, self._skipped(alert)))
        return events

    def _plan_message(self, events: list[AlertEvent], name: str, now_ns: int, *, is_quiet: bool) -> None:
        policy, channel = self.policy.channels[name], self.state.channel(name)
        window = [at_ns for at_ns in channel.sent_ns if _is_within(at_ns, policy.window_ns, now_ns)]
        is_critical_only = is_quiet or len(window) >= policy.messages_max
        if len(window) >= 2 * policy.messages_max:
            return
        parts = [
            alert.as_part(why)
            for alert in self.state.alerts.values()
            if (why := self._due(name, alert, now_ns)) is not None
            and (alert.finding.severity is Severity.CRITICAL or not is_critical_only)
        ]
        parts.sort(key=lambda part: (part.why is Why.RESOLVED, -part.severity.rank, part.number))
        has_summary = bool(channel.skipped) and not is_critical_only
        if not parts and not has_summary:
            return
        skipped, more = (channel.skipped, channel.skipped_more) if has_summary else ([], 0)
        message = compose(
            self.state.message_number + 1, now_ns, parts[:PARTS_MAX],
            skipped=skipped, skipped_more=more,
            waiting=max(len(parts) - PARTS_MAX, 0), may_repeat=channel.may_repeat,
        )  # fmt: skip
        self._emit(events, MessageSending(now_ns, name, message, channel.failures + 1, len(skipped), more))

    def _due(self, name: str, alert: Alert, now_ns: int) -> Why | None:
        """Return why a channel must get a message about an alert now, or None."""
        policy, last = self.policy.channels[name], alert.deliveries.get(name)
        finding, repeat_ns = alert.finding, self._rule(alert.finding.rule).repeat_ns
        if last is None:
            is_due = policy.accepts(name, alert) and not alert.ended_ns and not alert.is_acknowledged
            return Why.NEW if is_due else None
        if alert.ended_ns:
            is_due = policy.sends_resolved and last.why is not Why.RESOLVED and not finding.is_event
            return Why.RESOLVED if is_due else None
        if finding.severity.rank > last.severity.rank:
            return Why.WORSE
        if alert.is_acknowledged or not repeat_ns or _is_within(last.at_ns, repeat_ns, now_ns):
            return None
        if finding.is_event:
            return Why.AGAIN if alert.count > last.count else None
        return Why.STILL

    def _is_awaited(self, name: str, alert: Alert, now_ns: int) -> bool:
        """Return True if a channel must still get a message about an alert, or is getting one."""
        sending = self.state.channel(name).sending
        is_sent = sending is not None and any(part.number == alert.number for part in sending.message.parts)
        return is_sent or self._due(name, alert, now_ns) is not None

    def _skipped(self, alert: Alert) -> tuple[str, ...]:
        """Return the channels whose summary must name an alert, because it ended before a message did."""
        if alert.is_acknowledged:
            return ()
        channels = self.policy.channels.items()
        return tuple(name for name, policy in channels if name not in alert.deliveries and policy.accepts(name, alert))

    def finish(
        self, name: str, message: int, now_ns: int, *, reason: str = "", wait_s: float = 0, is_final: bool = False,
        note: str = "",
    ) -> list[AlertEvent]:  # fmt: skip
        """Return the events of a message's outcome.

        Args:
            name: The channel.
            message: The number of the message.
            now_ns: The time.
            reason: Why the channel did not accept it; "": it did.
            wait_s: The least time before the next attempt, as the receiver stated it.
            is_final: Another attempt would fail as well.
            note: A remark of the channel.
        """
        now_ns, events = self._advance_time(now_ns), list[AlertEvent]()
        if not reason:
            self._emit(events, MessageSent(now_ns, name, message, note))
            return events
        failures = self.state.channel(name).failures + 1
        delay_s = max(backoff_s(failures), min(wait_s, WAIT_S_MAX))
        gave_up = is_final or failures >= ATTEMPTS_MAX
        failed = MessageFailed(now_ns, name, message, reason, now_ns + int(delay_s * SECOND_NS), gave_up)
        self._emit(events, failed)
        return events

    def recover(self, now_ns: int) -> list[AlertEvent]:
        """Return the failures of messages that an earlier watcher was sending when it ended."""
        self.state.now_ns = min(self.state.now_ns, now_ns)  # the earlier watcher's clock may have been wrong
        events = list[AlertEvent]()
        for name, channel in self.state.channels.items():
            if (sending := channel.sending) is not None:
                reason = "the watcher ended while it sent this message"
                failed = MessageFailed(now_ns, name, sending.message.number, reason, now_ns, is_unknown=True)
                self._emit(events, failed)
        return events

    # ---- parts

    def _rule(self, name: str) -> RulePolicy:
        return self.policy.rules.get(name, RulePolicy())

    def _advance_time(self, now_ns: int) -> int:
        """Return the time. It never falls, also if the clock does."""
        return max(now_ns, self.state.now_ns)

    def _emit(self, events: list[AlertEvent], event: AlertEvent) -> None:
        self.state.fold(event)
        events.append(event)


def _is_within(at_ns: int, span_ns: int, now_ns: int) -> bool:
    """Return True if a time is less than a span ago. One far in the future was noted by a wrong clock."""
    return abs(now_ns - at_ns) < span_ns


def backoff_s(failures: int) -> float:
    """Return the seconds until the next attempt after so many failures in a row.

    >>> [backoff_s(number) for number in (1, 2, 3, 9, 10, 5000)]
    [2.0, 4.0, 8.0, 512.0, 600.0, 600.0]
    """
    return min(2.0 ** min(failures, 20), BACKOFF_S_MAX)


def channel_line(name: str, channel: ChannelState) -> str:
    """Return a channel's condition in one line, for people."""
    if channel.failures:
        return f"{name}: {channel.failures} attempts failed, the last one because {channel.reason}"
    return f"{name}: works" if channel.sent_ns else f"{name}: no message yet"
