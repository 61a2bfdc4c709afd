"""The simulated venue of a resimulation: how long each way takes and what it charges, as given or as measured in a journal.

Where it stops being exact is said, not hidden: every figure names where it comes from.
"""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from statistics import median
from typing import Any

import msgspec

from engine import facts
from engine.session import MILLISECOND_NS
from journal.reader import Journal
from journal.record import Kind

MEASURED_MAX = 2_000  # exchanges: more change a median no more
MEASURED_PURPOSES = frozenset({"place", "cancel"})
MS_MAX = Decimal(3_600_000)  # an hour
FEE_MAX = Decimal("0.1")  # a rate: ten per cent
UNMEASURED_NS = MILLISECOND_NS  # each way, where a journal holds no exchange


class VenueModel(msgspec.Struct, frozen=True, kw_only=True):
    """Times in nanoseconds of session time. Constant: what varies is not modelled yet (docs/fidelity.md)."""

    request_ns: int = UNMEASURED_NS  # from the engine to the venue
    answer_ns: int = UNMEASURED_NS  # from the venue to the engine: answers and private events
    feed_ns: int = UNMEASURED_NS  # how much older a market message is at the venue than where it was received
    venue_ns: int = 0  # what the venue takes to answer
    fee_maker: str = "0.001"
    fee_taker: str = "0.001"

    def told(self) -> dict[str, Any]:
        return msgspec.to_builtins(self)  # type: ignore[no-any-return]  # a struct becomes a dict


class UnknownSetting(Exception):  # noqa: N818 - named for what was found
    """A setting that the model has not, or a value that does not fit. One line, for a person."""


def with_settings(model: VenueModel, settings: Mapping[str, str]) -> VenueModel:
    """`request_ms`, `answer_ms`, `feed_ms`, `venue_ms`, `fee_maker`, `fee_taker`, as people write them."""
    for name, text in settings.items():
        field = name.removesuffix("_ms") + "_ns" if name.endswith("_ms") else name
        if field not in VenueModel.__struct_fields__ or name.endswith("_ns"):
            known = ", ".join(each.removesuffix("_ns") + "_ms" if each.endswith("_ns") else each for each in VenueModel.__struct_fields__)
            raise UnknownSetting(f"the venue's model has no {name!r}; it has: {known}")
        try:
            number = Decimal(text)
        except InvalidOperation:
            number = Decimal("nan")
        most = MS_MAX if field.endswith("_ns") else FEE_MAX
        if not number.is_finite() or not 0 <= number <= most:
            raise UnknownSetting(f"{name}={text}: a number from 0 to {most:f}")
        model = msgspec.structs.replace(model, **{field: int(number * MILLISECOND_NS) if field.endswith("_ns") else f"{number:f}"})
    return model


def amounts(balances: Mapping[str, str]) -> dict[str, str]:
    """Of assets, as people write them."""
    for asset, text in balances.items():
        if re.fullmatch(r"[A-Z0-9]{1,20}", asset) is None:
            raise UnknownSetting(f"{asset}={text}: an asset is written as the venue writes it, as in USDT=100000")
        if re.fullmatch(r"\d{1,15}(\.\d{1,8})?", text) is None:
            raise UnknownSetting(f"{asset}={text}: an amount is a number with at most 8 decimals, as in USDT=100000")
    return dict(balances)


class Measured(msgspec.Struct, frozen=True):
    model: VenueModel
    exchanges: int  # that the times were measured in; 0: none, and the times are the defaults


def measured(journal: Journal) -> Measured:
    """Half the median round trip of orders and cancels each way, and the same for the feed. The venue's own part is in it."""
    sent: dict[int, int] = {}
    trips: list[int] = []
    for record in journal.records(kinds=(Kind.REQUEST, Kind.BROKER)):
        if record.kind is Kind.REQUEST:
            if facts.read_request(record.body or "").purpose in MEASURED_PURPOSES:
                sent[record.seq] = record.time_ns
        elif record.meta is not None and record.cause in sent:
            began_ns = sent.pop(record.cause)
            if msgspec.json.decode(record.meta).get("outcome") == "answer":
                trips.append(record.time_ns - began_ns)
                if len(trips) == MEASURED_MAX:
                    break
    if not trips:
        return Measured(VenueModel(), 0)
    each_ns = int(median(trips)) // 2
    return Measured(VenueModel(request_ns=each_ns, answer_ns=each_ns, feed_ns=each_ns), len(trips))
