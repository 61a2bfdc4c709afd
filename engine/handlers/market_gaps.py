"""When market data may have been missed, said as facts of source `gaps`: one for each lost link, silence, time between two
sessions, and break in a stream's ids. Knows links and the market; decides nothing of trading.
"""

from msgspec.structs import replace

from engine.facts import MarketGap, SequencedStream
from engine.market import layout
from engine.session_context import SessionContext
from engine.step_context import StepContext

SOURCE = "gaps"


def between_sessions(program: SessionContext, turn: StepContext, link: str) -> None:
    """From the end of the session before until this link stands; nothing where the shell still holds its connection."""
    previous = program.session.previous
    if previous is not None and previous.last_ns and link not in previous.links:
        reason = f"between session {previous.session} and this one"
        turn.fact(MarketGap(link, reason, previous.last_ns, -1), source=SOURCE)


def began(program: SessionContext, turn: StepContext, link: str, reason: str) -> None:
    """The link was lost or fell silent: what it brought last is the last that we know not to have missed."""
    if link in turn.account.gaps.open:
        return
    from_ns, from_seq = turn.market.last_frame(program.indexes_of(link), program.streams_of(link))
    session = program.session
    if not from_ns:  # no frame ever came
        from_ns = session.previous.last_ns if session.previous is not None else 0
        from_ns, from_seq = from_ns or session.started_ns, 0
    turn.fact(MarketGap(link, reason, from_ns, _here(program, from_ns, from_seq)), source=SOURCE)


def ended(turn: StepContext, link: str) -> None:
    """The link stands again: whatever comes from here on is taken."""
    found = turn.account.gaps.open.get(link)
    if found is not None:
        record = turn.record
        turn.fact(replace(found.gap, to_ns=record.time_ns, to_seq=record.seq), source=SOURCE, cause=found.seq)


def missed(program: SessionContext, turn: StepContext) -> None:
    """The ids of a stream jumped in this record."""
    record, market = turn.record, turn.market
    for index, flags in market.woken():
        if flags & layout.MISSED:
            found = market.broken(index)
            what = "trade ids" if found.stream is SequencedStream.TRADE else "depth update ids"
            gap = MarketGap(
                link=record.source,
                reason=f"{what} are missing",
                from_ns=found.last_ns,
                from_seq=_here(program, found.last_ns, found.last_seq),
                to_ns=record.time_ns,
                to_seq=record.seq,
                instrument=market.instruments[index].id,
                stream=found.stream,
                last_id=found.last_id,
                first_id=found.first_id,
            )
            turn.fact(gap, source=SOURCE)


def _here(program: SessionContext, time_ns: int, seq: int) -> int:
    return seq if time_ns >= program.session.started_ns else -1
