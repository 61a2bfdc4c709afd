"""The state of the watcher, as a fold of the events of its log. It decides nothing and reads no clock."""

import msgspec

from verbatim.alerts.alert_events import (
    AlertAcknowledged,
    AlertChanged,
    AlertClosed,
    AlertEvent,
    AlertOpened,
    AlertResolved,
    DayFigures,
    Finding,
    MessageFailed,
    MessagePart,
    MessageSending,
    MessageSent,
    Severity,
    TrialEnded,
    WatchBegan,
    Why,
)

SESSIONS_MAX = 100  # whose last reported event is remembered
SKIPPED_MAX = 20  # alerts without a message that the summary of a channel names
SENT_MAX = 1000  # times of messages that a channel's rate limit counts


class Delivery(msgspec.Struct, frozen=True):
    """The last message about an alert on one channel."""

    at_ns: int
    why: Why
    severity: Severity
    count: int


class Alert(msgspec.Struct):
    """An alert that is open, or that ended and must still be reported."""

    number: int
    target: str
    finding: Finding
    opened_ns: int
    last_ns: int  # of the newest occurrence of an event
    count: int = 1
    ended_ns: int = 0  # 0: open
    acknowledged_by: str = ""
    is_acknowledged: bool = False
    deliveries: dict[str, Delivery] = {}  # by channel

    @property
    def key(self) -> tuple[str, str, str]:
        """Target, rule and object: an open alert has no twin."""
        return self.target, self.finding.rule, self.finding.about

    def as_part(self, why: Why) -> MessagePart:
        """Return the alert as a message reports it."""
        finding = self.finding
        return MessagePart(
            self.number, why, finding.rule, self.target, finding.about, finding.severity, finding.text,
            self.opened_ns, self.ended_ns, self.count, finding.is_event,
        )  # fmt: skip


class ChannelState(msgspec.Struct):
    """A channel: its messages of late, its failures, and alerts without a message."""

    sent_ns: list[int] = []
    failures: int = 0  # in a row
    reason: str = ""  # of the last failure
    next_ns: int = 0  # no attempt is earlier
    sending: MessageSending | None = None
    may_repeat: bool = False
    skipped: list[str] = []  # alerts that ended before a message could name them
    skipped_more: int = 0


class AlertState(msgspec.Struct):
    """Everything that the watcher knows beyond its present observations."""

    now_ns: int = 0
    alert_number: int = 0  # of the newest alert
    message_number: int = 0
    alerts: dict[int, Alert] = {}
    channels: dict[str, ChannelState] = {}
    seen: dict[str, int] = {}  # by session: seq of the last event that was reported
    targets: dict[str, str] = {}  # by target: its newest session
    days: dict[str, DayFigures] = {}

    def channel(self, name: str) -> ChannelState:
        """Return a channel's state."""
        return self.channels.setdefault(name, ChannelState())

    def fold(self, event: AlertEvent) -> None:
        """Fold one event."""
        self.now_ns = max(self.now_ns, event.at_ns)
        match event:
            case WatchBegan():
                self.targets[event.target] = event.session
                self._see(event.session, event.seq)
            case AlertOpened():
                self.alert_number = max(self.alert_number, event.number)
                self.alerts[event.number] = Alert(
                    event.number, event.target, event.finding, event.at_ns, event.at_ns, count=event.count
                )
                self._see(event.session, event.finding.seq)
            case AlertChanged() | AlertResolved() | AlertAcknowledged() | AlertClosed():
                alert = self.alerts.get(event.number)
                if alert is not None:
                    self._fold_alert(alert, event)
            case MessageSending() | MessageSent() | MessageFailed():
                self._fold_message(self.channel(event.channel), event)
            case DayFigures():
                self.days[event.target] = event
            case TrialEnded():
                pass

    def _fold_alert(self, alert: Alert, event: AlertChanged | AlertResolved | AlertAcknowledged | AlertClosed) -> None:
        match event:
            case AlertChanged():
                if event.finding.severity.rank > alert.finding.severity.rank:
                    alert.is_acknowledged = False  # it is another matter now
                alert.finding, alert.count, alert.last_ns = event.finding, event.count, event.at_ns
                self._see(event.session, event.finding.seq)
            case AlertResolved():
                alert.ended_ns = event.at_ns
            case AlertAcknowledged():
                alert.is_acknowledged, alert.acknowledged_by = True, event.by
            case AlertClosed():
                del self.alerts[alert.number]
                for name in event.skipped:
                    channel = self.channel(name)
                    if len(channel.skipped) < SKIPPED_MAX:
                        channel.skipped.append(f"{alert.finding.rule}: {alert.target}: {alert.finding.text}")
                    else:
                        channel.skipped_more += 1

    def _fold_message(self, channel: ChannelState, event: MessageSending | MessageSent | MessageFailed) -> None:
        if isinstance(event, MessageSending):
            channel.sending = event
            self.message_number = max(self.message_number, event.message.number)
            return
        sending, channel.sending = channel.sending, None
        if sending is None or sending.message.number != event.message:
            return
        if isinstance(event, MessageFailed):
            channel.failures += 1
            channel.reason, channel.next_ns = event.reason, event.next_ns
            channel.may_repeat = channel.may_repeat or event.is_unknown
            if not event.gave_up:
                return
        else:
            channel.failures, channel.reason, channel.next_ns = 0, "", 0
            channel.sent_ns = [*channel.sent_ns[1 - SENT_MAX :], event.at_ns]
        channel.may_repeat = False
        channel.skipped = channel.skipped[sending.skipped :]
        channel.skipped_more -= sending.skipped_more
        for part in sending.message.parts:
            if (alert := self.alerts.get(part.number)) is not None:
                delivery = Delivery(event.at_ns, part.why, part.severity, part.count)
                alert.deliveries = {**alert.deliveries, event.channel: delivery}

    def _see(self, session: str, seq: int) -> None:
        """Note the last event of a session that was reported."""
        if not session:
            return
        self.seen[session] = max(self.seen.pop(session, -1), seq)
        while len(self.seen) > SESSIONS_MAX:
            del self.seen[next(iter(self.seen))]
