"""The simulated venue of a resimulation: how long each way takes and what it charges, as given or as measured in a journal.

Where it stops being exact is said, not hidden: every figure names where it comes from.
"""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from math import exp
from statistics import NormalDist, median
from typing import Any

import msgspec

from engine.record_codec import read_request
from engine.requests import Purpose
from engine.session_record import MILLISECOND_NS
from engine.sim.exchange import queue_models
from journal.reader import Journal
from journal.record import Kind

MEASURED_MAX = 2_000  # exchanges: more change a median no more
MEASURED_PURPOSES = frozenset({Purpose.PLACE, Purpose.CANCEL})
MS_MAX = Decimal(3_600_000)  # an hour
FEE_MIN, FEE_MAX = Decimal("-0.01"), Decimal("0.1")  # a rate: ten per cent; below 0 it is a rebate
POWER_MAX = 5
SIGMA_MAX = Decimal(3)
DRAWN = 1024  # ways that a distribution is told by
UNMEASURED_NS = MILLISECOND_NS  # each way, where a journal holds no exchange
QUEUES = {
    "pessimistic": queue_models.PESSIMISTIC,
    "power": queue_models.POWER,
    "power2": queue_models.POWER_2,
    "power3": queue_models.POWER_3,
    "log": queue_models.LOG,
    "log2": queue_models.LOG_2,
}
LIMITS = {"queue_n": (Decimal(1), Decimal(POWER_MAX)), "latency_sigma": (Decimal(0), SIGMA_MAX)}
CHOICES: dict[str, tuple[str, ...]] = {
    "queue": tuple(QUEUES),
    "fills": ("partial", "whole"),
    "clock": ("received", "venue"),
    "quotes": ("fused", "ignored"),
    "latency": ("constant", "lognormal", "measured"),
}


class VenueModel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Times in nanoseconds of session time."""

    request_ns: int = UNMEASURED_NS  # from the engine to the venue
    answer_ns: int = UNMEASURED_NS  # from the venue to the engine: answers and private events
    feed_ns: int = UNMEASURED_NS  # how much older a market message is at the venue than where it was received
    venue_ns: int = 0  # what the venue takes to answer
    fee_maker: str = "0.001"
    fee_taker: str = "0.001"
    fee_tiers: tuple[
        tuple[str, str, str], ...
    ] = ()  # (traded from, in quote; maker; taker): what is paid once so much was traded in the session
    queue: str = "pessimistic"  # of QUEUES: where what vanishes from a level without a trade stood
    queue_n: int = 2  # the power, of the queues that have one
    fills: str = "partial"  # "whole": a touched order is filled to its end, and takes nothing from anybody
    clock: str = "received"  # when the venue saw a message: feed_ns before it was received; "venue": feed_ns before the venue's own stamp, its clock set by the fastest message
    quotes: str = "fused"  # into the venue's book where they are fresher; "ignored": depth diffs alone make it
    latency: str = "constant"  # "measured": each way takes half of what the session's own exchanges took, in their order; "lognormal": drawn, about its median
    latency_sigma: str = "0.5"  # of the logarithm, for "lognormal"
    ways_ns: tuple[int, ...] = ()  # those, for "measured"

    @property
    def scatter_ppm(self) -> tuple[int, ...]:
        """By what each thing on its way takes longer or shorter, in turn: the distribution's quantiles, in an order that says nothing and is always the same."""
        if self.latency != "lognormal":
            return ()
        order = sorted(range(DRAWN), key=lambda at: sha256(b"%d" % at).digest())
        return tuple(
            round(1e6 * exp(float(self.latency_sigma) * NormalDist().inv_cdf((at + 0.5) / DRAWN))) for at in order
        )

    def told(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__struct_fields__ if name != "ways_ns"} | (
            {"ways": len(self.ways_ns)} if self.ways_ns else {}
        )

    def text(self, measured_in: int) -> str:
        """For people; measured in so many exchanges."""
        where = f"measured in {measured_in:,} exchanges" if measured_in else "not measured: the journal has no exchange"
        ms = "/".join(f"{ns / 1e6:g}" for ns in (self.request_ns, self.venue_ns, self.answer_ns, self.feed_ns))
        queue = "an order's queue is what stood at its price, and only trades and vanishing size move it on"
        chosen = [
            f"{name}={getattr(self, name)}"
            for name in (*CHOICES, "queue_n", "latency_sigma")
            if getattr(self, name) != getattr(VenueModel(), name)
            or (name == "queue_n" and self.queue.startswith("power"))
            or (name == "latency_sigma" and self.scatter_ppm)
        ]
        chosen += [f"fee_tiers={','.join(':'.join(tier) for tier in self.fee_tiers)}"] if self.fee_tiers else []
        said = f"{' '.join(chosen)} (docs/fidelity.md)" if chosen else queue
        return f"model: request/venue/answer/feed {ms} ms ({where}); fees {self.fee_maker}/{self.fee_taker}; {said}"


class UnknownSettingError(Exception):
    """A setting that the model has not, or a value that does not fit. One line, for a person."""


def with_settings(model: VenueModel, settings: Mapping[str, str], ways_ns: tuple[int, ...] = ()) -> VenueModel:
    """`request_ms`, `answer_ms`, `feed_ms`, `venue_ms`, `fee_maker`, `fee_taker`, `queue_n`, `latency_sigma` and those of CHOICES, as people write them.

    `ways_ns`: what was measured, for latency=measured.
    """
    for name, text in settings.items():
        field = name.removesuffix("_ms") + "_ns" if name.endswith("_ms") else name
        if field not in VenueModel.__struct_fields__ or name.endswith("_ns"):
            fields = (each for each in VenueModel.__struct_fields__ if each != "ways_ns")
            known = ", ".join(each.removesuffix("_ns") + "_ms" if each.endswith("_ns") else each for each in fields)
            raise UnknownSettingError(f"the venue's model has no {name!r}; it has: {known}")
        if field in CHOICES:
            if text not in CHOICES[field]:
                raise UnknownSettingError(f"{name}={text}: one of {', '.join(CHOICES[field])}")
            model = msgspec.structs.replace(model, **{field: text})
            continue
        if field == "fee_tiers":
            model = msgspec.structs.replace(model, fee_tiers=_tiers(text))
            continue
        low, high = LIMITS.get(field, (Decimal(0), MS_MAX) if field.endswith("_ns") else (FEE_MIN, FEE_MAX))
        number = _number(text)
        if not number.is_finite() or not low <= number <= high or (field == "queue_n" and number % 1):
            raise UnknownSettingError(
                f"{name}={text}: a {'whole number' if field == 'queue_n' else 'number'} from {low:f} to {high:f}"
            )
        value: int | str = (
            int(number * MILLISECOND_NS)
            if field.endswith("_ns")
            else int(number)
            if field == "queue_n"
            else f"{number:f}"
        )
        model = msgspec.structs.replace(model, **{field: value})
    if "latency_sigma" in settings and model.latency != "lognormal":
        raise UnknownSettingError(
            f"latency_sigma={settings['latency_sigma']}: of latency=lognormal, and latency is {model.latency}"
        )
    if model.latency == "measured":
        if not ways_ns:
            raise UnknownSettingError("latency=measured: the session has no exchange to measure")
        model = msgspec.structs.replace(model, ways_ns=ways_ns)
    return model


def _tiers(text: str) -> tuple[tuple[str, str, str], ...]:
    """`1000000:0.0009:0.001,5000000:0.0008:0.0009`"""
    tiers = [tuple(each.split(":")) for each in text.split(",")]
    numbers = [tuple(map(_number, tier)) for tier in tiers]
    rising = [tier[0] for tier in numbers] == sorted({tier[0] for tier in numbers})
    fit = all(
        len(tier) == 3
        and all(each.is_finite() for each in tier)
        and tier[0] >= 0
        and min(tier[1:]) >= FEE_MIN
        and max(tier[1:]) <= FEE_MAX
        for tier in numbers
    )
    if not (fit and rising):
        raise UnknownSettingError(
            f"fee_tiers={text}: TRADED:MAKER:TAKER,... by rising amounts, as in 1000000:0.0009:0.001,5000000:0.0008:0.0009"
        )
    return tuple((f"{least:f}", f"{maker:f}", f"{taker:f}") for least, maker, taker in numbers)


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("nan")


def amounts(balances: Mapping[str, str]) -> dict[str, str]:
    """Of assets, as people write them."""
    for asset, text in balances.items():
        if re.fullmatch(r"[A-Z0-9]{1,20}", asset) is None:
            raise UnknownSettingError(f"{asset}={text}: an asset is written as the venue writes it, as in USDT=100000")
        if re.fullmatch(r"\d{1,15}(\.\d{1,8})?", text) is None:
            raise UnknownSettingError(
                f"{asset}={text}: an amount is a number with at most 8 decimals, as in USDT=100000"
            )
    return dict(balances)


class MeasuredLatency(msgspec.Struct, frozen=True):
    model: VenueModel
    exchanges: int  # that the times were measured in; 0: none, and the times are the defaults
    ways_ns: tuple[int, ...] = ()  # half of each, in their order


def measured(journal: Journal) -> MeasuredLatency:
    """Half the median round trip of orders and cancels each way, and the same for the feed. The venue's own part is in it."""
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
                if len(trips) == MEASURED_MAX:
                    break
    if not trips:
        return MeasuredLatency(VenueModel(), 0)
    each_ns = int(median(trips)) // 2
    ways_ns = tuple(trip // 2 for trip in trips)
    return MeasuredLatency(VenueModel(request_ns=each_ns, answer_ns=each_ns, feed_ns=each_ns), len(trips), ways_ns)
