"""A loopback server that plays the story of an exchange (ccxt_exchanges.py), and a client that is our venue: signed by
ccxt, sent by our own sender, read by ccxt's parsers. `play` returns what was read right, and what was not."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from ccxt_exchanges import STORIES, T, Told

from engine.events import (
    AccountReport,
    Answer,
    BalanceReport,
    FillsReport,
    OpenOrdersReport,
    OrderReport,
    Outcome,
    ServerTime,
    VenueStatus,
)
from engine.live.clock import SessionClock
from engine.live.transport.selection import TransportProfile, make_sender
from engine.model import Instrument, OrderType, Side, TimeInForce
from engine.order_terms import LimitTerms
from engine.requests import AnswerStatus, HistoryPage, PolledStream, Unsigned
from engine.venues.ccxt import CcxtVenue, venue_of
from engine.venues.ccxt.signer import CcxtKey
from engine.venues.ccxt.unified_calls import call_name
from engine.venues.signing import Credentials
from verbatim.venue_contract import NOW_NS

SECRET = "c2VjcmV0IG9mIGEgc3Rvcnk="
MS = 1_000_000
ITEMS = (
    "markets",
    "quote",
    "book",
    "trades",
    "candles",
    "clock",
    "place",
    "cancel",
    "open orders",
    "order",
    "fills",
    "balances",
    "refusal",
)


class Seen(NamedTuple):
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: str


class Playing(BaseHTTPRequestHandler):
    """Answers each request with `server.next`."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        path, _, query = self.path.partition("?")
        server.seen.append(Seen(self.command, path, query, dict(self.headers), body))
        status, payload = server.routes.get(path, server.next)
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *args: object) -> None:
        """Stay silent."""


for method in ("GET", "POST", "DELETE"):
    setattr(Playing, f"do_{method}", Playing.answer)


@contextmanager
def playing() -> Iterator[ThreadingHTTPServer]:
    """Run a server on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Playing)
    server.daemon_threads = True
    server.seen, server.next, server.routes = [], (404, b""), {}
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def key_of(venue: CcxtVenue) -> CcxtKey:
    """Return a key of as many credentials as the exchange has."""
    given = ["story-key", SECRET, "story-third"][: len(venue.signer._names)]
    return venue.signer.load_key(Credentials(*given))


def instrument_of(exchange: str) -> tuple[Told, str, Instrument]:
    """Return the story of an exchange, our client order id in it, and its market."""
    bare = venue_of(exchange)((), 5_000)
    order_id = bare.order_ids.make(session="k3v9x2ab", strategy="q", version="1", seq=5, leg=0)
    told = STORIES[exchange](order_id)
    (of,) = bare.metadata.read_parts([encoded(each) for each in told.markets]).instruments
    return told, order_id, of


class Player:
    """One exchange, its venue and the wire between."""

    def __init__(self, exchange: str, server: Any) -> None:
        self.told, self.order_id, self.of = instrument_of(exchange)
        self.venue = venue_of(exchange)((self.of,), 5_000)
        self.server = server
        self.key = key_of(self.venue) if self.venue.trades else None
        self.clock = SessionClock.wall()
        self.sender = make_sender(TransportProfile.STANDARD, f"http://127.0.0.1:{server.server_address[1]}")
        self.stamp_ns = NOW_NS

    async def send(self, unsigned: Unsigned, payload: Any, status: int = 200) -> tuple[int, bytes]:
        """Sign and send a request, which the server answers so."""
        self.stamp_ns += MS
        self.server.next = (status, encoded(payload))
        message = self.venue.signer.sign_http(unsigned, self.key if unsigned.signed else None, self.stamp_ns)
        result = await self.sender.send(message, timeout_s=5, clock=self.clock)
        assert result.outcome is AnswerStatus.ANSWER, result.error
        seen = self.server.seen[-1]
        assert SECRET not in f"{seen}", "the secret is on the wire"
        expected = self.told.paths.get(call_name(unsigned))
        assert expected in (None, f"{seen.method} {seen.path}"), f"{seen.method} {seen.path}, expected {expected}"
        return result.status, result.body

    async def ask(self, unsigned: Unsigned, payload: Any, status: int = 200) -> tuple[Answer, tuple[Any, ...]]:
        """Return what the answer proves, and its reports."""
        status, body = await self.send(unsigned, payload, status)
        is_listed = call_name(unsigned) in ("fetch_open_orders", "fetch_balance", "fetch_time")
        answer, *reports = self.venue.decode_answer(unsigned, "" if is_listed else self.of.id, status, {}, body)
        assert isinstance(answer, Answer)
        return answer, tuple(reports)

    async def done(self, unsigned: Unsigned, payload: Any) -> tuple[Any, ...]:
        answer, reports = await self.ask(unsigned, payload)
        assert answer.outcome is Outcome.DONE, f"{answer} {reports}"
        return reports

    async def poll(self, stream: str, payload: Any) -> list[list[int]]:
        poll = next(each for each in self.venue.polls(self.of) if each.stream.name.lower() == stream)
        _, body = await self.send(poll.unsigned, payload)
        rows = self.venue.decode_poll(body, PolledStream(self.of.id, stream, 1), 7, NOW_NS)
        assert not isinstance(rows, tuple), rows
        found: list[list[int]] = rows.tolist()
        return found

    # ---- the story, one item after the other

    async def markets(self) -> None:
        requests = self.venue.metadata.requests((self.of.symbol,))
        bodies = [
            (await self.send(unsigned, part))[1] for unsigned, part in zip(requests, self.told.markets, strict=True)
        ]
        (of,) = self.venue.metadata.read_parts(bodies).instruments
        assert (of.symbol, of.base, of.quote) == (self.told.symbol, self.told.base, self.told.quote)
        assert of.tick_size in (Decimal("0.1"), Decimal("0.01"))
        assert 0 < of.lot_size <= Decimal("0.00001")
        assert of.trading
        main = self.venue.metadata.request()
        reports = await self.done(main, self.told.markets[requests.index(main)])
        assert reports[0].instruments == (of,), "the rules that a session reads again are the same"

    def price(self, text: str) -> int:
        return int(Decimal(text) * 10**self.of.price_scale)

    def size(self, text: str) -> int:
        return int(Decimal(text) * 10**self.of.size_scale)

    async def quote(self) -> None:
        (row,) = await self.poll("quote", self.told.ticker or self.told.book)
        assert row[6:10] == [self.price("60000.1"), self.size("0.5"), self.price("60000.3"), self.size("0.25")]

    async def book(self) -> None:
        header, *levels = await self.poll("book", self.told.book)
        assert header[8] == 3
        prices = [("60000.1", "0.5"), ("59999", "1"), ("60000.3", "0.25")]
        assert [row[7:9] for row in levels] == [[self.price(price), self.size(size)] for price, size in prices]

    async def trades(self) -> None:
        first, second = await self.poll("trade", self.told.trades)
        assert [first[6:8], second[6:8]] == [
            [self.price("60000.1"), self.size("0.01")],
            [self.price("60000.3"), self.size("0.02")],
        ]
        assert (first[9], second[9]) == (1, 0), "the first was sold, the second bought"
        assert first[8] < second[8]
        assert abs(first[4] - T * MS) < 1_000 * MS

    async def candles(self) -> None:
        _, body = await self.send(self.venue.history.request(self.of, minute_page()), self.told.candles)
        (candle,) = self.venue.history.read(body)
        assert candle.start_ns == T * MS
        assert [Decimal(text) for text in (candle.open, candle.high, candle.low, candle.close, candle.volume)] == [
            Decimal(text) for text in ("60000.1", "60000.3", "59990", "60000.2", "1.5")
        ]

    async def clock_is_read(self) -> None:
        query = self.venue.server_time()
        assert query is not None, "ccxt has no call for it"
        assert await self.done(query, self.told.time) == (ServerTime(T * MS),)

    def placing(self) -> Unsigned:
        terms = LimitTerms(price=Decimal(59000), time_in_force=TimeInForce.GTC)
        return self.venue.account.place(self.order_id, self.of, Side.BUY, Decimal("0.002"), terms)

    async def place(self) -> None:
        (report,) = await self.done(self.placing(), self.told.placed)
        assert self.order_id in str(self.server.seen[-1]), f"our id is not in {self.server.seen[-1]}"
        self.check_order(report, VenueStatus.OPEN, "0")

    def check_order(self, report: OrderReport, status: VenueStatus, filled: str) -> None:
        assert (report.instrument, report.client_order_id, report.venue_order_id) == (self.of.id, self.order_id, "7001")
        assert (report.status, report.side, report.type) == (status, Side.BUY, OrderType.LIMIT)
        assert (report.price, report.quantity, report.filled_quantity) == (
            Decimal(59000),
            Decimal("0.002"),
            Decimal(filled),
        )

    async def cancel(self) -> None:
        reports = await self.done(self.venue.account.cancel(self.of, self.order_id, "7001"), self.told.canceled)
        assert [(each.status, each.venue_order_id) for each in reports] in ([], [(VenueStatus.CANCELED, "7001")])

    async def open_orders(self) -> None:
        (report,) = await self.done(self.venue.account.open_orders(), self.told.open)
        assert isinstance(report, OpenOrdersReport)
        self.check_order(report.orders[0], VenueStatus.PARTIALLY_FILLED, "0.001")

    async def order(self) -> None:
        (report,) = await self.done(self.venue.account.query_order(self.of, venue_order_id="7001"), self.told.order)
        self.check_order(report, VenueStatus.PARTIALLY_FILLED, "0.001")

    async def fills(self) -> None:
        (report,) = await self.done(self.venue.account.fills_after(self.of, None), self.told.fills)
        assert isinstance(report, FillsReport)
        (fill,) = report.fills
        assert (fill.fill_id, fill.venue_order_id, fill.side, fill.maker) == ("501", "7001", Side.BUY, True)
        assert (fill.price, fill.quantity, fill.fee, fill.fee_asset) == (
            Decimal(59000),
            Decimal("0.001"),
            Decimal("0.000001"),
            "BTC",
        )
        assert fill.venue_ns == (T + 5) * MS

    async def balances(self) -> None:
        (report,) = await self.done(self.venue.account.balances(), self.told.balance)
        assert isinstance(report, AccountReport)
        held = {each.asset: each for each in report.balances}
        assert set(held) == {"BTC", "USDT"}, "what is 0 is not listed"
        assert held["USDT"] == BalanceReport("USDT", Decimal(882), Decimal(59))
        assert held["BTC"] == BalanceReport("BTC", Decimal("0.001"), Decimal(0))

    async def refusal(self) -> None:
        status, payload = self.told.refused
        answer, _ = await self.ask(self.placing(), payload, status)
        assert (answer.outcome, answer.code, answer.is_temporary) == (Outcome.REFUSED, "InsufficientFunds", True)


def minute_page() -> HistoryPage:
    minute = 60_000 * MS
    return HistoryPage(minute, minute, T * MS, T * MS + minute, T * MS + minute)


async def play(exchange: str) -> dict[str, str]:
    """Return each item of the story, with "" or the reason why it was not read right."""
    with playing() as server:
        player = Player(exchange, server)
        calls = (
            player.markets, player.quote, player.book, player.trades, player.candles, player.clock_is_read, player.place, player.cancel,
            player.open_orders, player.order, player.fills, player.balances, player.refusal,
        )  # fmt: skip
        found = {}
        for item, call in zip(ITEMS, calls, strict=True):
            try:
                await call()
                found[item] = ""
            except (AssertionError, ValueError, LookupError, AttributeError) as error:
                found[item] = f"{type(error).__name__}: {error}"
        await player.sender.close()
    return found
