"""The functions that SQL views call for decoded market rows and for a venue's refusals.

The decoders (analysis/market_rows.py, with Numba) are imported at the first call: most queries read no market view.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
from duckdb.func import FunctionNullHandling, PythonUDFType

from analysis.read_only_thread import read_only
from engine.market import rows as r
from engine.market.rows import Rows
from engine.model import Instrument
from journal.arrow_arrays import integers, numbers, texts
from journal.reader import Journal

if TYPE_CHECKING:
    from analysis.market_rows import SessionRows

_UNIT = pa.decimal128(19, 18)
_FIELDS = {  # a row as SQL sees it; engine/market/rows.py defines a .. e
    "instrument": pa.string(),
    "price_unit": _UNIT,
    "size_unit": _UNIT,
    "venue_ns": pa.int64(),
    **dict.fromkeys("abcde", pa.int64()),
}
_ROW = (
    "STRUCT(instrument VARCHAR, price_unit DECIMAL(19, 18), size_unit DECIMAL(19, 18), venue_ns BIGINT, "
    "a BIGINT, b BIGINT, c BIGINT, d BIGINT, e BIGINT)[]"
)
_REFUSAL = "STRUCT(code VARCHAR, text VARCHAR)"
_ROW_TYPES = {"quote": r.QUOTE, "trade": r.TRADE}


class _Sessions:
    """The rows of each session by its name in the column `session`, made when a query first needs them."""

    def __init__(self, journals: Mapping[str, Journal]) -> None:
        self._journals = journals
        self._rows: dict[str, SessionRows] = {}
        self._lock = Lock()  # DuckDB calls from several threads

    def __getitem__(self, name: str) -> "SessionRows":
        with self._lock:
            if name not in self._rows:
                self._rows[name] = read_only.outside(partial(self._make, name))  # an import fills caches
            return self._rows[name]

    def _make(self, name: str) -> "SessionRows":
        from analysis.market_rows import SessionRows

        return SessionRows(self._journals[name])


def register(connection: duckdb.DuckDBPyConnection, journals: Mapping[str, Journal]) -> None:
    """Add the functions `quote_rows`, `trade_rows` and `refusal(...)` to a connection.

    Args:
        connection: Where the views are.
        journals: By the name that their column `session` has.

    """
    sessions = _Sessions(journals)
    for row_type, number in _ROW_TYPES.items():
        connection.create_function(
            f"{row_type}_rows",
            _rows_function(sessions, number),
            ["VARCHAR", "BIGINT"],
            _ROW,
            type=PythonUDFType.ARROW,
        )
    connection.create_function(
        "refusal",
        _refusal_function(sessions),
        ["VARCHAR", "VARCHAR", "VARCHAR", "INTEGER", "VARCHAR", "BLOB"],
        _REFUSAL,
        null_handling=FunctionNullHandling.SPECIAL,
    )


def _rows_function(sessions: _Sessions, row_type: int) -> Any:
    def rows(names: pa.Array, seqs: pa.Array) -> pa.Array:
        names, seqs = _flat(names), _flat(seqs)
        parts = []
        for name, begin, end in _runs(names):
            session = sessions[name]
            wanted = numbers(seqs[begin:end])
            found, counts = read_only.outside(partial(session.rows_of, wanted, row_type))  # it fills caches
            parts.append(_lists(found, counts, session.instruments()))
        return (
            pa.concat_arrays(parts) if parts else _lists(np.empty((0, r.COLUMNS), np.int64), np.empty(0, np.int64), ())
        )

    return rows


def _flat(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _runs(names: pa.Array) -> list[tuple[str, int, int]]:
    """Return each stretch of one session: its name, where it begins and the place behind its end."""
    import pyarrow.compute as pc  # it takes 50 ms to import

    runs = pc.run_end_encode(names)
    ends = runs.run_ends.to_pylist()
    return list(zip(runs.values.to_pylist(), [0, *ends[:-1]], ends, strict=True))


def _lists(found: Rows, counts: Rows, instruments: Sequence[Instrument]) -> pa.Array:
    """Return the rows as Arrow lists, one for each record."""
    places = integers(found[:, r.INSTRUMENT])
    ids = texts([instrument.id for instrument in instruments])
    prices, sizes = (
        texts([f"1e-{scale}" for scale in scales]).cast(_UNIT)
        for scales in ([i.price_scale for i in instruments], [i.size_scale for i in instruments])
    )
    columns = [
        ids.take(places),
        prices.take(places),
        sizes.take(places),
        integers(found[:, r.VENUE_NS]),
        *(integers(found[:, column]) for column in range(r.FIELDS, r.COLUMNS)),
    ]
    structs = pa.StructArray.from_arrays(columns, fields=[pa.field(name, kind) for name, kind in _FIELDS.items()])
    offsets = integers(np.concatenate([[0], np.cumsum(counts)])).cast(pa.int32())
    return pa.ListArray.from_arrays(offsets, structs)


def _refusal_function(sessions: _Sessions) -> Any:
    def refusal(  # noqa: PLR0917 - a SQL function has no named arguments
        session: str, source: str, request: str, status: int, headers: str | None, payload: bytes | None
    ) -> dict[str, str | None]:
        """Return the venue's error code and words of an answer, as its codec reads them."""
        from engine.events import Answer
        from engine.record_codec import read_request

        body = read_request(request)
        venue = sessions[session].venue(source)
        if venue is None or body.unsigned is None:
            return {"code": None, "text": None}
        named = msgspec.json.decode(headers or "{}", type=dict[str, str])
        events = venue.decode_answer(body.unsigned, body.instrument, status, named, payload or b"")
        answer = next((event for event in events if isinstance(event, Answer)), None)
        if answer is None:
            return {"code": None, "text": None}
        return {"code": str(answer.code) if answer.code else None, "text": answer.text or None}

    return refusal
