"""The watcher: observes sessions each second, records what follows in its log, and has it delivered by threads.

The rules see observations, and the book decides (alert_book.py). A message leaves only when its event is on stable
storage, so a watcher that starts again neither repeats nor forgets one.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import NamedTuple

import structlog

from verbatim.alerts.alert_book import AlertBook
from verbatim.alerts.alert_config import AlertConfig
from verbatim.alerts.alert_events import (
    AlertAcknowledged,
    AlertChanged,
    AlertEvent,
    AlertMessage,
    AlertOpened,
    AlertResolved,
    MessageFailed,
    MessageSending,
    MessageSent,
    Severity,
)
from verbatim.alerts.alert_log import AlertLog, AlertLogError, unreadable_text
from verbatim.alerts.alert_messages import heartbeat_message
from verbatim.alerts.alert_options import LossOptions
from verbatim.alerts.alert_rules import evaluate
from verbatim.alerts.alert_state import AlertState
from verbatim.alerts.loss_day import day_events
from verbatim.alerts.quiet_hours import SECOND_NS
from verbatim.alerts.senders import DeliveryError, Sender
from verbatim.alerts.watched_sessions import WatchedSession, WatchedSessions

PEAK_STEPS = 100  # a higher P&L of the day is recorded once it rose by this part of the drawdown's limit
UNWRITTEN_MAX = 10_000  # events that wait for the log
HEARTBEAT = ""  # in place of a channel's name
END_S = 15.0  # that deliveries may take when the watcher ends

LEVELS = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING, Severity.CRITICAL: logging.ERROR}


class SendResult(NamedTuple):
    """The outcome of a message."""

    channel: str
    message: int
    reason: str = ""  # why it failed
    wait_s: float = 0.0
    is_final: bool = False
    note: str = ""


class ChannelThread:
    """Delivers the messages of one channel, one at a time."""

    def __init__(self, name: str, sender: Sender, outcomes: SimpleQueue[SendResult]) -> None:
        self._name, self._sender, self._outcomes = name, sender, outcomes
        self._messages: SimpleQueue[AlertMessage | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=f"channel {name}", daemon=True)
        self._thread.start()

    def deliver(self, message: AlertMessage) -> None:
        """Deliver a message; its outcome comes through the queue."""
        self._messages.put(message)

    def close(self, seconds: float) -> None:
        """End the thread after its message, or after so many seconds."""
        self._messages.put(None)
        self._thread.join(max(seconds, 0))

    def _run(self) -> None:
        while (message := self._messages.get()) is not None:
            self._outcomes.put(deliver(self._name, self._sender, message))


def deliver(name: str, sender: Sender, message: AlertMessage) -> SendResult:
    """Deliver a message, and return its outcome."""
    outcome = SendResult(name, message.number, "a fault of ours")
    with suppress(Exception):  # a fault of one channel ends no watcher, and its text may hold a secret
        try:
            outcome = SendResult(name, message.number, note=sender.send(message))
        except DeliveryError as error:
            outcome = SendResult(name, message.number, str(error), error.wait_s, error.is_final)
    return outcome


class Watcher:
    """Runs until its `ended` is set."""

    def __init__(
        self,
        config: AlertConfig,
        sessions: WatchedSessions,
        log: AlertLog,
        senders: Mapping[str, Sender],
        *,
        heartbeat: Sender | None = None,
    ) -> None:
        """Continue from the log.

        Args:
            config: The configuration.
            sessions: The sessions to watch.
            log: The log of this watcher.
            senders: By channel.
            heartbeat: Gets a message every so often, while the watcher observes.
        """
        self.ended = Event()
        self._config, self._sessions, self._log = config, sessions, log
        self._print = structlog.get_logger()
        self._options = config.rule_options()
        loss = self._options["loss"]
        assert isinstance(loss, LossOptions)
        self._peak_step = loss.drawdown_max / PEAK_STEPS
        self._origin_ns = time.time_ns() - time.monotonic_ns()  # from here on the time never jumps
        state = AlertState()
        for event in log.read():
            state.fold(event)
        if log.unreadable:
            self._print.warning("log", text=unreadable_text(log.path, log.unreadable))
        self.book = AlertBook(config.policy(), state)
        self._outcomes: SimpleQueue[SendResult] = SimpleQueue()
        self._channels = {name: ChannelThread(name, sender, self._outcomes) for name, sender in senders.items()}
        self._heartbeat = None if heartbeat is None else ChannelThread(HEARTBEAT, heartbeat, self._outcomes)
        self._beat_ns, self._is_beating, self._beat_reason = 0, False, ""
        self._unwritten: list[AlertEvent] = []
        self.log_failure = ""
        self._folder_failure = ""  # as printed

    # ---- the loop

    def run(self) -> None:
        """Watch until `ended` is set; then wait for messages that are being sent."""
        poll_s = float(self._config.watch.poll_s)
        self._record(self.book.recover(self._now_ns()))
        is_first = True
        while not self.ended.is_set():
            begun_s = time.monotonic()
            self.observe_once()
            if is_first:
                is_first = False
                self._record(self.book.retire(self._sessions.by_target, self._now_ns()))
            self.ended.wait(max(poll_s - (time.monotonic() - begun_s), 0.0))
        self._close()

    def observe_once(self) -> None:
        """Observe each session once, and do what follows."""
        self._collect_outcomes()
        for replaced in self._sessions.refresh():
            self._observe(replaced)
        for watched in self._sessions.by_target.values():
            self._observe(watched)
        self._print_folder()
        found = self._sessions.folder_findings()
        self._record(self.book.observe_watcher(self._now_ns(), self.log_failure, found))
        self._record(self.book.plan(self._now_ns()))
        self._send_heartbeat()

    def _observe(self, watched: WatchedSession) -> None:
        now_ns, name = self._now_ns(), watched.name
        found = watched.observe(now_ns / SECOND_NS)
        if found is None:
            return
        seen, points = found
        figures = self.book.state.days.get(name.target)
        recorded, day = day_events(figures, name.target, points, now_ns, step=self._peak_step)
        if recorded is not None:
            self.book.state.fold(recorded)
            self._record([recorded])
        if day is not None:
            watched.day = day
        seen = seen._replace(day=watched.day)
        findings = evaluate(seen, self._options)
        seq = -1 if name.is_new else seen.last_seq + (not seen.is_up)  # and its end is no news either
        self._record(self.book.observe(name.target, name.session, findings, now_ns, seq=seq))

    def _collect_outcomes(self) -> None:
        while True:
            try:
                found = self._outcomes.get_nowait()
            except Empty:
                return
            if found.channel == HEARTBEAT:
                self._end_heartbeat(found.reason)
                continue
            events = self.book.finish(
                found.channel, found.message, self._now_ns(), reason=found.reason, wait_s=found.wait_s,
                is_final=found.is_final, note=found.note,
            )  # fmt: skip
            self._record(events)

    def _send_heartbeat(self) -> None:
        """Send a heartbeat if one is due and the last one has ended."""
        section, now_ns = self._config.heartbeat, self._now_ns()
        if section is None or self._heartbeat is None or self._is_beating:
            return
        if now_ns - self._beat_ns >= int(section.every_s * SECOND_NS):
            self._beat_ns, self._is_beating = now_ns, True
            self._heartbeat.deliver(heartbeat_message(now_ns, len(self.book.state.alerts)))

    def _end_heartbeat(self, reason: str) -> None:
        self._is_beating = False
        if reason != self._beat_reason:
            with suppress(OSError):
                self._print.warning("heartbeat", text=f"fails: {reason}" if reason else "is accepted again")
        self._beat_reason = reason

    def _record(self, events: Sequence[AlertEvent]) -> None:
        """Make events durable, then perform them. Fold what other processes appended.

        A log that cannot be written, as on a full disk, stops no alert: its events are written once that succeeds.
        """
        self._unwritten += events
        try:
            others = self._log.append(self._unwritten)
            self._unwritten, self.log_failure = [], ""
        except AlertLogError as error:
            others, self.log_failure = [], str(error)
            del self._unwritten[:-UNWRITTEN_MAX]
        for other in others:
            self.book.state.fold(other)
            self._print_event(other)
        for event in events:
            self._print_event(event)
            if isinstance(event, MessageSending) and event.channel in self._channels:
                self._channels[event.channel].deliver(event.message)

    def _close(self) -> None:
        until_s = time.monotonic() + END_S
        for channel in (*self._channels.values(), *([self._heartbeat] if self._heartbeat else [])):
            channel.close(until_s - time.monotonic())
        self._collect_outcomes()
        self._sessions.close()

    def _now_ns(self) -> int:
        return self._origin_ns + time.monotonic_ns()

    # ---- lines for people

    def _print_folder(self) -> None:
        """Write a line if the folder of the sessions begins or ceases to be readable."""
        if (failure := self._sessions.failure) != self._folder_failure:
            self._folder_failure = failure
            with suppress(OSError):
                if failure:
                    self._print.warning("waiting", text=failure)
                else:
                    self._print.info("watching", text=str(self._sessions.root))

    def _print_event(self, event: AlertEvent) -> None:
        """Write the line of an event. A stderr on a full disk ends no watcher."""
        with suppress(OSError):
            self._print_line(event)

    def _print_line(self, event: AlertEvent) -> None:
        match event:
            case AlertOpened():
                finding = event.finding
                about = f" {finding.about}" if finding.about else ""
                self._print.log(
                    LEVELS[finding.severity], "alert", number=event.number, rule=finding.rule, target=event.target,
                    about=finding.about, severity=finding.severity.value, reason=finding.text,
                    text=f"{event.number} {finding.rule}{about}: {event.target}: {finding.text}",
                )  # fmt: skip
            case AlertChanged() if event.finding.is_event:
                text = f"{event.number} {event.finding.rule}, {event.count} times: {event.finding.text}"
                self._print.info("alert again", number=event.number, count=event.count, text=text)
            case AlertResolved():
                self._print.info("alert ended", number=event.number, text=str(event.number))
            case AlertAcknowledged():
                text = f"{event.number} by {event.by}{f': {event.note}' if event.note else ''}"
                self._print.info("alert known", number=event.number, by=event.by, note=event.note, text=text)
            case MessageSent():
                text = f"{event.message} by {event.channel}{f': {event.note}' if event.note else ''}"
                self._print.info("message sent", channel=event.channel, message=event.message, text=text)
            case MessageFailed():
                text = f"{event.message} by {event.channel}: {event.reason}"
                text += "; its alerts wait for their next repeat" if event.gave_up else ""
                self._print.warning(
                    "message failed", channel=event.channel, message=event.message, reason=event.reason,
                    gave_up=event.gave_up, text=text,
                )  # fmt: skip
            case _:
                pass
