"""docs/venue-usdm.md and the simulated USD-M futures agree: endpoints, filters, and nothing that only looks answered."""

import re
from pathlib import Path

import pytest
from usdm_transcript import FuturesClient

from engine.sim.binance_usdm.routed_connections import ListenKeys
from engine.sim.binance_usdm.unbuilt import UNBUILT
from engine.sim.binance_usdm.usdm_protocol import make_tables

PAGE = Path(__file__).resolve().parent.parent / "docs" / "venue-usdm.md"
TABLES = make_tables(ListenKeys())
NOT_IMPLEMENTED = -1020
LACKS = frozenset({-1102, -1125, -2011, -2013, -4046, -4059, -4171})  # the request, or something to act on


def endpoint_table() -> str:
    """Draw the table of endpoints from the routes; a method names each of its two versions."""
    methods: dict[tuple[str, str], str] = {}
    for method, route in TABLES.ws_methods.items():
        methods[route] = f"{methods[route]}, `{method}`" if route in methods else f"`{method}`"
    rows = ["| REST | WebSocket API | venue |", "|---|---|---|"]
    rows += [f"| `{method} {path}` | {methods.get((method, path), '')} | answered |" for method, path in TABLES.routes]
    rows += [f"| `{path}` | | refused |" for path in sorted(UNBUILT)]
    return "\n".join(rows)


def part(name: str) -> str:
    return PAGE.read_text().split(f"<!-- {name} -->\n")[1].split(f"\n<!-- end of {name} -->")[0]


def test_the_page_lists_the_endpoints() -> None:
    assert part("endpoints") == endpoint_table()


def test_the_page_names_the_filters_of_exchange_info() -> None:
    [info] = FuturesClient().get("exchangeInfo")["symbols"]
    named = [row.split("`")[1] for row in part("filters").splitlines()[2:]]
    assert sorted(named) == sorted(entry["filterType"] for entry in info["filters"])


@pytest.mark.parametrize(("method", "path"), list(TABLES.routes))
def test_an_endpoint_that_is_listed_as_answered_is(method: str, path: str) -> None:
    """It answers, or names what the request lacks; it never says that it is not implemented."""
    client = FuturesClient()
    known = TABLES.known[method, path]
    query = "&".join(f"{name}={value}" for name, value in (("symbol", "BTCUSDT"), ("interval", "1m")) if name in known)
    endpoint = TABLES.routes[method, path]
    answer = client.raw(method, path, client.sign(query) if endpoint.signed else query)
    body = answer.json()
    assert answer.status == 200 or body["code"] in LACKS, answer.body


@pytest.mark.parametrize("path", sorted(UNBUILT))
def test_an_endpoint_that_is_listed_as_refused_is(path: str) -> None:
    answer = FuturesClient().raw("GET", path)
    assert (answer.status, answer.json()["code"]) == (400, NOT_IMPLEMENTED)


def test_the_websocket_api_answers_as_rest_does() -> None:
    client = FuturesClient()
    assert client.venue.connect(5, "/ws-fapi/v1", client.now_ns)

    def ask(method: str, **params: object) -> dict[str, object]:
        signed = client.ws_sign({**params, "apiKey": client.key, "timestamp": client.now_ns // 1_000_000})
        found: dict[str, object] = client.ws(5, method, signed)
        return found

    placed = ask("order.place", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", quantity="1", price="90")
    assert placed["status"] == 200
    assert [each["interval"] for each in placed["rateLimits"]] == ["MINUTE", "SECOND", "MINUTE"]  # type: ignore[attr-defined]  # JSON
    for method in ("v2/account.balance", "v2/account.position", "v2/account.status", "account.position"):
        assert ask(method)["status"] == 200
    assert ask("session.logon")["error"] == {"code": -4056, "msg": "HMAC_SHA256 API key is not supported."}
    assert ask("session.status")["status"] == 400
    assert ask("no.such")["status"] == 400
    assert client.ws(5, "userDataStream.start", {"apiKey": client.key})["result"]["listenKey"]


def test_each_trap_of_the_page_has_its_test() -> None:
    named = re.findall(r"`(tests/\w+\.py)::(test_\w+)`", PAGE.read_text())
    assert len(named) > 10
    assert [name for path, name in named if f"def {name}(" not in (PAGE.parent.parent / path).read_text()] == []


def test_requests_cost_their_documented_weight() -> None:
    client = FuturesClient()
    costs = [
        ("GET", "/fapi/v1/depth", "symbol=BTCUSDT&limit=50", 2), ("GET", "/fapi/v1/depth", "symbol=BTCUSDT&limit=1000", 20),
        ("GET", "/fapi/v1/openOrders", "symbol=BTCUSDT", 1), ("GET", "/fapi/v1/openOrders", "", 40),
        ("GET", "/fapi/v3/account", "", 5), ("GET", "/fapi/v1/income", "", 30), ("GET", "/fapi/v1/premiumIndex", "", 10),
        ("GET", "/fapi/v1/userTrades", "symbol=BTCUSDT", 5), ("GET", "/fapi/v1/commissionRate", "symbol=BTCUSDT", 20),
        ("POST", "/fapi/v1/order", "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1", 0),
        ("POST", "/fapi/v1/countdownCancelAll", "symbol=BTCUSDT&countdownTime=0", 10),
    ]  # fmt: skip
    before = 0
    for method, path, query, weight in costs:
        endpoint = TABLES.routes[method, path]
        answer = client.raw(method, path, client.sign(query) if endpoint.signed else query)
        assert answer.status == 200, answer.body
        used = int(answer.named["x-mbx-used-weight-1m"])
        assert used - before == weight, path
        before = used
