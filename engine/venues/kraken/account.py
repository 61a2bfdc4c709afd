"""Kraken's account: frames of the private websocket and answers to our calls, read into events. Total, without memory.

An answer begins with one Answer, which says what it proves. The HTTP status says little: refusals come with 200.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from engine.events import (
    AccountReport,
    Answer,
    Event,
    FillsReport,
    OpenOrdersReport,
    Outcome,
    StreamNumber,
)
from engine.model import Instrument
from engine.requests import Unsigned
from engine.state.fill_cursor import TIMED_FILLS
from engine.venues.kraken import calls
from engine.venues.kraken.calls import PAGE, Requests
from engine.venues.kraken.error_codes import INSTRUMENT_RULES, TEMPORARY, classify, retry_at_ns
from engine.venues.kraken.executions import OrderExecution
from engine.venues.kraken.frames import QUIET, ChannelFrame, acknowledged, request_of
from engine.venues.kraken.metadata import PATH as PAIRS_PATH
from engine.venues.kraken.metadata import KrakenMetadata
from engine.venues.kraken.rest_orders import RestBalance, RestOrder, RestTrade, placed_report
from engine.venues.kraken.values import FAILURES, TEXT_MAX, PairNames, unrecognised

# private channels that carry nothing we keep
IGNORED: Final = {
    "balances": "totals, without what orders hold: the balances are queried after fills",
    **QUIET,
}


class _Body(msgspec.Struct):
    error: list[str]
    result: msgspec.Raw = msgspec.Raw(b"null")


class _Placed(msgspec.Struct):
    txid: list[str]


class _Open(msgspec.Struct):
    open: dict[str, RestOrder]


class _Closed(msgspec.Struct):
    closed: dict[str, RestOrder]


class _Fills(msgspec.Struct):
    trades: dict[str, RestTrade]
    count: int = 0


class _Token(msgspec.Struct):
    token: str


_FRAME = msgspec.json.Decoder(ChannelFrame)
_EXECUTIONS = msgspec.json.Decoder(list[OrderExecution])
_BODY = msgspec.json.Decoder(_Body)


class KrakenAccount(Requests):
    """An engine.venues.venue.AccountCodec. The calls (place, cancel, ...) are those of `Requests`."""

    def __init__(self, instruments: Sequence[Instrument], recv_window_ms: int, venue: str) -> None:
        super().__init__(recv_window_ms)
        self._venue = venue
        self._pairs = PairNames(instruments, venue)

    def decode_private(self, payload: bytes) -> tuple[Event, ...]:
        """Return the events of one frame."""
        try:
            frame = _FRAME.decode(payload)
            if not frame.channel:
                return acknowledged(payload)
            number = () if frame.sequence is None else (StreamNumber(frame.channel[:40], frame.sequence),)
            if frame.channel in IGNORED:
                return number
            if frame.channel != "executions":
                raise ValueError(f"no channel {frame.channel[:40]!r}")
            return (*number, *(each.event(self._venue) for each in _EXECUTIONS.decode(frame.data)))
        except FAILURES as error:
            return (unrecognised("private frame", error),)

    def answered_request(self, payload: bytes) -> str | None:
        """Return the id of the request that a frame answers."""
        return request_of(payload)

    def read_token(self, payload: bytes) -> str:
        """Return the token of an answer. Raises ValueError for any other, with the venue's error but no token."""
        try:
            body = _BODY.decode(payload)
        except FAILURES:
            raise ValueError("its answer cannot be read") from None
        if body.error:
            raise ValueError(" ".join(body.error)[:TEXT_MAX])
        try:
            token = msgspec.json.decode(body.result, type=_Token).token
        except FAILURES:
            token = ""
        if not token or not token.isascii() or not token.isprintable() or {'"', "\\"} & set(token):
            raise ValueError("its answer holds no token")
        return token

    def decode_answer(self, unsigned: Unsigned, instrument: str, status: int, payload: bytes) -> tuple[Event, ...]:
        """Return what the answer to one of our calls proves, then what it reports."""
        if status >= 500:
            return (Answer(Outcome.UNKNOWN, text=f"HTTP {status}"),)
        if status == 429:
            return (Answer(Outcome.RATE_LIMITED, code="HTTP 429", text="too many requests of this address"),)
        try:
            body = _BODY.decode(payload)
            refused = [word for word in body.error if not word.startswith("W")]
            if refused:
                return (_refusal(refused),)
            if status != 200:
                return (Answer(Outcome.UNKNOWN, text=f"HTTP {status}"),)
            if unsigned.path == PAIRS_PATH:
                return (Answer(Outcome.DONE), KrakenMetadata(self._venue).read(payload))
            return self._read(unsigned, instrument, bytes(body.result))
        except FAILURES as error:
            return (Answer(Outcome.UNKNOWN), unrecognised(f"answer to {unsigned.path}", error))

    def _read(self, unsigned: Unsigned, instrument: str, result: bytes) -> tuple[Event, ...]:
        reader = _READERS.get(unsigned.path)
        events = () if reader is None else reader(self._pairs, unsigned, instrument, result)
        if reader is not None and not events and any(name in ("cl_ord_id", "txid") for name, _ in unsigned.params):
            return (Answer(Outcome.NOT_FOUND, code="not listed"),)
        return (Answer(Outcome.DONE), *events)


def _refusal(words: list[str]) -> Answer:
    """Return what a list of errors proves: nothing, if one of them proves nothing."""
    outcomes = [classify(word) for word in words]
    word = words[outcomes.index(Outcome.UNKNOWN)] if Outcome.UNKNOWN in outcomes else words[0]
    text = word[:TEXT_MAX]
    return Answer(
        classify(word),
        code=text or "no reason",
        text=text,
        retry_at_ns=retry_at_ns(word),
        is_instrument_rule=word.startswith(INSTRUMENT_RULES),
        is_temporary=word.startswith(TEMPORARY),
    )


_Reader = Callable[[PairNames, Unsigned, str, bytes], tuple[Event, ...]]


def _placed(_pairs: PairNames, unsigned: Unsigned, instrument: str, result: bytes) -> tuple[Event, ...]:
    (order_id,) = msgspec.json.decode(result, type=_Placed).txid
    return (placed_report(unsigned, instrument, order_id),)


def _queried(pairs: PairNames, unsigned: Unsigned, instrument: str, result: bytes) -> tuple[Event, ...]:
    """Return the report of the queried order: by its id, or by ours among the orders of a list."""
    orders: dict[str, RestOrder]
    if unsigned.path == calls.QUERY:
        orders = msgspec.json.decode(result, type=dict[str, RestOrder])
    elif unsigned.path == calls.OPEN:
        orders = msgspec.json.decode(result, type=_Open).open
    else:
        orders = msgspec.json.decode(result, type=_Closed).closed
    params = dict(unsigned.params)
    reports = [order.report(order_id, pairs) for order_id, order in orders.items()]
    name, order_id = params.get("cl_ord_id", ""), params.get("txid", "")
    found = [
        report for report in reports if name in ("", report.client_order_id) and order_id in ("", report.venue_order_id)
    ]
    if not name and not order_id:
        return (OpenOrdersReport(tuple(reports)),)
    if len(found) > 1:
        raise ValueError(f"{len(found)} orders have the id {name or order_id}")
    for report in found:
        if instrument not in ("", report.instrument):
            raise ValueError(f"queried {instrument}, got {report.instrument}")
    return tuple(found)


def _balances(_pairs: PairNames, _unsigned: Unsigned, _instrument: str, result: bytes) -> tuple[Event, ...]:
    held = msgspec.json.decode(result, type=dict[str, RestBalance])
    return (AccountReport(tuple(one.report(asset) for asset, one in held.items()), can_trade=None),)


def _fills(pairs: PairNames, unsigned: Unsigned, instrument: str, result: bytes) -> tuple[Event, ...]:
    """Return the fills of one instrument, oldest first. The page holds those of all pairs."""
    page = msgspec.json.decode(result, type=_Fills)
    fills = sorted((one.fill(name, pairs) for name, one in page.trades.items()), key=TIMED_FILLS.cursor)
    total = max(page.count, len(fills))
    is_oldest = any(name == "ofs" for name, _ in unsigned.params)
    own = tuple(fill for fill in fills if fill.instrument == instrument)
    through = TIMED_FILLS.cursor(fills[-1]) if fills else ""
    is_whole = not is_oldest and total <= PAGE
    return (FillsReport(instrument, own, whole=is_whole, total=0 if is_oldest else total, through=through),)


_READERS: Final[dict[str, _Reader]] = {
    calls.ADD: _placed,
    calls.QUERY: _queried,
    calls.OPEN: _queried,
    calls.CLOSED: _queried,
    calls.BALANCES: _balances,
    calls.FILLS: _fills,
}
