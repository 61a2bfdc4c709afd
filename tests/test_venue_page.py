"""docs/venue.md and the simulated venue agree: endpoints, what is not implemented, filters and streams."""

from pathlib import Path
from typing import Any

import pytest
from sim_transcript import PRIVATE, Client, quiet

from engine.sim.binance.known_params import LATER, UNBUILT, UNBUILT_METHODS
from engine.sim.binance.venue_api import ROUTES, WS_METHODS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "venue.md"
METHODS = {route: method for method, route in WS_METHODS.items()}
NOT_IMPLEMENTED = -1020
# (method, path) -> parameters with which the endpoint answers
EXAMPLES: dict[tuple[str, str], str] = {
    ("GET", "klines"): "symbol=BTCUSDT&interval=1m",
    ("GET", "uiKlines"): "symbol=BTCUSDT&interval=1m",
    ("GET", "time"): "",
    ("GET", "ping"): "",
    ("GET", "exchangeInfo"): "",
    ("GET", "account"): "",
    ("GET", "rateLimit/order"): "",
    ("GET", "orderList"): "orderListId=1",
    ("GET", "openOrderList"): "",
    ("GET", "allOrderList"): "",
}


def endpoint_table() -> str:
    """Draw the table of endpoints from the routes."""
    rows = ["| REST | WebSocket API | venue |", "|---|---|---|"]
    for method, path in ROUTES:
        shown = path.removeprefix("/api/v3/")
        over_socket = METHODS.get((method, path))
        rows.append(f"| `{method} {shown}` | {f'`{over_socket}`' if over_socket else ''} | answered |")
    rows += [f"| `{path.removeprefix('/api/v3/')}` | | refused |" for path in sorted(UNBUILT)]
    rows += [f"| | `{method}` | refused |" for method in sorted(UNBUILT_METHODS)]
    return "\n".join(rows)


def parameter_table() -> str:
    """Draw the table of parameters that Binance reads and the venue refuses."""
    rows = ["| endpoint | refused parameters |", "|---|---|"]
    for (method, path), names in LATER.items():
        if names:
            listed = ", ".join(f"`{name}`" for name in sorted(names))
            rows.append(f"| `{method} {path.removeprefix('/api/v3/')}` | {listed} |")
    return "\n".join(rows)


def part(name: str) -> str:
    return PAGE.read_text().split(f"<!-- {name} -->\n")[1].split(f"\n<!-- end of {name} -->")[0]


def test_the_page_lists_the_endpoints() -> None:
    assert part("endpoints") == endpoint_table()


def test_the_page_lists_the_refused_parameters() -> None:
    assert part("parameters") == parameter_table()


def asked(client: Client, method: str, path: str) -> Any:
    query = EXAMPLES.get((method, path.removeprefix("/api/v3/")), "symbol=BTCUSDT")
    endpoint = ROUTES.get((method, path))
    return client.raw(method, path, client.sign(query) if endpoint is None or endpoint.signed else query)


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[1].startswith("/api/")])
def test_an_endpoint_that_is_listed_as_answered_is(method: str, path: str) -> None:
    """It answers, or names what the request lacks; it never says that it is not implemented."""
    client = Client()
    answer = asked(client, method, path)
    code = answer.json().get("code") if isinstance(answer.json(), dict) else None
    assert answer.status == 200 or code in (-1102, -1128, -2011, -2013), answer.body
    named = METHODS.get((method, path))
    if named is not None:
        client.listen()
        params = dict(part.split("=") for part in EXAMPLES.get((method, path[8:]), "symbol=BTCUSDT").split("&") if part)
        if ROUTES[method, path].signed:
            params = client.ws_sign({**params, "apiKey": client.key, "timestamp": client.now_ns // 1_000_000})
        over_socket = client.ws(PRIVATE, named, params)
        assert over_socket["status"] == answer.status
        assert over_socket.get("error", {}).get("code") == code


@pytest.mark.parametrize("path", sorted(UNBUILT))
def test_an_endpoint_that_is_listed_as_refused_is(path: str) -> None:
    for method in ("GET", "POST"):
        answer = asked(Client(), method, path)
        assert (answer.status, answer.json()["code"]) == (400, NOT_IMPLEMENTED)


@pytest.mark.parametrize("method", sorted(UNBUILT_METHODS))
def test_a_method_that_is_listed_as_refused_is(method: str) -> None:
    client = Client()
    client.listen()
    error = client.ws(PRIVATE, method, {"symbol": "BTCUSDT"})["error"]
    assert error["code"] == NOT_IMPLEMENTED
    assert method in error["msg"]


@pytest.mark.parametrize(("route", "name"), [(route, name) for route, names in LATER.items() for name in sorted(names)])
def test_a_parameter_that_is_listed_as_refused_is(route: tuple[str, str], name: str) -> None:
    client = Client()
    answer = client.raw(*route, client.sign(f"symbol=BTCUSDT&{name}=1"))
    assert (answer.status, answer.json()["code"]) == (400, NOT_IMPLEMENTED)
    assert name in answer.json()["msg"]


def test_the_page_names_the_filters_of_exchange_info() -> None:
    rules = {"position_max": 10**8, "iceberg_orders_max": 5}
    [info] = Client(quiet("99x1", "101x1"), overrides={"BTCUSDT": rules}).get("exchangeInfo")["symbols"]
    named = [row.split("`")[1] for row in part("filters").splitlines()[2:]]
    assert sorted(named) == sorted(entry["filterType"] for entry in info["filters"])
