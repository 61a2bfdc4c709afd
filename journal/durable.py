"""The token of a record that is durable: what a request must hold before it may leave."""

from typing import Final

_KEY: Final = object()


class Durable:
    """Proof that a record, and everything before it, is on stable storage. Only a JournalWriter makes one.

    With Release.WRITTEN it proves that they are written.
    """

    __slots__ = ("seq",)

    def __init__(self, seq: int, *, _key: object = None) -> None:
        assert _key is _KEY, "only a JournalWriter knows what is durable"
        self.seq = seq


def make_token(seq: int) -> Durable:
    """Return the token of a record, for the writer that made it durable."""
    return Durable(seq, _key=_KEY)
