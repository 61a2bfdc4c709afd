"""The common part of Coinbase's websocket frames: the envelope, acknowledgements and refusals."""

import msgspec

from engine.events import Answer, Event, Outcome
from engine.venues.coinbase.values import TEXT_MAX, Number, Text

UNNUMBERED = -1  # a frame that states no number
AUTH_WORDS = ("authent", "jwt", "unauthorized", "permission")  # of a refused subscription


class Envelope(msgspec.Struct):
    """Any frame of a connection. `sequence_num` counts its frames over all channels."""

    channel: Text = ""
    timestamp: Text = ""
    sequence_num: Number = UNNUMBERED
    events: msgspec.Raw = msgspec.Raw(b"[]")
    type: Text = ""  # "error" of a refusal, which has no channel
    message: str = ""


class _Subscriptions(msgspec.Struct):
    subscriptions: dict[str, msgspec.Raw] = {}


read_envelope = msgspec.json.Decoder(Envelope).decode
_read_subscriptions = msgspec.json.Decoder(list[_Subscriptions]).decode


def subscribed(frame: Envelope) -> str:
    """Return the channels of a connection, as the confirmation of a subscription lists them. Raises FAILURES."""
    names = {name for each in _read_subscriptions(frame.events) for name in each.subscriptions}
    return ",".join(sorted(names))[:TEXT_MAX]


def refused_frame(frame: Envelope) -> tuple[Event, ...]:
    """Return what a frame of the type `error` says of the subscription that waits."""
    text = " ".join(frame.message.split())[:TEXT_MAX]
    is_auth = any(word in text.lower() for word in AUTH_WORDS)
    return (Answer(Outcome.AUTH if is_auth else Outcome.REFUSED, code="error", text=text),)
