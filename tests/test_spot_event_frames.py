"""A frame of spot's private stream leads to the same events whether it is read at once or in parts."""

import json
from typing import Any

import by_hand
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.venues.binance_spot import account
from engine.venues.binance_spot.account import SpotAccount

FILL = by_hand.report("a-1", "TRADE", "FILLED", s="BTCUSDT", S="BUY", t=7, l="1.0", z="1.0", i=5, L="90", p="90")
POSITION = {"e": "outboundAccountPosition", "E": 1, "u": 1, "B": [{"a": "BTC", "f": "1.50", "l": "0"}]}
NAMES = ("executionReport", "outboundAccountPosition", "balanceUpdate", "eventStreamTerminated", "unheard", 5, None)
ODD: tuple[Any, ...] = ("", "-1", "1e5", "x" * 300, -1, 2**70, 1.5, None, [], {}, True)
CHANGES = st.lists(st.tuples(st.integers(0, 40), st.sampled_from(ODD), st.booleans()), max_size=2)


def unread(_payload: bytes) -> Any:
    """Read no frame at once."""
    raise msgspec.DecodeError("not at once")


@settings(max_examples=250, deadline=None)
@given(
    st.sampled_from([FILL, POSITION]),
    st.sampled_from([False, *NAMES]),
    CHANGES,
    st.sampled_from([{}, {"subscriptionId": 0}, {"status": "x"}, {"id": 7, "status": 200}, {"code": -1, "msg": "no"}]),
    st.sampled_from(["event", "bare", "null", "cut"]),
)
def test_a_frame_is_read_at_once_as_in_parts(
    event: dict[str, Any], name: Any, changes: list[tuple[int, Any, bool]], more: dict[str, Any], form: str
) -> None:
    """Fields are missing, odd or of another event; the frame has other parts, no event, or is cut."""
    event = json.loads(json.dumps(event))
    if name is not False:
        event["e"] = name
    for number, value, is_removed in changes:
        field = sorted(event)[number % len(event)]
        event[field] = value
        if is_removed:
            del event[field]
    frame = {"event": {**more, "event": event}, "bare": {**more, **event}, "null": {**more, "event": None}}
    payload = json.dumps(frame.get(form, frame["event"])).encode()
    payload = payload[: len(payload) // 2] if form == "cut" else payload
    for venue in ("binance_spot", "mine"):
        codec = SpotAccount(venue=venue)
        at_once = codec.decode_private(payload)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(account, "_read_event_frame", unread)
            assert at_once == codec.decode_private(payload)
