"""A transcript of one client with the simulated venue in virtual time, for tests of the venue."""

import hashlib
import hmac
import json
from typing import Any, ClassVar

from engine.sim.binance.spot_protocol import SpotProtocol
from engine.sim.feeds.sim_market import DepthSnapshot, QuietMarket, SimMarket
from engine.sim.sim_venue import SimVenue
from engine.sim.units import units
from engine.sim.venue_config import AccountConfig, VenueConfig
from engine.sim.venue_protocol import ProtocolMaker
from engine.sim.wire import HttpAnswer, HttpRequest, Outgoing

START_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000
KEY, SECRET = "first-key", "first-secret"
OTHER_KEY, OTHER_SECRET = "other-key", "other-secret"
PRIVATE = 900


def levels(text: str) -> list[tuple[int, int]]:
    """Parse '100x1 99x2' into levels."""
    pairs = (level.split("x") for level in text.split())
    return [(units(price), units(quantity)) for price, quantity in pairs]


def quiet(bids: str, asks: str, symbol: str = "BTCUSDT") -> QuietMarket:
    return QuietMarket({symbol: DepthSnapshot(10, levels(bids), levels(asks))}, start_ns=START_NS)


class Client:
    """A client of a SimVenue that exchanges bytes with it and logs everything that comes back."""

    prefix = "/api/v3"
    protocol: ProtocolMaker = SpotProtocol
    money: ClassVar[dict[str, str]] = {"USDT": "10000", "BTC": "2"}

    def __init__(self, market: SimMarket | None = None, **config: Any) -> None:
        accounts = (
            AccountConfig(api_key=KEY, secret=SECRET, balances=self.money, name="first"),
            AccountConfig(api_key=OTHER_KEY, secret=OTHER_SECRET, balances=self.money, name="other"),
        )
        self.venue = SimVenue(
            VenueConfig(accounts=accounts, **config), market or self.quiet_market(), type(self).protocol
        )
        self.now_ns = START_NS + SECOND_NS
        self.log: list[Outgoing] = []
        self._conn_id = 1_000
        self.key, self.secret = KEY, SECRET
        self._update_id = 10
        self.wait(0)

    def quiet_market(self) -> SimMarket:
        """The market of a client that names none."""
        return quiet(bids="99x3 98x5", asks="101x1 102x2 103x4")

    # ---- time

    def wait(self, ms: float) -> None:
        self.now_ns += int(ms * 1_000_000)
        self.log += self.venue.advance(self.now_ns)

    # ---- requests

    def sign(self, query: str, *, timestamp_ms: int | None = None) -> str:
        stamp = self.now_ns // 1_000_000 if timestamp_ms is None else timestamp_ms
        query = f"{query}&timestamp={stamp}" if query else f"timestamp={stamp}"
        return f"{query}&signature={hmac.new(self.secret.encode(), query.encode(), hashlib.sha256).hexdigest()}"

    def send(self, method: str, path: str, query: str = "", body: str = "", key: str | None = None) -> int:
        """Send a request unchanged, and return the id of its exchange."""
        self._conn_id += 1
        headers = {"x-mbx-apikey": self.key if key is None else key}
        request = HttpRequest(method=method, path=path, query=query.encode(), body=body.encode(), headers=headers)
        self.venue.http(self._conn_id, request, self.now_ns)
        self.wait(0)
        return self._conn_id

    def answer_of(self, conn_id: int) -> HttpAnswer | None:
        return next((item.answer for item in self.log if item.conn_id == conn_id and item.answer), None)

    def was_cut(self, conn_id: int) -> bool:
        return any(item.conn_id == conn_id and item.close for item in self.log)

    def raw(self, method: str, path: str, query: str = "", **more: Any) -> HttpAnswer:
        answer = self.answer_of(self.send(method, path, query, **more))
        assert answer is not None, f"no answer to {method} {path}"
        return answer

    def get(self, path: str, query: str = "") -> Any:
        return self.raw("GET", f"{self.prefix}/{path}", query).json()

    def signed(self, method: str, path: str, query: str = "") -> HttpAnswer:
        return self.raw(method, f"{self.prefix}/{path}", self.sign(query))

    def order(self, text: str, **more: Any) -> Any:
        """Place an order such as 'BUY LIMIT 1 @ 100 GTC as mine' or 'SELL MARKET 1', and return the answer's JSON."""
        return self.signed("POST", "order", order_query(text, **more)).json()

    def order_list(self, kind: str, **fields: Any) -> Any:
        """Place a list (oco, oto, otoco, opo, opoco), and return the answer's JSON."""
        query = "&".join(f"{name}={value}" for name, value in {"symbol": "BTCUSDT", **fields}.items())
        return self.signed("POST", f"orderList/{kind}", query).json()

    def shown(self, client_order_id: str) -> Any:
        """Query an order."""
        return self.signed("GET", "order", f"symbol=BTCUSDT&origClientOrderId={client_order_id}").json()

    def amend(self, client_order_id: str, quantity: str, **more: Any) -> Any:
        extra = "".join(f"&{name}={value}" for name, value in more.items())
        query = f"symbol=BTCUSDT&origClientOrderId={client_order_id}&newQty={quantity}{extra}"
        return self.signed("PUT", "order/amend/keepPriority", query).json()

    def cancel(self, client_order_id: str) -> Any:
        return self.signed("DELETE", "order", f"symbol=BTCUSDT&origClientOrderId={client_order_id}").json()

    def balances(self) -> dict[str, tuple[str, str]]:
        """Return asset -> (free, locked) with digits cut short; assets with zeros are omitted."""
        account = self.signed("GET", "account").json()
        found = {b["asset"]: (short(b["free"]), short(b["locked"])) for b in account["balances"]}
        return {asset: amounts for asset, amounts in found.items() if amounts != ("0", "0")}

    # ---- streams

    def listen(self, conn_id: int = PRIVATE) -> None:
        """Subscribe to the account's events over the WebSocket API."""
        assert self.venue.connect(conn_id, "/ws-api/v3", self.now_ns)
        params: dict[str, Any] = {"apiKey": self.key, "timestamp": self.now_ns // 1_000_000}
        answer = self.ws(conn_id, "userDataStream.subscribe.signature", self.ws_sign(params))
        assert answer["status"] == 200, answer

    def ws_sign(self, params: dict[str, Any]) -> dict[str, Any]:
        payload = "&".join(f"{name}={json.dumps(value).strip(chr(34))}" for name, value in sorted(params.items()))
        return {**params, "signature": hmac.new(self.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()}

    def ws(self, conn_id: int, method: str, params: dict[str, Any] | None = None) -> Any:
        self.venue.frame(
            conn_id, json.dumps({"id": "x1", "method": method, "params": params or {}}).encode(), self.now_ns
        )
        self.wait(0)
        answers = [frame for frame in self.frames(conn_id) if "id" in frame]
        return answers[-1] if answers else None

    def frames(self, conn_id: int) -> list[Any]:
        return [json.loads(item.frame) for item in self.log if item.conn_id == conn_id and item.frame]

    def events(self) -> list[Any]:
        return [frame["event"] for frame in self.frames(PRIVATE) if "event" in frame]

    def story(self) -> list[str]:
        """The account's events in short: 'NEW/NEW', 'TRADE/FILLED 1@101 taker', 'funds BTC USDT'."""
        return [_event_story(event) for event in self.events()]

    # ---- the market

    def market_trade(self, price: str, quantity: str, *, sells: bool) -> None:
        body = {"symbol": "BTCUSDT", "price": price, "quantity": quantity, "buyer_is_maker": sells}
        self.sim("POST", "feed", body)

    def market_levels(self, bids: str = "", asks: str = "") -> None:
        """A depth diff."""
        self._update_id += 1
        data = {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": self._update_id, "u": self._update_id,
                "b": [level.split("x") for level in bids.split()], "a": [level.split("x") for level in asks.split()]}  # fmt: skip
        self.sim("POST", "feed", {"stream": "btcusdt@depth@100ms", "data": data})

    def sim(self, method: str, page: str, body: Any = None) -> Any:
        answer = self.raw(method, f"/sim/{page}", body=json.dumps(body) if body is not None else "")
        assert answer.status == 200, answer.body
        return answer.json()

    def fault(self, **rule: Any) -> None:
        self.sim("POST", "faults", rule)


def short(amount: str) -> str:
    return amount.rstrip("0").rstrip(".")


def order_query(text: str, *, symbol: str = "BTCUSDT", **more: Any) -> str:
    words = text.split()
    side, kind, quantity = words[:3]
    fields = {"symbol": symbol, "side": side, "type": kind, "quantity": quantity}
    rest = words[3:]
    while rest:
        match rest:
            case ["@", price, *rest]:
                fields["price"] = price
            case ["as", name, *rest]:
                fields["newClientOrderId"] = name
            case [word, *rest]:
                fields["timeInForce"] = word
    if kind == "LIMIT":
        fields.setdefault("timeInForce", "GTC")
    return "&".join(f"{name}={value}" for name, value in {**fields, **more}.items() if value is not None)


def _event_story(event: dict[str, Any]) -> str:
    if event["e"] == "outboundAccountPosition":
        return "funds " + " ".join(balance["a"] for balance in event["B"])
    if event["e"] == "listStatus":
        return f"list {event['l']}/{event['L']}"
    told = f"{event['x']}/{event['X']}"
    if event["x"] == "TRADE":
        told += f" {short(event['l'])}@{short(event['L'])} {'maker' if event['m'] else 'taker'}"
    return told + (f" {event['eR']}" if "eR" in event else "")
