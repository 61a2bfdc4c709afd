"""The simulated Coinbase with a calm market, a client that uses the account by hand, and the comparison of the books.

The comparison reads what the venue itself answers to the account's queries.
"""

import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from calm_venue import CalmVenue

from engine.requests import Transport, Unsigned
from engine.sim.coinbase.channels import Channels
from engine.sim.coinbase.coinbase_protocol import CoinbaseProtocol
from engine.sim.wire import HttpRequest
from engine.venues.coinbase import Coinbase
from engine.venues.coinbase.calls import ACCOUNTS, FILLS, LISTED
from engine.venues.coinbase.signer import CoinbaseKey
from verbatim.testing import VirtualSession

PREFIX = "/api/v3/brokerage"
OWN = {"BTC-USD": "BTCUSDT"}  # strategies of the tests name their market so
DIALECT = Coinbase(())


class Desk(CalmVenue):
    """A VirtualVenue that plays Coinbase."""

    def __init__(self, *, symbols: Sequence[str] = ("BTC-USD",), **more: Any) -> None:
        super().__init__(kind="coinbase", symbols=symbols, **more)
        self.key: CoinbaseKey = DIALECT.signer.load_key(self.credentials)

    @property
    def protocol(self) -> CoinbaseProtocol:
        assert isinstance(self.sim.protocol, CoinbaseProtocol)
        return self.sim.protocol

    @property
    def channels(self) -> Channels:
        return self.protocol.channels

    # ---- by hand

    def send(
        self, method: str, path: str, *, query: str = "", body: Any = None, token: str | None = None, host: str = ""
    ) -> tuple[int, Any]:
        """Send a request with a new token, or with the given one. Return status and body."""
        self.now_ns += 1
        if token is None:
            token = self.key.token(self.now_ns, f"{method} {host or 'api.coinbase.com'}{path}")
        headers = {"authorization": f"Bearer {token}", "host": "127.0.0.1:9090"}
        data = b"" if body is None else json.dumps(body).encode()
        request = HttpRequest(method=method, path=path, query=query.encode(), body=data, headers=headers)
        result = self.sim.http_api.rest(request, self.now_ns)
        return result.status, result.body

    def ask(self, path: str, query: str = "") -> Any:
        """Return the body of an answered query."""
        status, body = self.send("GET", path, query=query)
        assert status == 200, body
        return body

    def free(self, asset: str) -> Decimal:
        """Return what is free of an asset, as the venue answers."""
        wallets = {each["currency"]: each for each in self.ask(ACCOUNTS, "limit=250")["accounts"]}
        return Decimal(wallets[asset]["available_balance"]["value"])

    def place(self, client_order_id: str, side: str, configuration: dict[str, dict[str, Any]]) -> Any:
        """Place an order by hand. Return the body of the answer."""
        order = {"client_order_id": client_order_id, "product_id": "BTC-USD", "side": side}
        status, body = self.send("POST", f"{PREFIX}/orders", body={**order, "order_configuration": configuration})
        assert status == 200, body
        return body

    def socket(self, *messages: Unsigned) -> int:
        """Open a connection and subscribe. Return its number."""
        conn_id = self.new_conn_id()
        assert self.sim.connect(conn_id, "/", self.now_ns)
        for message in messages:
            self.now_ns += 1
            self.sim.frame(conn_id, DIALECT.signer.sign_frame(message, self.key, self.now_ns, ""), self.now_ns)
        return conn_id

    def frames(self, conn_id: int, seconds: float = 0) -> list[Any]:
        """Return what a connection gets in the next seconds; None for its end."""
        self.now_ns += int(seconds * 1e9)
        found = [out for out in self.sim.advance(self.now_ns) if out.conn_id == conn_id]
        return [None if out.close else json.loads(out.frame or b"") for out in found]

    def lose_frame(self, *, private: bool) -> None:
        """Lose the next frame of a session's connection: its number is never seen."""
        for conn_id, connection in self.channels.connections.items():
            if connection.private is private:
                self.channels.sockets[conn_id].number += 1


def message(channel: str, *products: str, kind: str = "subscribe", signed: bool = False) -> Unsigned:
    """Return a subscription."""
    params = (("channel", channel), *(("product_ids[]", name) for name in products))
    return Unsigned(Transport.WS_API, kind, "", params, signed=signed)


def check_books(session: VirtualSession) -> None:
    """Compare our account with the venue's answers: balances, open orders, fills. It received each id once."""
    session.command("reconcile").run(2)  # the venue streams no balances: holds of open orders are queried
    venue, account = session.venue, session.state.account
    assert isinstance(venue, Desk)
    for wallet in venue.ask(ACCOUNTS, "limit=250")["accounts"]:
        if wallet["currency"] in account.balances.by_asset:
            ours = account.balances.get(wallet["currency"])
            theirs = Decimal(wallet["available_balance"]["value"]), Decimal(wallet["hold"]["value"])
            assert (ours.free, ours.locked) == theirs, wallet
    rows = venue.ask(LISTED, "limit=1000")["orders"]
    listed = {row["order_id"]: row["client_order_id"] for row in rows if row["status"] in ("OPEN", "PENDING")}
    live = {order.venue_order_id: order.client_order_id for order in account.orders.live.values()}
    assert live == listed
    fills = Counter((row["entry_id"], row["order_id"]) for row in venue.ask(FILLS, "limit=1000")["fills"])
    booked = Counter((fill, order.venue_order_id) for order in account.orders.all() for fill in order.fill_ids)
    assert booked == fills
    paid = {row["entry_id"]: Decimal(row["commission"]) for row in venue.ask(FILLS, "limit=1000")["fills"]}
    facts = {fact["fill_id"]: Decimal(fact["fee"]) for fact in session.facts("order_filled")}
    assert all(paid[name] == fee for name, fee in facts.items())
    assert set(venue.sim.exchange.client_ids_seen.values()) <= {1}
