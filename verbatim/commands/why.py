"""`verbatim why`: print the chain of records behind an order, by analysis/why.py."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verbatim.exit_codes import DIFFERS, stop
from verbatim.options import journals_option
from verbatim.session_lookup import find_to_read
from verbatim.terminal import echo, secho

if TYPE_CHECKING:
    from analysis.why import Story, StoryLink

EXCERPT_MAX = 300  # characters of a frame; --json has it whole


@click.command("why")
@click.argument("session")
@click.argument("order", required=False)
@journals_option
@click.option("--json", "as_json", is_flag=True, help="The whole chain as one JSON object.")
def command(*, session: str, order: str | None, journals: Path, as_json: bool) -> None:
    """Show every record that led to the state of ORDER, the latest first, down to the market message.

    ORDER is the client's or the venue's order id; without it, the order that was filled last. SESSION is a path or an
    id. An order that began in an earlier session is followed there.
    """
    from analysis.sql_session import QueryError, connect, query_rows
    from analysis.why import UnknownOrderError, order_story, story_json
    from journal.errors import DamagedJournalError, JournalError

    try:
        folder = find_to_read(journals, session)
        if order is None:
            filled = query_rows(connect(folder), "SELECT client_order_id FROM fills ORDER BY seq DESC LIMIT 1")
            if not filled:
                raise UnknownOrderError(f"{folder} has no fill. What to do: name an order of its view `orders`.")
            order = str(filled[0][0])
        story = order_story(folder, order)
    except DamagedJournalError as error:
        stop(str(error), DIFFERS)
    except (JournalError, QueryError, UnknownOrderError) as error:
        stop(str(error))
    if as_json:
        echo(json.dumps(story_json(story), ensure_ascii=False))
    else:
        _print_story(story)


def _print_story(story: "Story") -> None:
    secho(_headline(story), bold=True)
    session = ""
    for link in story.chain:
        if link.session != session:
            session = link.session
            secho(f"\nsession {session}, {_date(link.record.time_ns)} UTC, latest first", dim=True)
        _print_link(link)
    if story.missing:
        echo(f"\n{story.missing}")


def _print_link(link: "StoryLink") -> None:
    from replay.record_text import duration_text, payload_text

    record = link.record
    if record.cause is None or record.kind in ("LINK", "SESSION"):
        delta = ""
    elif record.payload is not None and record.meta is None:
        delta = f"over link {record.cause}"  # the age of the link does not matter for this frame
    elif link.delta_ns is None:
        delta = f"after {record.cause}"
    else:
        delta = f"{'at once' if link.delta_ns == 0 else '+' + duration_text(link.delta_ns)} after {record.cause}"
    echo(f"{_clock(record.time_ns)}  {record.seq:>8}  ", nl=False)
    secho(f"{record.kind:<8}", fg=_COLOURS.get(record.kind), nl=False)
    echo(f"  {delta:<26}  {link.what}".rstrip())
    if link.sent_ns is not None:
        waited = duration_text(link.sent_ns - record.time_ns)
        echo(f"{'':45}sent {waited} later, at {_clock(link.sent_ns)}", nl=False)
        ended = "answered" if link.outcome == "answer" else f"ended as {link.outcome}"
        echo(f"; {ended} {duration_text(link.latency_ns or 0)} after that by record {link.answered_by}")
    elif link.answered_by is None and record.kind == "REQUEST" and record.key:
        echo(f"{'':45}no answer is in this session")
    if record.payload:
        text = payload_text(record)
        more = f"… ({len(record.payload)} bytes)" if len(text) > EXCERPT_MAX else ""
        secho(f"{'':45}{text[:EXCERPT_MAX]}{more}", dim=True)


_COLOURS = {
    "FACT": "green",
    "REQUEST": "yellow",
    "VERDICT": "magenta",
    "INTENT": "cyan",
    "FEED": "blue",
    "BROKER": "blue",
}


def _headline(story: "Story") -> str:
    from journal.record import plain

    order = story.order
    if order is None:
        return f"{story.client_order_id}: never left us"
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
    wish = f"{order['side']} {plain(order['quantity'])} {order['instrument']} {at}"
    status = order["status"].replace("_", " ")
    return f"{story.client_order_id}{venue}\n{order['strategy']}: {wish}: {status}{filled}"


def _clock(time_ns: int) -> str:
    return (
        datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%H:%M:%S")
        + f".{time_ns % 1_000_000_000 // 1000:06d}"
    )


def _date(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d")
