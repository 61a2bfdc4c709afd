"""The input loop: the one task in which inputs get their order. It does not wait between an input and its outputs."""

from collections.abc import Callable, Sequence

import trio

from engine.bodies import CommandBody, LinkBody, LinkEvent, NoteBody
from engine.errors import CoreError
from engine.live.clock import SessionClock, wall_ns
from engine.live.ingress import Command, FrameBatch, Ingress, LinkDown
from engine.live.outputs import OutputDispatcher
from engine.record_codec import text_of
from engine.sequencer import Arrival, Sequencer
from engine.state.session_state import State
from journal.errors import JournalError
from journal.record import Kind
from journal.writer import JournalWriter

BATCH = 512  # messages after which the other tasks run
IDLE_SECONDS_MAX = 1.0
NOTES_MAX, NOTE_TEXT_MAX = 20, 500  # of the remarks in the answer to a command


class InputLoop:
    """Takes arrivals from the ingress queue through the sequencer, and dispatches the outputs."""

    def __init__(
        self,
        sequencer: Sequencer,
        ingress: Ingress,
        clock: SessionClock,
        writer: JournalWriter,
        outputs: OutputDispatcher,
    ) -> None:
        self.messages = 0  # processed
        self.lag_ns = 0  # from the socket read of the last message to the end of its step
        self._sequencer = sequencer
        self._ingress = ingress
        self._clock = clock
        self._writer = writer
        self._dispatch = outputs.dispatch

    async def run(self, on_end: Callable[[Exception | None], None]) -> None:
        """Process inputs until the core closes the session, our code fails or the journal fails.

        Commands come first. A request ends a batch, so that it can leave. `on_end` gets the CoreError or JournalError.
        """
        state, ingress = self._sequencer.state, self._ingress
        budget = BATCH
        try:
            while not state.account.modes.closing and self._writer.failed is None:
                item = ingress.next()
                if isinstance(item, FrameBatch):
                    budget -= len(item.payloads)
                    has_request = self._accept_frames(item, state)
                elif item is not None:
                    budget -= 1
                    has_request = self._accept(item)
                else:
                    has_request = self._dispatch(self._sequencer.fire_timers(self._clock.now_ns()))
                if item is None and not state.account.modes.closing:
                    seconds = self._clock.seconds_until(self._sequencer.next_due_ns)
                    await ingress.wait(min(max(seconds, 0), IDLE_SECONDS_MAX))
                    budget = BATCH
                elif has_request or budget <= 0:
                    await trio.lowlevel.checkpoint()
                    budget = BATCH
            on_end(None)
        except (CoreError, JournalError) as error:
            on_end(error)
        finally:
            ingress.close()

    def accept_first(self, arrivals: Sequence[Arrival]) -> None:
        """Process what the start of the session brought."""
        for arrival in arrivals:
            self._accept(arrival)

    def _accept_frames(self, frames: FrameBatch, state: State) -> bool:
        """Process the messages of a socket read. Return True if one led to a request."""
        source, payloads = frames.source, frames.payloads
        kind = Kind.FEED if frames.is_market else Kind.BROKER
        cause = state.account.links.by_source[source].up_seq
        has_request, start = False, 0
        while start < len(payloads):
            rest = payloads[start:] if frames.is_market else payloads[start : start + 1]
            arrival = Arrival(kind, source, cause, recv_ns=frames.recv_ns, payloads=rest)
            accepted = self._sequencer.accept(arrival, self._clock.now_ns())
            applied, outputs = accepted.applied, accepted.outputs
            start += applied
            if outputs and self._dispatch(outputs):
                has_request = True
        self.messages += len(payloads)
        self.lag_ns = wall_ns() - frames.recv_ns
        return has_request

    def _accept(self, item: Arrival | LinkDown | Command) -> bool:
        """Process a single input. Return True if it led to a request."""
        if isinstance(item, Command):
            return self._accept_command(item)
        arrival = self._link_down(item) if isinstance(item, LinkDown) else item
        return self._dispatch(self._sequencer.accept(arrival, self._clock.now_ns()).outputs)

    def _link_down(self, down: LinkDown) -> Arrival:
        """Return the LINK down input. Its cause is the LINK up that it ends or else the request."""
        link = self._sequencer.state.account.links.by_source.get(down.source)
        cause = link.up_seq if link is not None and link.up_seq >= 0 else down.request_seq
        return Arrival(Kind.LINK, down.source, cause=cause, body=text_of(LinkBody(LinkEvent.DOWN, down.reason)))

    def _accept_command(self, command: Command) -> bool:
        body = CommandBody(command.name, command.by, command.reason, command.asset)
        sequencer, now_ns = self._sequencer, self._clock.now_ns()
        has_request = self._dispatch(sequencer.fire_timers(now_ns))  # so that the next record is the command
        command.seq = sequencer.state.seq + 1
        arrival = Arrival(Kind.COMMAND, "control", body=text_of(body))
        outputs = sequencer.accept(arrival, now_ns).outputs
        has_request |= self._dispatch(outputs)
        notes = [output.body.text for output in outputs if isinstance(output.body, NoteBody)]
        command.notes = tuple(text[:NOTE_TEXT_MAX] for text in notes[:NOTES_MAX])
        modes = sequencer.state.account.modes
        command.mode, command.reasons = str(modes.mode), tuple(reason.text for reason in modes.reasons)
        command.done.set()
        return has_request
