"""The account of a paper session: Spot's messages about another venue's instruments, and fundings, which Spot lacks."""

from decimal import Decimal

import msgspec

from engine.events import Event, FundingReport
from engine.venues.binance_common.http_answers import FAILURES, unrecognised
from engine.venues.binance_common.values import Amount, Millis, SignedAmount, Text, nanoseconds
from engine.venues.binance_spot.account import SpotAccount


class _Funding(msgspec.Struct, frozen=True, tag_field="e", tag="fundingFee"):
    T: Millis
    s: Text
    a: Text
    f: SignedAmount
    p: Amount
    r: SignedAmount

    def report(self, venue: str) -> FundingReport:
        """Return the funding."""
        name, numbers = f"{venue}:{self.s}", (Decimal(self.f), Decimal(self.r), Decimal(self.p))
        return FundingReport(name, self.a, *numbers, nanoseconds(self.T))


class _FundingFrame(msgspec.Struct, frozen=True):
    event: _Funding


_read_funding = msgspec.json.Decoder(_FundingFrame).decode


class PaperAccount(SpotAccount):
    """Spot's account, about the instruments of another venue."""

    def decode_private(self, payload: bytes) -> tuple[Event, ...]:
        """Return the events of one frame."""
        if b'"fundingFee"' in payload:
            try:
                return (_read_funding(payload).event.report(self._venue),)
            except FAILURES as error:
                return (unrecognised("private frame", error),)
        return super().decode_private(payload)
