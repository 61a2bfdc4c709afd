"""Messages to people: their titles and texts, in plain characters and of bounded length. Channels give them a form."""

from collections.abc import Sequence
from datetime import UTC, datetime

from engine.live.logs import redact
from engine.mode_shares import span_text
from journal.printable import printable
from verbatim.alerts.alert_events import AlertMessage, MessagePart, Severity, Why
from verbatim.alerts.quiet_hours import SECOND_NS

PARTS_MAX = 20  # alerts of a message; the others have the next one
TEXT_MAX = 400  # characters of an alert's text
ABOUT_MAX = 80
TITLE_MAX = 160
RULES_NAMED = 4  # in a title


def one_line(text: str, limit: int = TEXT_MAX) -> str:
    r"""Return foreign text as one line of bounded length, without control characters and without keys.

    >>> one_line("a\nb\t\x1b[31m signature=abc")
    'a b \\u001b[31m signature=***'
    """
    return printable(str(redact(None, "", {"text": " ".join(text.split())})["text"]), limit)


def rule_text(rule: str) -> str:
    """Return a rule's name as words."""
    return rule.replace("_", " ")


def compose(
    number: int,
    now_ns: int,
    parts: Sequence[MessagePart],
    *,
    skipped: Sequence[str] = (),
    skipped_more: int = 0,
    waiting: int = 0,
    may_repeat: bool = False,
) -> AlertMessage:
    """Return a message about alerts.

    Args:
        number: Of the message.
        now_ns: The time.
        parts: The alerts, the most important one first.
        skipped: Alerts that ended before a message could name them, one line each.
        skipped_more: How many more there are.
        waiting: How many alerts the next message will have.
        may_repeat: An earlier attempt may have arrived.
    """
    open_parts = [part for part in parts if part.why is not Why.RESOLVED]
    severity = max((part.severity for part in open_parts), key=lambda each: each.rank, default=Severity.INFO)
    blocks = [_alert_text(part, now_ns, is_long=len(parts) == 1) for part in parts]
    if waiting:
        blocks.append(f"{waiting} more alerts follow.")
    if skipped:
        count = len(skipped) + skipped_more
        blocks.append(
            "\n".join(
                [f"Began and ended without a message, in quiet hours or above the rate limit ({count}):", *skipped]
            )
        )
    if may_repeat:
        blocks.append("This may repeat a message: the watcher ended while it sent the one before.")
    return AlertMessage(
        number, now_ns, severity, printable(_title(parts, open_parts, severity), TITLE_MAX), "\n\n".join(blocks),
        tuple(parts), may_repeat,
    )  # fmt: skip


def trial_message(now_ns: int, channel: str) -> AlertMessage:
    """Return the message of `verbatim alerts test`."""
    text = f"This is a trial of channel {channel}. No action is needed."
    return AlertMessage(0, now_ns, Severity.INFO, "[TEST] Verbatim alerts", text)


def heartbeat_message(now_ns: int, open_alerts: int) -> AlertMessage:
    """Return the message of a watcher that lives."""
    return AlertMessage(0, now_ns, Severity.INFO, "[HEARTBEAT] Verbatim alerts", f"Open alerts: {open_alerts}.")


def _title(parts: Sequence[MessagePart], open_parts: Sequence[MessagePart], severity: Severity) -> str:
    level = severity.upper() if open_parts else "RESOLVED" if parts else "SUMMARY"
    if not parts:
        return f"[{level}] Verbatim alerts"
    if len(parts) == 1:
        about = f" {parts[0].about}" if parts[0].about else ""
        return f"[{level}] {rule_text(parts[0].rule)}{about}: {parts[0].target}"
    rules = list(dict.fromkeys(rule_text(part.rule) for part in parts))
    more = ", ..." if len(rules) > RULES_NAMED else ""
    return f"[{level}] {len(parts)} alerts: {', '.join(rules[:RULES_NAMED])}{more}"


def _alert_text(part: MessagePart, now_ns: int, *, is_long: bool) -> str:
    about = f" {part.about}" if part.about else ""
    head = f"{part.severity.upper()} {rule_text(part.rule)}{about}: {part.target}"
    if part.why is Why.RESOLVED:
        head = f"RESOLVED {rule_text(part.rule)}{about}: {part.target}"
    lines = [head, *([part.text] if part.text else [])]
    since = datetime.fromtimestamp(part.opened_ns // SECOND_NS, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if part.why is Why.RESOLVED:
        lines.append(f"Alert {part.number} lasted {span_text(part.ended_ns - part.opened_ns)}, from {since}.")
    else:
        count = f", {part.count} times" if part.count > 1 else ""
        lasts = f", for {span_text(now_ns - part.opened_ns)}" if part.why in (Why.STILL, Why.WORSE) else ""
        lines.append(f"Alert {part.number} since {since}{lasts}{count}.")
        if is_long and not part.is_event:
            lines.append(f"To stop its repeats: verbatim alerts ack {part.number}")
    return "\n".join(lines)
