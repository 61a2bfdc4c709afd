"""Facts about polled market data: a poll that failed, and a stream that is read again. Values only."""

import msgspec


class PollFailed(msgspec.Struct, frozen=True, tag_field="fact", tag="poll_failed"):
    """A polled stream was not answered with market data. It is requested again at a time."""

    link: str
    instrument: str
    stream: str
    reason: str
    retry_ns: int


class PollResumed(msgspec.Struct, frozen=True, tag_field="fact", tag="poll_resumed"):
    """A polled stream was read again after failures."""

    link: str
    instrument: str
    stream: str
    failures: int  # in a row


PollFact = PollFailed | PollResumed
