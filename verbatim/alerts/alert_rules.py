"""The rules of alerts: each is one function of an observation and its options. docs/alerts.md has the table.

A new rule: its options, its function, and its line in RULES. Functions read no clock and no file.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from engine.mode_reasons import Mode
from journal.record import plain
from verbatim.alerts.alert_events import Finding
from verbatim.alerts.alert_messages import one_line
from verbatim.alerts.alert_options import (
    ClockOptions,
    CriticalOptions,
    DiskOptions,
    EquityDriftOptions,
    EquityLowOptions,
    FillOptions,
    InfoOptions,
    JournalSilentOptions,
    LateOptions,
    LinkDownOptions,
    LossOptions,
    MinuteOptions,
    NoSessionOptions,
    ReconnectOptions,
    RejectionOptions,
    RuleOptions,
    SlowOrderOptions,
    StreamSilentOptions,
)
from verbatim.alerts.observation import SENT_ORDERS, SLOW_ORDERS, SLOW_S, Observation

MIB = 1 << 20


class Hit(NamedTuple):
    """A condition that holds, or an event."""

    text: str
    about: str = ""
    seq: int = -1  # of the record of an event


# ---- the process and its journal -------------------------------------------------------------------


def process_gone(seen: Observation, _options: CriticalOptions) -> Iterator[Hit]:
    """Report a session whose process ended without closing it."""
    if not seen.is_up and not seen.is_closed:
        yield Hit(
            f"the trader's process ended without closing session {seen.session}. Orders may be open at the venue. "
            "Check them; start the trader again, or run: verbatim kill",
            about=seen.session,  # the death of the next session is news, though this one was acknowledged
        )


def journal_silent(seen: Observation, options: JournalSilentOptions) -> Iterator[Hit]:
    """Report a process that lives and writes no record."""
    idle_s = seen.values.get("reader_idle_seconds")
    if seen.is_up and not seen.failure and idle_s > options.silent_s:
        yield Hit(f"the trader lives, but has written no record for {idle_s:.0f} s")


def journal_unreadable(seen: Observation, _options: CriticalOptions) -> Iterator[Hit]:
    """Report a journal that cannot be read, so the other rules see no news."""
    if seen.failure:
        yield Hit(f"the journal of session {seen.session} cannot be read: {one_line(seen.failure)}")


def no_session(seen: Observation, _options: NoSessionOptions) -> Iterator[Hit]:
    """Report an account without a running session, for traders that should always run."""
    if not seen.is_up:
        yield Hit(f"no session runs; the last one was {seen.session}")


def session_began(seen: Observation, _options: InfoOptions) -> Iterator[Hit]:
    """Report a session that began while the watcher ran."""
    yield Hit(f"session {seen.session} began", about=seen.session, seq=0)


def session_ended(seen: Observation, _options: InfoOptions) -> Iterator[Hit]:
    """Report a session that was closed in order."""
    if seen.is_closed:
        yield Hit(f"session {seen.session} was closed in order", about=seen.session, seq=seen.last_seq + 1)


# ---- mode and safety -------------------------------------------------------------------------------


def halted(seen: Observation, _options: CriticalOptions) -> Iterator[Hit]:
    """Find a halt of trading."""
    if seen.mode is Mode.HALTED:
        yield Hit(f"trading is halted, and a person must check and resume: {_reasons(seen)}")


def not_running(seen: Observation, _options: MinuteOptions) -> Iterator[Hit]:
    """Report a mode that sends no new orders."""
    if seen.is_up and seen.mode not in (Mode.RUNNING, Mode.HALTED):
        yield Hit(f"no new orders are sent, the mode is {seen.mode.value}: {_reasons(seen)}")


def breaker_open(seen: Observation, _options: RuleOptions) -> Iterator[Hit]:
    """Report pauses of instruments and strategies."""
    for (scope, subject), is_open in seen.values.series("breaker_open").items():
        if is_open and seen.is_up:
            yield Hit(f"a breaker pauses the {scope} {subject}", about=f"{scope} {subject}")


def instrument_blocked(seen: Observation, _options: MinuteOptions) -> Iterator[Hit]:
    """Report instruments that get no new orders."""
    codes: dict[str, list[str]] = {}
    for (instrument, code), is_blocked in seen.values.series("instrument_blocked").items():
        if is_blocked and seen.is_up:
            codes.setdefault(instrument, []).append(code.replace("_", " "))
    for instrument, reasons in codes.items():
        yield Hit(f"{instrument} gets no new orders: {', '.join(sorted(reasons))}", about=instrument)


def report_events(rule: str) -> Callable[[Observation, RuleOptions], Iterator[Hit]]:
    """Return the function of a rule that reports each event of its name."""

    def find(seen: Observation, _options: RuleOptions) -> Iterator[Hit]:
        for event in seen.events_of(rule):
            yield Hit(event.text, event.about, event.seq)

    return find


# ---- money -----------------------------------------------------------------------------------------


def loss(seen: Observation, options: LossOptions) -> Iterator[Hit]:
    """Report the loss of the day and its drawdown."""
    if seen.day is None:
        return
    for name, amount, limit in (
        ("loss", seen.day.loss, options.loss_max),
        ("drawdown", seen.day.drawdown, options.drawdown_max),
    ):
        if limit and amount >= limit:
            text = f"the {name} of the day is {plain(round(amount, 2))} {seen.day.currency}, the limit {plain(limit)}"
            yield Hit(text, about=name)


def equity_low(seen: Observation, options: EquityLowOptions) -> Iterator[Hit]:
    """Report an equity below a bound."""
    for (currency,), equity in seen.values.series("equity").items():
        if options.equity_min and equity < options.equity_min:
            yield Hit(f"the account's equity is {equity:.2f} {currency}", about=currency)


def equity_drift(seen: Observation, options: EquityDriftOptions) -> Iterator[Hit]:
    """Report an equity by the venue that differs from ours."""
    for (currency,), drift in seen.values.series("books_equity_drift").items():
        limit = float(options.drift_max) or seen.values.get("books_equity_drift_limit", currency)
        if limit and abs(drift) > limit:
            text = f"the venue's equity is {drift:+.8g} {currency} off ours, the limit is {limit:.8g}"
            yield Hit(text, about=currency)


def balance_drift(seen: Observation, _options: CriticalOptions) -> Iterator[Hit]:
    """Report balances that contradict our records."""
    for (asset,), drift in seen.values.series("balance_drift").items():
        if drift:
            yield Hit(f"the venue's balance is {drift:+.8g} {asset} off our records", about=asset)


def positions_differ(seen: Observation, _options: CriticalOptions) -> Iterator[Hit]:
    """Report positions that are not the sums of their fills."""
    if count := seen.values.get("books_wrong_positions"):
        yield Hit(f"positions that are not the sum of their fills: {count:.0f}")


# ---- orders ----------------------------------------------------------------------------------------


def unknown_orders(seen: Observation, _options: MinuteOptions) -> Iterator[Hit]:
    """Report orders without an answer that proves anything."""
    if count := seen.values.get("unknown_orders"):  # also after the end of the trader, which could query the venue
        yield Hit(f"orders whose outcome is unknown: {count:.0f}")


def rejections(seen: Observation, options: RejectionOptions) -> Iterator[Hit]:
    """Report a high share of orders that the venue rejected."""
    window_s = float(options.window_s)
    rejected = seen.increase("orders_rejected_total", window_s)
    sent = seen.increase("orders_submitted_total", window_s)
    if seen.is_up and rejected > options.rejected_max and rejected > float(options.share_max) * sent:
        yield Hit(f"the venue rejected {rejected:.0f} of {sent:.0f} orders within {window_s / 60:.0f} min")


def slow_orders(seen: Observation, options: SlowOrderOptions) -> Iterator[Hit]:
    """Report orders that left long after their decision."""
    window_s = float(options.window_s)
    sent, slow = seen.increase(SENT_ORDERS, window_s), seen.increase(SLOW_ORDERS, window_s)
    if seen.is_up and sent >= options.orders_min and slow > float(options.share_max) * sent:
        yield Hit(f"{slow:.0f} of {sent:.0f} orders left more than {SLOW_S} s after their decision")


# ---- streams and the machine -----------------------------------------------------------------------


def stream_silent(seen: Observation, options: StreamSilentOptions) -> Iterator[Hit]:
    """Report market streams without a message."""
    for (stream,), silence_s in seen.values.series("stream_silence_seconds").items():
        if seen.is_up and ".market." in stream and silence_s > options.silent_s:
            yield Hit(f"{stream} has had no message for {silence_s:.0f} s", about=stream)


def link_down(seen: Observation, _options: LinkDownOptions) -> Iterator[Hit]:
    """Report websockets that are not open."""
    for (link,), is_open in seen.values.series("link_up").items():
        if seen.is_up and not is_open:
            yield Hit(f"the connection {link} is down", about=link)


def reconnects(seen: Observation, options: ReconnectOptions) -> Iterator[Hit]:
    """Report connections that are lost again and again."""
    count = seen.increase("link_reconnects_total", float(options.window_s))
    if seen.is_up and count > options.reconnects_max:
        yield Hit(f"{count:.0f} reconnects within {options.window_s / 60:.0f} min")


def engine_late(seen: Observation, _options: LateOptions) -> Iterator[Hit]:
    """Report an engine that cannot keep up."""
    if seen.is_up and seen.values.get("engine_late"):
        yield Hit("the engine processes messages that arrived too long ago")


def disk(seen: Observation, options: DiskOptions) -> Iterator[Hit]:
    """Report little space on the journal's disk."""
    free = seen.values.series("disk_free_bytes").get(())
    if free is not None and free < options.free_mib_min * MIB:
        yield Hit(f"the journal's disk has {free / MIB:,.0f} MiB left")


def clock_offset(seen: Observation, options: ClockOptions) -> Iterator[Hit]:
    """Report a venue's clock that differs from ours."""
    for (venue,), offset_s in seen.values.series("clock_offset_seconds").items():
        if seen.is_up and abs(offset_s) > options.offset_max_s:
            yield Hit(f"the clock of {venue} is {offset_s:+.1f} s off ours", about=venue)


def _reasons(seen: Observation) -> str:
    return one_line("; ".join(seen.reasons)) or "no reason is recorded"


class AlertRule(NamedTuple):
    """One rule."""

    find: Callable[[Observation, Any], Iterator[Hit]]
    options: type[RuleOptions]
    help: str
    ends_together: bool = False  # the alerts of one account end once the rule finds nothing there


RULES: dict[str, AlertRule] = {
    "process_gone": AlertRule(
        process_gone,
        CriticalOptions,
        "The trader's process ended without closing its session. Lasts until one runs or ended in order.",
        ends_together=True,  # an earlier death is not over while the newest session is dead too
    ),
    "journal_silent": AlertRule(journal_silent, JournalSilentOptions, "The trader lives and writes no record."),
    "journal_unreadable": AlertRule(journal_unreadable, CriticalOptions, "The journal is damaged or unreadable."),
    "halted": AlertRule(halted, CriticalOptions, "Trading is halted, with the reasons."),
    "not_running": AlertRule(not_running, MinuteOptions, "The mode is another one than running, with the reasons."),
    "alarm": AlertRule(report_events("alarm"), RuleOptions, "The engine recorded an alarm (a NOTE of that level)."),
    "strategy_stopped": AlertRule(
        report_events("strategy_stopped"), CriticalOptions, "A strategy failed or took too long, and was stopped."
    ),
    "safety_order": AlertRule(report_events("safety_order"), RuleOptions, "Orders are cancelled or positions closed."),
    "loss_limit": AlertRule(report_events("loss_limit"), CriticalOptions, "A loss reached a limit of `[risk]`."),
    "breaker_open": AlertRule(breaker_open, RuleOptions, "A breaker pauses an instrument or a strategy."),
    "instrument_blocked": AlertRule(instrument_blocked, MinuteOptions, "An instrument gets no new orders."),
    "loss": AlertRule(loss, LossOptions, "The loss or the drawdown of the day reached an amount."),
    "equity_low": AlertRule(equity_low, EquityLowOptions, "The equity is below an amount."),
    "equity_drift": AlertRule(equity_drift, EquityDriftOptions, "The venue's equity differs from ours."),
    "balance_drift": AlertRule(balance_drift, CriticalOptions, "A balance of the venue contradicts our records."),
    "positions_differ": AlertRule(positions_differ, CriticalOptions, "A position is not the sum of its fills."),
    "unknown_orders": AlertRule(unknown_orders, MinuteOptions, "Orders have no answer that proves anything."),
    "rejections": AlertRule(rejections, RejectionOptions, "The venue rejected a large share of the orders."),
    "slow_orders": AlertRule(slow_orders, SlowOrderOptions, "Orders left later than 0.25 s after their decision."),
    "stream_silent": AlertRule(stream_silent, StreamSilentOptions, "A market stream has had no message."),
    "link_down": AlertRule(link_down, LinkDownOptions, "A connection is down."),
    "reconnects": AlertRule(reconnects, ReconnectOptions, "Connections were lost again and again."),
    "engine_late": AlertRule(engine_late, LateOptions, "The engine cannot keep up."),
    "clock_offset": AlertRule(clock_offset, ClockOptions, "The venue's clock differs from ours."),
    "disk": AlertRule(disk, DiskOptions, "The journal's disk has little space."),
    "no_session": AlertRule(
        no_session, NoSessionOptions, "No session runs, however the last one ended. Off by default."
    ),
    "session_began": AlertRule(session_began, InfoOptions, "A session began."),
    "session_ended": AlertRule(session_ended, InfoOptions, "A session was closed in order."),
    "fill": AlertRule(report_events("fill"), FillOptions, "An order was filled. Off by default."),
}


def evaluate(seen: Observation, options: dict[str, RuleOptions]) -> list[Finding]:
    """Return everything that the enabled rules find. A rule that fails is a finding, and stops no other one."""
    findings: list[Finding] = []
    for name, rule in RULES.items():
        severity, hits = options[name].severity, [Hit("this rule failed, so it sees nothing: a fault of Verbatim")]
        if not options[name].enabled:
            continue
        with suppress(Exception):
            hits = list(rule.find(seen, options[name]))
        findings += [Finding(name, hit.about, severity, hit.text, hit.seq) for hit in hits]
    return findings


def rules_table() -> str:
    """Return the reference of all rules in Markdown, as docs/alerts.md has it."""
    lines = ["| rule | reports | severity | options and defaults |", "|---|---|---|---|"]
    for name, rule in RULES.items():
        options = rule.options()
        own = {key: getattr(options, key) for key in rule.options.model_fields if key not in RuleOptions.model_fields}
        if options.for_s:
            own = {"for_s": options.for_s, **own}
        if options.repeat_s is not None:
            own = {"repeat_s": options.repeat_s, **own}
        if not options.enabled:
            own = {"enabled": "false", **own}
        shown = ", ".join(f"`{key}` {value}" for key, value in own.items())
        lines.append(f"| `{name}` | {rule.help} | {options.severity.value} | {shown} |")
    return "\n".join(lines)
