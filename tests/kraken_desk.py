"""The simulated Kraken with a calm market, a client that uses the account by hand, and the comparison of the books.

The comparison reads what the venue itself answers to the account's queries.
"""

import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from calm_venue import CalmVenue

from engine.requests import Transport, Unsigned
from engine.sim.kraken.channels import Channels
from engine.sim.kraken.kraken_protocol import KrakenProtocol
from engine.sim.wire import HttpRequest
from engine.venues.kraken import Kraken
from engine.venues.kraken.values import asset_name
from journal.record import Kind
from verbatim.testing import VirtualSession

PRIVATE = "/0/private/"
DIALECT = Kraken(())
LIMITS = {"weight_minute_max": 15, "orders_10s_max": 60}  # those of AssetPairs' reader: the lowest tier
OWN = {"BTC/USD": "BTCUSDT"}  # strategies of the tests name their market so


class Desk(CalmVenue):
    """A VirtualVenue that plays Kraken."""

    def __init__(self, *, symbols: Sequence[str] = ("BTC/USD",), **more: Any) -> None:
        super().__init__(kind="kraken", symbols=symbols, **more)
        self.key = DIALECT.signer.load_key(self.credentials)
        self._nonce_ns = 0

    @property
    def protocol(self) -> KrakenProtocol:
        assert isinstance(self.sim.protocol, KrakenProtocol)
        return self.sim.protocol

    @property
    def channels(self) -> Channels:
        return self.protocol.channels

    # ---- by hand

    def call(self, method: str, nonce: int = 0, **params: str) -> Any:
        """Send a private request of another program with a key of the same account. Return the body of the answer."""
        self._nonce_ns = max(self.now_ns, self._nonce_ns + 1)
        unsigned = Unsigned(Transport.REST, "POST", f"{PRIVATE}{method}", tuple(params.items()), signed=True)
        message = DIALECT.signer.sign_http(unsigned, self.key, nonce or self._nonce_ns)
        headers = {name.lower(): value for name, value in message.headers}
        request = HttpRequest(method="POST", path=message.path_and_query, body=message.body, headers=headers)
        answer = self.sim.http_api.rest(request, self.now_ns).body
        self.protocol.tokens._nonces.clear()  # the two programs have two keys
        self.protocol.counters._requests.clear()
        return json.loads(json.dumps(answer, default=lambda raw: json.loads(bytes(raw))))

    def ask(self, method: str, **params: str) -> Any:
        """Return the result of a query that succeeds."""
        body = self.call(method, **params)
        assert body["error"] == [], body
        return body["result"]

    def lose_private_frame(self) -> None:
        """Lose the next private frame: its number is never seen."""
        for socket in self.channels.sockets.values():
            for channel in socket.numbers:
                socket.numbers[channel] += 1


def fills_of(venue: Desk) -> dict[str, Any]:
    """Return all fills of the account, by id."""
    found: dict[str, Any] = {}
    while True:
        page = venue.ask("TradesHistory", ofs=str(len(found)))
        found |= page["trades"]
        if len(found) >= page["count"]:
            return found


def check_books(session: VirtualSession) -> None:
    """Compare our account with the venue's answers: balances, open orders, fills. It received each id once."""
    session.command("reconcile").run(4)  # the venue streams no balances: holds of open orders are queried
    venue, account = session.venue, session.state.account
    assert isinstance(venue, Desk)
    for rest_name, held in venue.ask("BalanceEx").items():
        if (asset := asset_name(rest_name)) in account.balances.by_asset:
            ours, locked = account.balances.get(asset), Decimal(held["hold_trade"])
            assert (ours.free, ours.locked) == (Decimal(held["balance"]) - locked, locked), asset
    listed = {name: order.get("cl_ord_id", "") for name, order in venue.ask("OpenOrders")["open"].items()}
    live = {
        order.venue_order_id: "" if order.client_order_id.startswith("venue-") else order.client_order_id
        for order in account.orders.live.values()
    }
    assert live == listed
    fills = fills_of(venue)
    booked = Counter((fill, order.venue_order_id) for order in account.orders.all() for fill in order.fill_ids)
    assert booked == Counter((name, fill["ordertxid"]) for name, fill in fills.items())
    facts = {fact["fill_id"]: fact for fact in session.facts("order_filled")}
    assert all(Decimal(fills[name]["fee"]) == Decimal(fact["fee"]) for name, fact in facts.items())
    assert {fact["fee_asset"] for fact in facts.values()} <= {"USD"}
    assert set(venue.sim.exchange.client_ids_seen.values()) <= {1}
    assert venue.protocol.tokens.invalid_nonces == 0


def requests(session: VirtualSession, purpose: str) -> list[dict[str, Any]]:
    """Return the requests of a purpose."""
    asked = [json.loads(record.body or "") for record in session.kinds(Kind.REQUEST)]
    return [request for request in asked if request["purpose"] == purpose]


def private_rows(session: VirtualSession) -> list[dict[str, Any]]:
    """Return the entries of the channel `executions` that the session received."""
    frames = [
        json.loads(record.payload or b"{}")
        for record in session.kinds(Kind.BROKER)
        if record.source == "kraken.private.0"
    ]
    return [row for frame in frames if frame.get("channel") == "executions" for row in frame["data"]]
