"""Help for market codecs that decode message by message. Names no venue."""

from collections.abc import Callable, Sequence

import numpy as np

from engine.market.rows import Rows
from engine.venues.venue import Decoded

Decode = Callable[[bytes, str, int, int], Decoded]


def decode_each(decode: Decode, payloads: Sequence[bytes], seqs: Rows, times_ns: Rows) -> tuple[Rows, list[int]] | None:
    """Return what `MarketCodec.decode_many` returns, by a codec's own `decode`.

    Args:
        decode: Of the codec.
        payloads: Frames of one link, oldest first.
        seqs: Of their records.
        times_ns: Of their records.
    """
    found: list[Rows] = []
    ends: list[int] = []
    for payload, seq, time_ns in zip(payloads, seqs.tolist(), times_ns.tolist(), strict=True):
        rows = decode(payload, "", seq, time_ns)
        if not isinstance(rows, np.ndarray):
            break
        found.append(rows)
        ends.append((ends[-1] if ends else 0) + len(rows))
    return (np.concatenate(found), ends) if found else None
