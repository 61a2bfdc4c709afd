"""Keeps strategies from deciding before a given record, while the market and the account are followed as usual.

So a strategy starts with warm books, averages and conditions, and with the state and position it began the session
with. It uses the engine's own pause, which COMMANDs in the new journal end, so the result replays like any other
session.
"""

from collections.abc import Iterator

import numpy as np

from engine.bodies import CommandBody, CommandName
from engine.market import rows as r
from engine.record_codec import read_command, text_of
from engine.sequencer import Arrival
from journal.record import Kind, Record
from replay.resim.timeline import OutsideInput, RowSpan

_PAUSE = text_of(CommandBody(CommandName.PAUSE, by="resim", reason="strategies do not decide yet"))


def pause_command() -> Arrival:
    """Return the COMMAND with which such a session begins."""
    return Arrival(Kind.COMMAND, "resim", body=_PAUSE)


def insert_decide_command(items: Iterator[RowSpan | OutsideInput], seq: int) -> Iterator[RowSpan | OutsideInput]:
    """Yield the items of a timeline, and before record `seq` the COMMAND from which strategies decide.

    If the timeline has no record `seq`, the COMMAND comes before the first record after it. If a person had paused the
    session there, strategies decide when that pause ends.
    """
    by_person = False
    for item in items:
        index = _record_index(item, seq)
        if index is None:
            yield item
            command = _command_name(item)
            by_person = command is CommandName.PAUSE or (by_person and command is not CommandName.RESUME)
            if command is CommandName.RESUME:
                yield _own_command(item, seq, _PAUSE)
            continue
        rest = item
        if isinstance(item, RowSpan) and index:
            yield RowSpan(item.rows[: item.ends[index - 1]], item.ends[:index], item.line)
            rest = _without_first(item, index)
        if not by_person:
            yield _own_command(
                rest,
                seq,
                text_of(
                    CommandBody(
                        CommandName.DECIDE, by="resim", reason=f"strategies decide from record {seq} of the source on"
                    )
                ),
            )
        yield rest
        break
    yield from items


def _record_index(item: RowSpan | OutsideInput, seq: int) -> int | None:
    """Return the index of the first record at or after `seq`, or None if all are before it."""
    if isinstance(item, OutsideInput):
        return 0 if item.record.seq >= seq else None
    index = int(np.searchsorted(item.rows[item.ends - 1, r.SEQ], seq))
    return index if index < len(item.ends) else None


def _without_first(stretch: RowSpan, records: int) -> RowSpan:
    begin = int(stretch.ends[records - 1])
    return RowSpan(stretch.rows[begin:], stretch.ends[records:] - begin, stretch.line + records)


def _command_name(item: RowSpan | OutsideInput) -> CommandName | None:
    if isinstance(item, RowSpan) or item.record.kind is not Kind.COMMAND:
        return None
    return read_command(item.record.body or "").command


def _own_command(item: RowSpan | OutsideInput, seq: int, body: str) -> OutsideInput:
    """Return a COMMAND at the time of an item, right before it."""
    if isinstance(item, RowSpan):
        return OutsideInput(Record(seq, int(item.rows[0, r.TIME_NS]), Kind.COMMAND, "resim", body=body), item.line - 1)
    return OutsideInput(Record(seq, item.record.time_ns, Kind.COMMAND, "resim", body=body), item.line)
