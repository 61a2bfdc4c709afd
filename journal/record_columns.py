"""Records as columns: a reader that needs few of them as objects makes only these.

Knows nothing of the meaning of records.
"""

from collections.abc import Collection, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from journal.arrow_arrays import are_valid, binary_places, numbers, numbers_or, word_codes
from journal.arrow_codec import KINDS, column_values, unknown_kind
from journal.record import Kind, Record

NO_CAUSE = np.iinfo(np.int64).min  # -1 is the cause of frames of a connection that a session before opened
_FIELDS = Record.__struct_fields__


class RecordColumns:
    """Consecutive records by their columns."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        """Read the columns of a batch.

        Raises:
            ValueError: A row has an unknown kind.
        """
        self._column = dict(zip(batch.schema.names, batch.columns, strict=True))
        self.seqs: NDArray[np.int64] = numbers(self._column["seq"])
        self.times_ns: NDArray[np.int64] = numbers(self._column["time_ns"])
        self._kind_codes, texts = word_codes(self._column["kind"])
        if unknown := [text for text in texts if text not in KINDS]:
            raise unknown_kind(unknown[0])
        self._kinds = [KINDS[text] for text in texts]
        self.source_codes: NDArray[np.int64]
        self.source_codes, self._sources = word_codes(self._column["source"])
        self._lists: dict[str, list[Any]] = {}  # the values of fields that were needed

    def __len__(self) -> int:
        return len(self.seqs)

    def have_kinds(self, kinds: Collection[Kind]) -> NDArray[np.bool_]:
        """Return True for each record of one of these kinds."""
        return np.array([kind in kinds for kind in self._kinds], np.bool_)[self._kind_codes]

    def have(self, field: str) -> NDArray[np.bool_]:
        """Return True for each record that has a value in a field."""
        return are_valid(self._column[field])

    @cached_property
    def causes(self) -> NDArray[np.int64]:
        """The cause of each record, or NO_CAUSE."""
        return numbers_or(self._column["cause"], NO_CAUSE)

    @cached_property
    def payloads(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The payloads, one behind the other, and where each begins and the last one ends. A missing one is empty."""
        return binary_places(self._column["payload"])

    def source(self, at: int) -> str:
        """Return the source of a record."""
        return self._sources[self.source_codes.item(at)]

    def records(self, places: NDArray[np.int64]) -> Iterator[Record]:
        """Return an iterator of the records at some places."""
        at = places.tolist()
        return map(
            Record,
            self.seqs[places].tolist(),
            self.times_ns[places].tolist(),
            map(self._kinds.__getitem__, self._kind_codes[places].tolist()),
            map(self._sources.__getitem__, self.source_codes[places].tolist()),
            *[map(self._values(field).__getitem__, at) for field in _FIELDS[4:-2]],
            (self._column["payload"][place].as_py() for place in at),  # of most places no record is made
            map(self._values("body").__getitem__, at),
        )

    def _values(self, field: str) -> list[Any]:
        if field not in self._lists:
            self._lists[field] = list(column_values(self._column[field]))
        return self._lists[field]
