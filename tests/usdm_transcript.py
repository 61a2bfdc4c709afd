"""A transcript of one client with the simulated USD-M futures in virtual time, for tests of that venue.

The quiet market trades BTCUSDT at 100, with a tick of 0.1 and a lot of 0.001; its smallest notional is 5.
"""

import json
from typing import Any, ClassVar

from sim_transcript import START_NS, Client, levels, order_query, short

from engine.sim.binance_usdm.market_messages import WORDING
from engine.sim.binance_usdm.usdm_protocol import UsdmProtocol
from engine.sim.feeds.sim_market import DepthSnapshot, QuietMarket, SimMarket
from engine.sim.units import units
from engine.sim.venue_protocol import ProtocolMaker

SMALL = {"tick_size": units("0.1"), "price_min": units("0.1"), "notional_min": units("5"),
         "price_multiplier_up": units("5"), "price_multiplier_down": units("0.2")}  # fmt: skip
PRIVATE = 900


def quiet_contracts(bids: str, asks: str) -> QuietMarket:
    return QuietMarket({"BTCUSDT": DepthSnapshot(10, levels(bids), levels(asks))}, start_ns=START_NS, wording=WORDING)


class FuturesClient(Client):
    """A client of the simulated USD-M futures."""

    prefix = "/fapi/v1"
    protocol: ProtocolMaker = UsdmProtocol
    money: ClassVar[dict[str, str]] = {"USDT": "1000"}

    def __init__(self, market: SimMarket | None = None, **config: Any) -> None:
        overrides = dict.fromkeys(market.symbols if market else ("BTCUSDT",), SMALL)
        super().__init__(market, **{"overrides": overrides, **config})
        self._update_id = 100

    def quiet_market(self) -> SimMarket:
        return quiet_contracts(bids="99x3 98x50", asks="101x1 102x2 103x40")

    def order(self, text: str, **more: Any) -> Any:
        """Place an order such as 'BUY LIMIT 1 @ 100 GTX as mine', and return the answer's JSON."""
        return self.signed("POST", "order", order_query(text, **more)).json()

    def algo(self, text: str, **more: Any) -> Any:
        """Place a conditional order such as 'SELL STOP_MARKET 1 at 95 as mine'."""
        side, kind, *rest = text.split()
        fields = {"algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": side, "type": kind}
        names = {"at": "triggerPrice", "@": "price", "as": "clientAlgoId"}
        while rest:
            word = rest.pop(0)
            if word in names:
                fields[names[word]] = rest.pop(0)
            else:
                fields["quantity"] = word
        if "price" in fields:
            fields["timeInForce"] = "GTC"
        query = "&".join(f"{name}={value}" for name, value in {**fields, **more}.items())
        return self.signed("POST", "algoOrder", query).json()

    def cancel(self, client_order_id: str) -> Any:
        return self.signed("DELETE", "order", f"symbol=BTCUSDT&origClientOrderId={client_order_id}").json()

    def listen(self, conn_id: int = PRIVATE, form: str = "ws") -> None:
        """Start a listen key and open the account's stream."""
        key = self.raw("POST", "/fapi/v1/listenKey").json()["listenKey"]
        target = f"/private/ws/{key}" if form == "ws" else f"/private/stream?listenKey={key}"
        assert self.venue.connect(conn_id, target, self.now_ns)

    def events(self) -> list[Any]:
        return [frame.get("data", frame) for frame in self.frames(PRIVATE) if "id" not in frame]

    def story(self) -> list[str]:
        """The account's events in short, without TRADE_LITE: 'NEW/NEW', 'ORDER 900 BTCUSDT 1@101', ..."""
        return [told for event in self.events() if (told := _told(event))]

    def wallet(self) -> str:
        """The wallet balance in USDT."""
        [row] = [row for row in self.raw("GET", "/fapi/v3/balance", self.sign("")).json() if row["asset"] == "USDT"]
        return short(row["balance"])

    def available(self) -> str:
        [row] = [row for row in self.raw("GET", "/fapi/v3/balance", self.sign("")).json() if row["asset"] == "USDT"]
        return short(row["availableBalance"])

    def position(self, side: str = "BOTH") -> Any:
        """The row of positionRisk, or None if the symbol is flat."""
        rows = self.raw("GET", "/fapi/v3/positionRisk", self.sign("symbol=BTCUSDT")).json()
        return next((row for row in rows if row["positionSide"] == side), None)

    def market_mark(self, price: str, *, index: str = "", rate: str = "0.0001", next_ms: int = 0) -> None:
        """A mark price of the market."""
        data = {
            "e": "markPriceUpdate",
            "E": 1,
            "s": "BTCUSDT",
            "p": price,
            "i": index or price,
            "r": rate,
            "T": next_ms,
        }
        self.sim("POST", "feed", {"stream": "btcusdt@markPrice@1s", "data": data})

    def market_levels(self, bids: str = "", asks: str = "") -> None:
        """A depth diff."""
        before, self._update_id = self._update_id, self._update_id + 10
        data = {"e": "depthUpdate", "E": 1, "T": 1, "s": "BTCUSDT", "U": before + 1, "u": self._update_id, "pu": before,
                "b": [level.split("x") for level in bids.split()], "a": [level.split("x") for level in asks.split()]}  # fmt: skip
        self.sim("POST", "feed", {"stream": "btcusdt@depth@100ms", "data": data})


def _told(event: dict[str, Any]) -> str:
    match event["e"]:
        case "TRADE_LITE":
            return ""
        case "ORDER_TRADE_UPDATE":
            order = event["o"]
            told = f"{order['x']}/{order['X']}"
            if order["x"] in ("TRADE", "CALCULATED"):
                told += f" {order['l']}@{order['L']} {'maker' if order['m'] else 'taker'} pnl {order['rp']}"
            return told + (f" er {order['er']}" if order["er"] != "0" else "")
        case "ACCOUNT_UPDATE":
            changed = event["a"]
            wallets = " ".join(row["wb"] for row in changed["B"])
            held = " ".join(f"{row['pa']}@{row['ep']}" for row in changed["P"])
            return f"{changed['m']} {wallets} {held}".rstrip()
        case "ALGO_UPDATE":
            return f"algo {event['o']['X']}"
        case name:
            return str(name)


def answer(client: FuturesClient, method: str, path: str, query: str = "") -> Any:
    """Return the JSON of a signed request at a full path."""
    return client.raw(method, path, client.sign(query)).json()


def listed(text: bytes) -> Any:
    return json.loads(text)
