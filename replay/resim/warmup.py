"""A session in which no strategy is asked before a record: up to there the market and the account are followed as ever.

So a strategy meets books, averages and conditions as they stood, and remembers and holds what it began the session with. It is the engine's
own pause, ended by COMMANDs that are in what comes of it, which is therefore repeated as any other session.
"""

from collections.abc import Iterator

import numpy as np

from engine.bodies import CommandBody, CommandName
from engine.market import rows as r
from engine.record_codec import read_command, text_of
from engine.sequencer import Arrival
from journal.record import Kind, Record
from replay.resim.timeline import OutsideInput, RowSpan

_PAUSE = text_of(CommandBody(CommandName.PAUSE, by="resim", reason="no strategy is asked yet"))


def paused() -> Arrival:
    """What a session begins with that is asked from a record on."""
    return Arrival(Kind.COMMAND, "resim", body=_PAUSE)


def asked_from(pieces: Iterator[RowSpan | OutsideInput], seq: int) -> Iterator[RowSpan | OutsideInput]:
    """The pieces of a tape, and before what stands for record `seq`, or for the first behind it, the COMMAND from which strategies are asked.

    Where a person had paused the session there, they are asked when that person's pause ends.
    """
    by_person = False
    for piece in pieces:
        at = _place(piece, seq)
        if at is None:
            yield piece
            command = _command(piece)
            by_person = command is CommandName.PAUSE or (by_person and command is not CommandName.RESUME)
            if command is CommandName.RESUME:
                yield _outside(piece, seq, _PAUSE)
            continue
        if isinstance(piece, RowSpan) and at:
            yield RowSpan(piece.rows[: piece.ends[at - 1]], piece.ends[:at], piece.line)
            piece = _behind(piece, at)  # noqa: PLW2901 - the rest of it
        if not by_person:
            yield _outside(
                piece,
                seq,
                text_of(
                    CommandBody(
                        CommandName.DECIDE,
                        by="resim",
                        reason=f"strategies are asked from record {seq} of the source on",
                    )
                ),
            )
        yield piece
        break
    yield from pieces


def _place(piece: RowSpan | OutsideInput, seq: int) -> int | None:
    """Which of its records is the first at or behind `seq`; None where all of them lie before it."""
    if isinstance(piece, OutsideInput):
        return 0 if piece.record.seq >= seq else None
    at = int(np.searchsorted(piece.rows[piece.ends - 1, r.SEQ], seq))
    return at if at < len(piece.ends) else None


def _behind(stretch: RowSpan, records: int) -> RowSpan:
    begin = int(stretch.ends[records - 1])
    return RowSpan(stretch.rows[begin:], stretch.ends[records:] - begin, stretch.line + records)


def _command(piece: RowSpan | OutsideInput) -> CommandName | None:
    if isinstance(piece, RowSpan) or piece.record.kind is not Kind.COMMAND:
        return None
    return read_command(piece.record.body or "").command


def _outside(piece: RowSpan | OutsideInput, seq: int, body: str) -> OutsideInput:
    """A COMMAND of ours right before a piece, or with it where that is none of the market."""
    if isinstance(piece, RowSpan):
        return OutsideInput(
            Record(seq, int(piece.rows[0, r.TIME_NS]), Kind.COMMAND, "resim", body=body), piece.line - 1
        )
    return OutsideInput(Record(seq, piece.record.time_ns, Kind.COMMAND, "resim", body=body), piece.line)
