"""The simulated Alpaca in virtual time for tests: a calm market, requests by hand, and its books beside ours."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from calm_venue import CalmMarket

from engine.sim.alpaca.broker_protocol import BrokerProtocol
from engine.sim.wire import HttpRequest
from verbatim.testing import API_KEY, API_SECRET, START_NS, VirtualSession, VirtualVenue

BALANCES = {"USD": "100000"}
HEADERS = {"apca-api-key-id": API_KEY, "apca-api-secret-key": API_SECRET}


class BrokerVenue(VirtualVenue):
    """The simulated Alpaca of a test."""

    def __init__(self, symbols: Sequence[str] = ("AAPL", "BTC/USD"), *, calm: bool = True, **more: Any) -> None:
        market = CalmMarket(symbols, seed=1, start_ns=START_NS) if calm else None
        given = {"balances": BALANCES, "symbols": symbols, **more}
        super().__init__(kind="alpaca", market=market, start_ns=START_NS, **given)

    @property
    def broker(self) -> BrokerProtocol:
        """The protocol, whose waits and hours a test may set."""
        assert isinstance(self.sim.protocol, BrokerProtocol)
        return self.sim.protocol

    def ask(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        """Return status and body of a request that another program of the account makes."""
        answer = self.request(method, path, body, query=query)
        return answer[0], json.loads(answer[2] or b"null")

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] = HEADERS,
        query: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and bytes of the answer to a request.

        Its events are streamed with the next ones of the market.
        """
        text = "&".join(f"{name}={value}" for name, value in (query or {}).items())
        payload = b"" if body is None else json.dumps(body).encode()
        request = HttpRequest(method=method, path=path, query=text.encode(), body=payload, headers=headers)
        api = self.sim.http_api
        answer = api.dress(api.rest(request, self.now_ns), self.now_ns)
        return answer.status, answer.named, answer.body

    def trade(self, symbol: str, price: str, quantity: str, *, buyer_is_maker: bool = True) -> None:
        """Let the market trade at a price."""
        body = {"symbol": symbol, "price": price, "quantity": quantity, "buyer_is_maker": buyer_is_maker}
        request = HttpRequest(method="POST", path="/sim/feed", body=json.dumps(body).encode(), headers={})
        self.sim.http(self.new_conn_id(), request, self.now_ns)

    def order(self, **fields: Any) -> tuple[int, Any]:
        """Place an order as another program of the account; by default, a share to buy far below the market."""
        usual = {"symbol": "AAPL", "side": "buy", "type": "limit", "time_in_force": "gtc", "qty": "1"}
        usual |= {"limit_price": "100"} if fields.get("type", "limit") == "limit" else {}
        return self.ask("POST", "/v2/orders", {**usual, **fields})


def check_broker_books(session: VirtualSession, venue: BrokerVenue) -> None:
    """Compare our account with the venue's: cash, holdings, open orders, and every fill once."""
    account, exchange = session.state.account, venue.broker.exchange
    funds = exchange.funds("test")
    for asset in ("USD", *(market.rules.base for market in exchange.markets.values())):
        known = account.balances.by_asset.get(asset)
        if known is not None:
            # what orders lock shows in the next round: the venue streams no balances
            assert known.total == Decimal(funds.total(asset)) / 10**8, asset
    theirs_open = {order.order_id: order for order in venue.broker.desk.orders.open()}
    ours_open = {order.venue_order_id: order for order in account.orders.live.values()}
    assert ours_open.keys() == theirs_open.keys()
    for order_id, ours in ours_open.items():
        assert (ours.client_order_id, ours.filled_quantity) == (
            theirs_open[order_id].client_order_id,
            Decimal(theirs_open[order_id].body()["filled_qty"]),
        )
    booked = Counter(fill for order in account.orders.all() for fill in order.fill_ids)
    _, activities = venue.ask("GET", "/v2/account/activities/FILL", direction="asc")
    made = Counter(f"{each['order_id']}:{each['cum_qty']}" for each in activities)
    assert booked == made
    names = [order.client_order_id for order in venue.broker.desk.orders.list_all("test")]
    assert len(set(names)) == len(names)
