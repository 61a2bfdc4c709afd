"""The simulated Hyperliquid with a price that the test sets, and what a person does with the same account elsewhere."""

import json
from decimal import Decimal
from typing import Any

from steered_market import SteeredMarket

from engine.model import Instrument
from engine.requests import Transport, Unsigned
from engine.sim.hyperliquid import PROTOCOL
from engine.sim.units import ONE
from engine.sim.wire import HttpRequest
from engine.venues.hyperliquid import Hyperliquid
from engine.venues.hyperliquid.signer import WalletKey
from engine.venues.signing import Credentials, HttpMessage
from verbatim.testing import START_NS, VirtualVenue

D = Decimal
COIN, ASSET = "BTC", 1  # the list begins with a delisted coin
CLOID = "0x" + "0" * 31 + "1"
LIMIT = {"limit": {"tif": "Gtc"}}
AGENT = "0x14791697260e4c9a71f18484c9f997b308e59325"  # of the account's secret


class PerpVenue(VirtualVenue):
    """The venue; `act` and `ask` go the way of HTTP, without a connection."""

    def __init__(self, *, price: str = "60000", start_ns: int = START_NS, **more: Any) -> None:
        self.market = SteeredMarket(COIN, price=price, start_ns=start_ns, tick=ONE)
        super().__init__(kind=PROTOCOL, market=self.market, start_ns=start_ns, **more)
        self.address = self.credentials.key
        self.key: WalletKey = Hyperliquid(()).signer.load_key(self.credentials)
        self._stamp_ns = 0

    def move(self, price: str) -> None:
        """Set the price of the next message."""
        self.market.price = Decimal(price)

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        """Send a body. Return status and answer."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = HttpRequest(method="POST", path=path, body=raw, headers={})
        answer = self.sim.http_api.dress(self.sim.http_api.rest(request, self.now_ns), self.now_ns)
        is_json = dict(answer.headers)["Content-Type"] == "application/json"
        return answer.status, json.loads(answer.body) if is_json else answer.body.decode()

    def ask(self, kind: str, **params: Any) -> Any:
        """Return the answer to a query about the account."""
        status, answer = self.post("/info", {"type": kind, "user": self.address, **params})
        assert status == 200, answer
        return answer

    def signed(self, action: dict[str, Any], *, key: WalletKey | None = None) -> HttpMessage:
        """Return a signed action, as this account's owner makes it with another program."""
        self._stamp_ns = max(self.now_ns, self._stamp_ns + 1)
        unsigned = Unsigned(Transport.REST, "POST", "/exchange", (("action", json.dumps(action)),), signed=True)
        return Hyperliquid(()).signer.sign_http(unsigned, key or self.key, self._stamp_ns)

    def act(self, action: dict[str, Any]) -> Any:
        """Sign and send an action. Return the answer."""
        status, answer = self.post("/exchange", self.signed(action).body)
        assert status == 200, answer
        return answer

    def order(self, *, buy: bool = True, price: str = "50000", size: str = "0.01", cloid: str = "", **more: Any) -> Any:
        """Place an order. Return its entry of the answer."""
        wire = {"a": ASSET, "b": buy, "p": price, "s": size, "r": False, "t": LIMIT, **more}
        wire |= {"c": cloid} if cloid else {}
        answer = self.act({"type": "order", "orders": [wire], "grouping": "na"})
        return answer["response"]["data"]["statuses"][0] if answer["status"] == "ok" else answer

    def position(self) -> Decimal:
        """Return the account's position at the venue."""
        held = [row["position"] for row in self.ask("clearinghouseState")["assetPositions"]]
        return sum((D(each["szi"]) for each in held if each["coin"] == COIN), D(0))

    def wallet(self) -> Decimal:
        """Return the account's money without open P&L."""
        state = self.ask("clearinghouseState")
        open_pnl = sum((D(row["position"]["unrealizedPnl"]) for row in state["assetPositions"]), D(0))
        return D(state["marginSummary"]["accountValue"]) - open_pnl

    def begin(self, seconds: int = 2) -> "PerpVenue":
        """Let the market move for a time without a session."""
        self.sim.advance(self.now_ns + seconds * 10**9)
        self.now_ns += seconds * 10**9
        return self


def instrument() -> Instrument:
    """Return the coin as the venue describes it."""
    venue = PerpVenue()
    [found] = venue.instruments()
    return found


def other_key(secret: str = "0x" + "9" * 64) -> WalletKey:
    """Return a key that no account approved."""
    return Hyperliquid(()).signer.load_key(Credentials(AGENT, secret, network="local"))
