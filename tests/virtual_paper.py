"""A paper session in virtual time: the market comes from a VirtualVenue, the account is the session's own broker."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from engine.bodies import RequestBody
from engine.live.paper_session import PaperSequencer
from engine.market.rows import Rows
from engine.paper_settings import PaperSettings
from engine.requests import LinkRole
from engine.sequencer import Arrival
from engine.session_record import VenueSettings
from engine.sim.paper_broker import PaperBroker, concerns_account
from engine.sim.simulated_wires import Wires
from engine.sim.venue_model import VenueModel
from engine.sim.virtual_gateway import VirtualGateway
from engine.step_context import Output
from engine.venues.signing import Credentials
from engine.venues.venue_lookup import make_venue
from journal.record import Record
from verbatim.testing import BALANCES, VirtualSession, VirtualVenue


class _Queued:
    """A PaperReceiver that puts what the broker sends behind the event that is running."""

    def __init__(self, gateway: "PaperInVirtualTime") -> None:
        self._gateway = gateway

    def accept(self, arrival: Arrival) -> None:
        self._gateway.later(0, partial(self._gateway.accept, arrival))

    def frame(self, source: str, payload: bytes) -> None:
        self._gateway.later(0, partial(self._gateway._frame_arrived, source, payload))

    def link_down(self, source: str, reason: str) -> None:
        self._gateway.later(0, partial(self._gateway._link_ended, source, reason))


class PaperInVirtualTime(VirtualGateway):
    """The market's wires, and the place of the live session's LivePaper."""

    broker: PaperBroker

    def __init__(self, *parts: Any, **more: Any) -> None:
        super().__init__(*parts, **more)
        assert isinstance(self.sequencer, PaperSequencer)
        self.sequencer.account = self  # type: ignore[assignment]  # it has the methods that the sequencer calls
        self._private = frozenset(plan.source for plan in self._dialect.links() if plan.role is LinkRole.PRIVATE)

    # ---- as the sequencer needs it

    def open(self) -> None:
        self.broker = PaperBroker(self.sequencer.kernel.session.body, self.state, self._dialect, _Queued(self))

    def follow(self, rows: Rows) -> None:
        self.broker.follow(rows)
        self.broker.advance(self.state.time_ns)

    def follow_depth(self, record: Record, instrument: str) -> None:
        self.broker.follow_depth(record, instrument)
        self.broker.advance(self.state.time_ns)

    # ---- time

    def next_ns(self) -> int:
        return min(super().next_ns(), self.broker.due_ns)

    def advance(self, arrivals: Iterable[tuple[int, Callable[[], None]]] = ()) -> None:
        super().advance(arrivals)
        if not self.closing:
            self.broker.advance(self.venue.now_ns)
            self._come(self.venue.now_ns)

    def perform(self, outputs: Sequence[Output]) -> None:
        public = []
        for output in outputs:
            if isinstance(output.body, RequestBody) and concerns_account(output.body, self._private):
                self.broker.perform(output.record, output.body)
            else:
                public.append(output)
        super().perform(public)


class PaperSession(VirtualSession):
    """A VirtualSession with the paper account."""

    gateway_class = PaperInVirtualTime
    sequencer_class = PaperSequencer

    def _gateway(self, settings: VenueSettings, venue: VirtualVenue, wires: Wires) -> VirtualGateway:
        """Give the market's wires a key that its venue does not know: they must not use it."""
        dialect = make_venue(settings, self.body.instruments)
        key = dialect.signer.load_key(Credentials("not-a-key", "not-a-key"))
        return self.gateway_class(venue, self.sequencer, dialect, key, wires)


def paper(model: VenueModel, **balances: str) -> PaperSettings:
    return PaperSettings(balances or BALANCES, model.settings())
