"""The story of an order (analysis/why.py) as lines for people and as JSON values for scripts."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from analysis.why import Story, StoryLink
from journal.printable import join_lines
from journal.record import Kind, plain
from replay.moments import utc_time
from replay.record_text import duration_text, payload_text, time_text

EXCERPT_MAX = 300  # characters of a frame; the JSON values have it whole
_INDENT = " " * 45


class StoryLine(NamedTuple):
    """A line with the parts that a terminal may colour: `text` after `kind`, which comes after `lead`."""

    lead: str = ""
    kind: str = ""  # of a record, or "headline", "session", "payload"
    text: str = ""

    def __str__(self) -> str:
        return f"{self.lead}{self.kind:<8}{self.text}" if self.lead else self.text


def story_lines(story: Story) -> Iterator[StoryLine]:
    """Yield the lines of a story, the latest record first."""
    for text in _headline(story):
        yield StoryLine(kind="headline", text=text)
    session = ""
    for link in story.chain:
        if link.session != session:
            session = link.session
            date = f"{utc_time(link.record.time_ns):%Y-%m-%d}"
            yield StoryLine()
            yield StoryLine(kind="session", text=f"session {session}, {date} UTC, latest first")
        yield from _link_lines(link)
    if story.missing:
        yield StoryLine()
        yield StoryLine(text=story.missing)


def _link_lines(link: StoryLink) -> Iterator[StoryLine]:
    record = link.record
    if record.cause is None or record.kind in (Kind.LINK, Kind.SESSION):
        delta = ""
    elif record.payload is not None and record.meta is None:
        delta = f"over link {record.cause}"  # the age of the link does not matter for this frame
    elif link.delta_ns is None:
        delta = f"after {record.cause}"
    else:
        delta = f"{'at once' if link.delta_ns == 0 else '+' + duration_text(link.delta_ns)} after {record.cause}"
    lead = f"{time_text(record.time_ns)}  {record.seq:>8}  "
    yield StoryLine(lead, record.kind, f"  {delta:<26}  {link.what}".rstrip())
    if link.sent_ns is not None:
        sent = f"sent {duration_text(link.sent_ns - record.time_ns)} later, at {time_text(link.sent_ns)}"
        ended = "answered" if link.outcome == "answer" else f"ended as {link.outcome}"
        latency = duration_text(link.latency_ns or 0)
        yield StoryLine(text=f"{_INDENT}{sent}; {ended} {latency} after that by record {link.answered_by}")
    elif link.answered_by is None and record.kind is Kind.REQUEST and record.key:
        yield StoryLine(text=f"{_INDENT}no answer is in this session")
    if record.payload:
        text = join_lines(payload_text(record))
        more = f"… ({len(record.payload)} bytes)" if len(text) > EXCERPT_MAX else ""
        yield StoryLine(kind="payload", text=f"{_INDENT}{text[:EXCERPT_MAX]}{more}")


def _headline(story: Story) -> tuple[str, ...]:
    order = story.order
    if order is None:
        return (f"{story.client_order_id}: never left us",)
    at = "at market" if order["price"] is None else f"at {plain(order['price'])}"
    if order["venue_type"]:
        stop = f", stop price {plain(order['stop_price'])}" if order["stop_price"] else ""
        at += f" ({order['venue_type']}{stop})"
    filled = (
        f", filled {plain(order['filled_quantity'])} at {plain(round(order['price_avg'], 8))}"
        if order["filled_quantity"]
        else ""
    )
    venue = f" (the venue's order {order['venue_order_id']})" if order["venue_order_id"] else ""
    terms = f"{order['side']} {plain(order['quantity'])} {order['instrument']} {at}"
    status = order["status"].replace("_", " ")
    return f"{story.client_order_id}{venue}", f"{order['strategy']}: {terms}: {status}{filled}"


def story_json(story: Story) -> dict[str, Any]:
    """Return the whole story as JSON values."""
    order = None
    if story.order is not None:
        order = {
            name: plain(value) if hasattr(value, "is_finite") else value
            for name, value in story.order.items()
            if not isinstance(value, datetime)
        }
    return {
        "order": order,
        "client_order_id": story.client_order_id,
        "sessions": list(story.sessions),
        "missing": story.missing,
        "chain": [_link_json(link) for link in story.chain],
    }


def _link_json(link: StoryLink) -> dict[str, Any]:
    record = link.record
    return {
        "session": link.session,
        "seq": record.seq,
        "time_ns": record.time_ns,
        "kind": record.kind.value,
        "source": record.source,
        "cause": record.cause,
        "delta_ns": link.delta_ns,
        "what": link.what,
        "sent_ns": link.sent_ns,
        "answered_by": link.answered_by,
        "latency_ns": link.latency_ns,
        "outcome": link.outcome,
        "body": None if record.body is None else json.loads(record.body),
        "payload": None if record.payload is None else payload_text(record),
        "meta": None if record.meta is None else json.loads(record.meta),
    }
