"""A client sends any bytes: the venue answers and continues."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sim_transcript import PRIVATE, Client
from tiers import examples

NAMES = ["symbol", "side", "type", "quantity", "price", "timeInForce", "limit", "recvWindow", "orderId", "fromId",
         "startTime", "newClientOrderId", "quoteOrderQty", "interval", "symbols", "cancelReplaceMode"]  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        ["BTCUSDT", "BUY", "SELL", "LIMIT", "MARKET", "GTC", "1", "0", "100", "1.5\n", "²", "-1", "1e9", "٣", ""]
    ),
    st.text(max_size=8),
    st.integers().map(str),
)
PATHS = ["order", "openOrders", "allOrders", "myTrades", "depth", "klines", "exchangeInfo", "order/cancelReplace", "é"]
PARAMS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8)
WHATEVER = settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])


@WHATEVER
@given(method=st.sampled_from(["GET", "POST", "DELETE"]), path=st.sampled_from(PATHS), params=PARAMS)
def test_any_request_gets_an_answer(method: str, path: str, params: dict[str, str]) -> None:
    client = Client()
    query = "&".join(f"{name}={value}" for name, value in params.items())
    answer = client.raw(method, f"/api/v3/{path}", client.sign(query.encode("utf-8", "replace").decode()))
    assert answer.status in {200, 400, 401, 404, 405, 409, 429}
    answer.json()


@WHATEVER
@given(
    frame=st.one_of(
        st.binary(max_size=40),
        st.builds(
            lambda method, params: json.dumps({"id": 1, "method": method, "params": params}).encode(),
            st.sampled_from(["SUBSCRIBE", "UNSUBSCRIBE", "SET_PROPERTY", "order.place", "userDataStream.unsubscribe"]),
            st.one_of(st.lists(st.text(max_size=5), max_size=3), PARAMS, st.none(), st.integers()),
        ),
    )
)
def test_any_frame_gets_an_answer(frame: bytes) -> None:
    client = Client()
    client.listen()
    assert client.venue.connect(1, "/ws", client.now_ns)
    for conn_id in (1, PRIVATE):
        before = len(client.frames(conn_id))
        client.venue.frame(conn_id, frame, client.now_ns)
        client.wait(0)
        assert len(client.frames(conn_id)) == before + 1
