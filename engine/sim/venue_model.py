"""The model of the simulated venue: latencies, fees, queues. A backtest, a resimulation and a paper session have one.

Given by the user, or measured in a journal (replay/resim/measured_latency.py). The text of a model states where each
figure comes from.
"""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from math import exp
from statistics import NormalDist
from typing import Any

import msgspec

from engine.session_record import MILLISECOND_NS
from engine.sim.exchange import queue_models
from engine.suggestions import suggestion

MS_MAX = Decimal(3_600_000)  # an hour
FEE_MIN, FEE_MAX = Decimal("-0.01"), Decimal("0.1")  # a rate of at most ten per cent; below 0 it is a rebate
POWER_MAX = 5
SIGMA_MAX = Decimal(3)
QUANTILES = 1024  # of a distribution of latencies
UNMEASURED_NS = MILLISECOND_NS  # each way, if the journal contains no orders to estimate latency from
QUEUES = {
    "pessimistic": queue_models.PESSIMISTIC,  # counted instead, if the book comes order by order
    "levels": queue_models.PESSIMISTIC,  # even then
    "power": queue_models.POWER,
    "power2": queue_models.POWER_2,
    "power3": queue_models.POWER_3,
    "log": queue_models.LOG,
    "log2": queue_models.LOG_2,
}
SETTING_RANGES = {
    "queue_n": (Decimal(1), Decimal(POWER_MAX)),
    "latency_sigma": (Decimal(0), SIGMA_MAX),
    "half_spread": (Decimal(0), FEE_MAX),
    "volume_share": (Decimal(0), Decimal(1)),
}
CHOICES: dict[str, tuple[str, ...]] = {
    "queue": tuple(QUEUES),
    "fills": ("partial", "whole"),
    "clock": ("received", "venue"),
    "quotes": ("fused", "ignored"),
    "limit_fills": ("through", "touch"),
    "latency": ("constant", "lognormal", "measured"),
}


class VenueModel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The parameters of the simulated venue. Times are nanoseconds of session time."""

    request_ns: int = UNMEASURED_NS  # from the engine to the venue
    answer_ns: int = UNMEASURED_NS  # from the venue to the engine: answers and private events
    feed_ns: int = UNMEASURED_NS  # how much older a market message is at the venue than where it was received
    venue_ns: int = 0  # processing time at the venue
    fee_maker: str = "0.001"
    fee_taker: str = "0.001"
    # (traded volume from which it applies, in quote; maker fee; taker fee), of the volume traded in the session
    fee_tiers: tuple[tuple[str, str, str], ...] = ()
    queue: str = "pessimistic"  # of QUEUES: how size that leaves a level without a trade moves a resting order
    queue_n: int = 2  # the exponent of the power queues
    fills: str = "partial"  # "whole": a touched order is filled completely and removes no liquidity
    # when the venue had a message: feed_ns before we received it; "venue": feed_ns before the venue's own stamp, with
    # its clock set by the fastest message
    clock: str = "received"
    quotes: str = "fused"  # fresher quotes change the venue's book; "ignored": only depth diffs do
    # "measured": each way takes half of a round trip of the session, in their order; "lognormal": about the median
    latency: str = "constant"
    latency_sigma: str = "0.5"  # of the logarithm, for "lognormal"
    # of markets without quotes, whose source has trades or bars alone
    half_spread: str = "0.0001"  # share of the price between a made quote and the trade or bar
    volume_share: str = "0.1"  # of a bar's volume that our orders fill at most; 0: no limit
    limit_fills: str = "through"  # a limit order fills when the price passes it; "touch": when it is reached
    ways_ns: tuple[int, ...] = ()  # the measured times, for "measured"

    @property
    def scatter_ppm(self) -> tuple[int, ...]:
        """Factors in parts per million for the latency of each message in turn, for latency=lognormal.

        They are the quantiles of the distribution in a fixed pseudo-random order.
        """
        if self.latency != "lognormal":
            return ()
        order = sorted(range(QUANTILES), key=lambda quantile: sha256(b"%d" % quantile).digest())
        return tuple(
            round(1e6 * exp(float(self.latency_sigma) * NormalDist().inv_cdf((quantile + 0.5) / QUANTILES)))
            for quantile in order
        )

    def settings(self) -> dict[str, Any]:
        """Return the parameters as a SESSION record holds them."""
        return {name: getattr(self, name) for name in self.__struct_fields__ if name != "ways_ns"} | (
            {"ways": len(self.ways_ns)} if self.ways_ns else {}
        )

    @property
    def half_spread_ppm(self) -> int:
        """The half spread in millionths of the price."""
        return int(Decimal(self.half_spread) * 1_000_000)

    def text(self, origin: str) -> str:
        """Describe the model for people. `origin` says where its latencies come from."""
        ms = "/".join(f"{ns / 1e6:g}" for ns in (self.request_ns, self.venue_ns, self.answer_ns, self.feed_ns))
        queue = "an order queues behind the size at its price, and only trades and vanishing size move it forward"
        chosen = [
            f"{name}={getattr(self, name)}"
            for name in (*CHOICES, "queue_n", "latency_sigma")
            if getattr(self, name) != getattr(VenueModel(), name)
            or (name == "queue_n" and self.queue.startswith("power"))
            or (name == "latency_sigma" and self.scatter_ppm)
        ]
        chosen += [f"fee_tiers={','.join(':'.join(tier) for tier in self.fee_tiers)}"] if self.fee_tiers else []
        details = f"{' '.join(chosen)} (docs/fidelity.md)" if chosen else queue
        return f"model: request/venue/answer/feed {ms} ms ({origin}); fees {self.fee_maker}/{self.fee_taker}; {details}"


class UnknownSettingError(Exception):
    """A setting is unknown to the model, or its value does not fit. The text is one line."""


def with_settings(model: VenueModel, settings: Mapping[str, str], ways_ns: tuple[int, ...] = ()) -> VenueModel:
    """Return the model with settings applied.

    Args:
        model: The model to change.
        settings: Values by name, with times in milliseconds: `request_ms` for the field `request_ns`.
        ways_ns: The measured times, for latency=measured.

    Raises:
        UnknownSettingError: A name or a value does not fit.
    """
    for name, text in settings.items():
        field = name.removesuffix("_ms") + "_ns" if name.endswith("_ms") else name
        if field not in VenueModel.__struct_fields__ or name.endswith("_ns"):
            fields = (known for known in VenueModel.__struct_fields__ if known != "ways_ns")
            names = [known.removesuffix("_ns") + "_ms" if known.endswith("_ns") else known for known in fields]
            hint = suggestion(name, names)
            raise UnknownSettingError(f"the venue's model has no {name!r}{hint}; it has: {', '.join(names)}")
        model = msgspec.structs.replace(model, **{field: _parse_setting(name, field, text)})
    if "latency_sigma" in settings and model.latency != "lognormal":
        raise UnknownSettingError(
            f"latency_sigma={settings['latency_sigma']} is for latency=lognormal, but latency is {model.latency}"
        )
    if model.latency == "measured":
        if not ways_ns:
            raise UnknownSettingError("latency=measured: the session contains no orders to estimate latency from")
        model = msgspec.structs.replace(model, ways_ns=ways_ns)
    return model


def _parse_setting(name: str, field: str, text: str) -> object:
    """Return the value of a field of the model. `name` is the setting as the user wrote it."""
    if field in CHOICES:
        if text not in CHOICES[field]:
            raise UnknownSettingError(f"{name}={text}: choose one of {', '.join(CHOICES[field])}")
        return text
    if field == "fee_tiers":
        return _parse_tiers(text)
    low, high = SETTING_RANGES.get(field, (Decimal(0), MS_MAX) if field.endswith("_ns") else (FEE_MIN, FEE_MAX))
    number = _parse_number(text)
    is_whole = field == "queue_n"
    if not number.is_finite() or not low <= number <= high or (is_whole and number % 1):
        kind = "whole number" if is_whole else "number"
        raise UnknownSettingError(f"{name}={text}: give a {kind} from {low:f} to {high:f}")
    if field.endswith("_ns"):
        return int(number * MILLISECOND_NS)
    return int(number) if is_whole else f"{number:f}"


def _parse_tiers(text: str) -> tuple[tuple[str, str, str], ...]:
    """Parse tiers such as `1000000:0.0009:0.001,5000000:0.0008:0.0009`."""
    tiers = [tuple(tier.split(":")) for tier in text.split(",")]
    numbers = [tuple(map(_parse_number, tier)) for tier in tiers]
    is_rising = [tier[0] for tier in numbers] == sorted({tier[0] for tier in numbers})
    is_valid = all(
        len(tier) == 3
        and all(number.is_finite() for number in tier)
        and tier[0] >= 0
        and min(tier[1:]) >= FEE_MIN
        and max(tier[1:]) <= FEE_MAX
        for tier in numbers
    )
    if not (is_valid and is_rising):
        raise UnknownSettingError(
            f"fee_tiers={text}: write VOLUME:MAKER:TAKER,... by rising volume, as in "
            "1000000:0.0009:0.001,5000000:0.0008:0.0009"
        )
    return tuple((f"{least:f}", f"{maker:f}", f"{taker:f}") for least, maker, taker in numbers)


def _parse_number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("nan")


def parse_balances(balances: Mapping[str, str]) -> dict[str, str]:
    """Check balances that a user wrote.

    Raises:
        UnknownSettingError: An asset or an amount is not valid.
    """
    for asset, text in balances.items():
        if re.fullmatch(r"[A-Z0-9]{1,20}", asset) is None:
            raise UnknownSettingError(f"{asset}={text}: write the asset as the venue does, as in USDT=100000")
        if re.fullmatch(r"\d{1,15}(\.\d{1,8})?", text) is None:
            raise UnknownSettingError(f"{asset}={text}: write the amount with at most 8 decimals, as in USDT=100000")
    return dict(balances)
