"""Latencies measured in a journal, for the model of the simulated venue."""

from statistics import median

import msgspec

from engine.paper_settings import PaperSettings
from engine.record_codec import read_request
from engine.requests import Purpose
from engine.sim.paper_broker import paper_model
from engine.sim.venue_model import VenueModel
from journal.reader import Journal
from journal.record import Kind

MEASURED_TRIPS_MAX = 2_000  # round trips: more do not change the median
MEASURED_PURPOSES = frozenset({Purpose.PLACE, Purpose.PLACE_LIST, Purpose.CANCEL})
MEASURED = ("request", "answer", "feed")  # latencies; the venue's own time is part of a round trip


class MeasuredLatency(msgspec.Struct, frozen=True):
    """A model with the latencies of a journal."""

    model: VenueModel
    round_trips: int  # the number that were measured; 0: the times are the defaults
    ways_ns: tuple[int, ...] = ()  # half of each round trip, in their order
    is_stated: bool = False  # a paper account states the model

    def given(self, model: VenueModel) -> list[str]:
        """Return the names of the measured latencies that settings replaced in a model."""
        return [name for name in MEASURED if getattr(model, f"{name}_ns") != getattr(self.model, f"{name}_ns")]

    def origin(self, model: VenueModel) -> str:
        """Say where the latencies of a model come from, which began as the measured one."""
        origin = "not measured: the journal contains no orders to estimate latency from"
        if self.is_stated:
            origin = "those of the paper account"
        elif self.round_trips:
            origin = f"measured in {self.round_trips:,} round trips"
        given = self.given(model)
        if len(given) == len(MEASURED):
            return "given"
        return f"{' and '.join(given)} given, the rest {origin}" if given else origin


def session_model(journal: Journal, paper: PaperSettings | None) -> MeasuredLatency:
    """Return the model of a paper account, or without one the model that is estimated from a journal."""
    measured = measure_latency(journal)
    return measured if paper is None else msgspec.structs.replace(measured, model=paper_model(paper), is_stated=True)


def measure_latency(journal: Journal) -> MeasuredLatency:
    """Estimate latency from a journal: each way takes half the median round trip of orders and cancels.

    The feed takes as long as one way. The venue's own processing time is included.
    """
    sent: dict[int, int] = {}
    trips: list[int] = []
    for record in journal.records(kinds=(Kind.REQUEST, Kind.BROKER)):
        if record.kind is Kind.REQUEST:
            if read_request(record.body or "").purpose in MEASURED_PURPOSES:
                sent[record.seq] = record.time_ns
        elif record.meta is not None and record.cause in sent:
            began_ns = sent.pop(record.cause)
            if msgspec.json.decode(record.meta).get("outcome") == "answer":
                trips.append(record.time_ns - began_ns)
                if len(trips) == MEASURED_TRIPS_MAX:
                    break
    if not trips:
        return MeasuredLatency(VenueModel(), 0)
    each_ns = int(median(trips)) // 2
    ways_ns = tuple(trip // 2 for trip in trips)
    return MeasuredLatency(VenueModel(request_ns=each_ns, answer_ns=each_ns, feed_ns=each_ns), len(trips), ways_ns)
