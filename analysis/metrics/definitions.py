"""The metrics of a session: name, kind, labels and help text, in one table. docs/metrics.md is made from it.

Names and units follow Prometheus' conventions: base units, `_total` for counters, a timestamp instead of an age where
the age can be computed by a query.
"""

from enum import StrEnum
from typing import NamedTuple

from engine.meter_line import BOUNDS_NS

PREFIX = "verbatim_"


class MetricKind(StrEnum):
    """Kinds of metrics."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Definition(NamedTuple):
    """One metric, without its prefix."""

    name: str
    kind: MetricKind
    labels: tuple[str, ...]
    help: str


COUNTER, GAUGE, HISTOGRAM = MetricKind.COUNTER, MetricKind.GAUGE, MetricKind.HISTOGRAM
OWNED = ("strategy", "instrument")
BUCKETS_S = tuple(bound_ns / 1e9 for bound_ns in BOUNDS_NS)  # upper bounds of the histograms, in seconds

GROUPS: dict[str, tuple[Definition, ...]] = {
    "Session": (
        Definition("session_info", GAUGE, ("session", "account", "engine"), "1; the labels name the session."),
        Definition("session_up", GAUGE, (), "1 while a process writes the session, else 0."),
        Definition("session_ended", GAUGE, ("how",), "1 if the session ended: closed in order, or stopped without."),
        Definition("session_start_timestamp_seconds", GAUGE, (), "Session time of the first record."),
        Definition("last_record_timestamp_seconds", GAUGE, (), "Session time of the newest record that was read."),
        Definition("records_total", COUNTER, ("kind",), "Records by kind."),
        Definition("unreadable_records_total", COUNTER, (), "Records that this version cannot decode."),
        Definition("reader_idle_seconds", GAUGE, (), "Wall time since this reader last found a new record."),
        Definition("reader_failed", GAUGE, (), "1 if the journal cannot be read: figures are those before the damage."),
        Definition("journal_bytes", GAUGE, (), "Size of the session's files."),
        Definition("disk_free_bytes", GAUGE, (), "Free space of the file system that holds the session."),
    ),
    "Mode and safety": (
        Definition("mode", GAUGE, ("mode",), "1 for the engine's mode, 0 for the others."),
        Definition("mode_seconds_total", COUNTER, ("mode",), "Session time in each mode."),
        Definition("mode_reason", GAUGE, ("code",), "1 for each reason against the mode running."),
        Definition("halts_total", COUNTER, ("code",), "Changes to the mode halted, by the code of the first reason."),
        Definition("breakers_tripped_total", COUNTER, ("scope", "subject"), "Pauses of instruments and strategies."),
        Definition("breaker_open", GAUGE, ("scope", "subject"), "1 while a breaker pauses the subject."),
        Definition("instrument_blocked", GAUGE, ("instrument", "code"), "1 while new orders are blocked for a reason."),
        Definition("strategies_stopped_total", COUNTER, ("strategy",), "Strategies that failed or took too long."),
        Definition("safety_orders_total", COUNTER, ("kind", "cause"), "Safety orders: cancel all, or flatten."),
        Definition("loss_limits_reached_total", COUNTER, ("limit",), "Losses of the day that reached a limit."),
        Definition("notes_total", COUNTER, ("level",), "Messages to people, by level. An alarm needs a person."),
    ),
    "Orders": (
        Definition("intents_total", COUNTER, ("strategy", "kind"), "Intents of strategies."),
        Definition("intents_refused_total", COUNTER, (*OWNED, "rule"), "Intents that risk refused, by the first rule."),
        Definition("orders_submitted_total", COUNTER, OWNED, "Orders in requests to the venue."),
        Definition("orders_accepted_total", COUNTER, OWNED, "Orders that the venue accepted or filled."),
        Definition(
            "orders_rejected_total", COUNTER, (*OWNED, "reason"), "Orders that the venue rejected, by class of reason."
        ),
        Definition("orders_not_placed_total", COUNTER, OWNED, "Orders that were proved never to reach the venue."),
        Definition("orders_became_unknown_total", COUNTER, OWNED, "Orders without an answer that proves anything."),
        Definition("unanswered_orders", GAUGE, (), "Orders whose outcome is open, unknown ones included."),
        Definition("unknown_orders", GAUGE, (), "Orders that are unknown now: the venue is queried."),
        Definition("submit_success_ratio", GAUGE, (), "Accepted orders, as a share of those with an outcome."),
        Definition("submit_rejection_ratio", GAUGE, (), "Rejected orders, as a share of those with an outcome."),
        Definition("fills_total", COUNTER, (*OWNED, "liquidity"), "Fills of orders, as maker or as taker."),
        Definition("fills_per_hour", GAUGE, (), "Fills divided by the hours of session time."),
        Definition(
            "request_send_seconds",
            HISTOGRAM,
            ("purpose",),
            "Decision to wire: from the input that led to a request until its sending began.",
        ),
        Definition(
            "request_answer_seconds",
            HISTOGRAM,
            ("purpose",),
            "From the beginning of sending until the step that processes the answer.",
        ),
    ),
    "Profit and books": (
        Definition("position", GAUGE, OWNED, "Position of a strategy, in units of the instrument."),
        Definition("pnl", GAUGE, ("currency", "part"), "P&L of all strategies, as last recorded: fees are negative."),
        Definition("equity", GAUGE, ("currency",), "Equity of the account, as last recorded."),
        Definition("books_equity", GAUGE, ("currency", "source"), "Equity when books were last compared: own, venue."),
        Definition("books_equity_drift", GAUGE, ("currency",), "Equity by the venue less equity by our records."),
        Definition("books_equity_drift_limit", GAUGE, ("currency",), "risk.equity_drift_max; 0: no limit."),
        Definition("books_wrong_positions", GAUGE, (), "Positions that differed from their fills."),
        Definition("books_compared_total", COUNTER, ("result",), "Comparisons: agrees, differs, unsettled."),
        Definition("books_compared_timestamp_seconds", GAUGE, (), "Session time of the last comparison of equity."),
        Definition("balance_drift", GAUGE, ("asset",), "Balance by the venue less ours; 0 once they agree again."),
        Definition("reconciliations_total", COUNTER, ("result",), "Reconciliation rounds: done, failed."),
    ),
    "Streams and links": (
        Definition("link_up", GAUGE, ("link",), "1 while the websocket is open."),
        Definition("link_reconnects_total", COUNTER, ("link",), "Openings of the websocket after its first."),
        Definition("link_downs_total", COUNTER, ("link",), "Losses of the websocket."),
        Definition("stream_messages_total", COUNTER, ("stream",), "Messages of the websocket."),
        Definition("stream_last_message_timestamp_seconds", GAUGE, ("stream",), "Session time of the last message."),
        Definition(
            "stream_silence_seconds", GAUGE, ("stream",), "Session time from the last message to the newest record."
        ),
        Definition(
            "instrument_stream_last_message_timestamp_seconds",
            GAUGE,
            ("instrument", "stream"),
            "Session time of the last message of one stream of an instrument: quote, trade, book, mark.",
        ),
        Definition(
            "instrument_stream_silence_seconds",
            GAUGE,
            ("instrument", "stream"),
            "Session time from that message to the newest record.",
        ),
        Definition("market_gaps_total", COUNTER, ("link",), "Times when market data may have been missed."),
        Definition("venue_blocks_total", COUNTER, ("venue", "kind"), "Waits imposed by a venue: rate, orders, access."),
        Definition("clock_offset_seconds", GAUGE, ("venue",), "Clock of the venue less session time, last measured."),
        Definition("engine_late", GAUGE, (), "1 while the engine processes messages that arrived too long ago."),
        Definition("engine_late_total", COUNTER, (), "Times when the engine fell behind."),
        Definition("decision_overruns_total", COUNTER, ("strategy",), "Decisions that exceeded their time budget."),
    ),
    "Process of the trader": (
        Definition("meter_timestamp_seconds", GAUGE, (), "Wall clock of the meter's newest line."),
        Definition(
            "queued_messages", GAUGE, (), "Messages in the queue; without a meter, when lateness was last reported."
        ),
        Definition("queued_messages_peak", GAUGE, (), "Most messages in the queue since the line before."),
        Definition("lag_seconds", GAUGE, (), "From the socket read of the last message to the end of its step."),
        Definition("lag_peak_seconds", GAUGE, (), "Longest lag since the line before."),
        Definition("unsynced_records", GAUGE, (), "Records that are not on stable storage."),
        Definition(
            "unwritten_bytes", GAUGE, (), "Records that wait in memory for the disk; the session ends at 64 MiB."
        ),
        Definition("sync_seconds", HISTOGRAM, (), "Times of the journal's syncs to stable storage."),
        Definition(
            "request_wire_seconds",
            HISTOGRAM,
            ("purpose", "transport"),
            "Decision to wire of every request that changes the venue, also over the websocket.",
        ),
        Definition("log_queued_batches", GAUGE, (), "Batches of outputs that wait for their log lines."),
        Definition("log_dropped_batches_total", COUNTER, (), "Batches of outputs that never got log lines."),
        Definition("trader_resident_memory_bytes", GAUGE, (), "Memory of the trader's process."),
        Definition("trader_cpu_seconds_total", COUNTER, (), "Processor time of the trader's process, all threads."),
    ),
}
DEFINITIONS: dict[str, Definition] = {definition.name: definition for group in GROUPS.values() for definition in group}


def metrics_table() -> str:
    """Return the reference of all metrics in Markdown, as docs/metrics.md has it."""
    parts = []
    for title, group in GROUPS.items():
        lines = [f"### {title}", "", "| metric | kind | labels | meaning |", "|---|---|---|---|"]
        for each in group:
            labels = ", ".join(f"`{label}`" for label in each.labels)
            lines.append(f"| `{PREFIX}{each.name}` | {each.kind} | {labels} | {each.help} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
