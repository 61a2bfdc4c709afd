"""Client order ids: derived from (session, strategy, version, seq, leg), never drawn. The same record asks for the same order again."""

import re
from base64 import b32encode
from hashlib import sha256

_UNFIT = re.compile(r"[^A-Za-z0-9_]")


def client_order_id(*, session: str, strategy: str, version: str, seq: int, leg: int, length_max: int) -> str:
    """Readable where it fits, else a hash of the same tuple behind the session's id.

    >>> client_order_id(session="k3v9x2ab", strategy="quoter", version="1", seq=4711, leg=0, length_max=36)
    'k3v9x2ab-quoter-1-4711-0'
    """
    readable = f"{session}-{_UNFIT.sub('_', strategy)}-{_UNFIT.sub('_', version)}-{seq}-{leg}"
    if len(readable) <= length_max and _UNFIT.search(strategy + version) is None:
        return readable
    hashed = b32encode(sha256(f"{session}|{strategy}|{version}|{seq}|{leg}".encode()).digest()).decode().lower()
    return f"{session}-{hashed}"[:length_max]
