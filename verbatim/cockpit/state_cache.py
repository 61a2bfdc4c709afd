"""States at a cursor that moves: a rebuilt state, then folds forward from copies that are kept in memory."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec

from engine.kernel import Kernel
from engine.market import serialize
from engine.state.session_state import Account, State
from journal.frame_runs import group_frames
from journal.reader import Journal
from journal.record import Record
from replay.rebuild import fold_run, rebuild
from replay.snapshots import snapshot_seqs
from replay.state_report import describe_state

PIN_RECORDS = 2_048  # records between two copies
PINS_MAX = 48


class Pin(msgspec.Struct, frozen=True):
    """A copy of a state. It shares the account, which is never changed in place."""

    account: Account
    market: bytes
    seq: int
    time_ns: int
    inputs: int
    input_hash: bytes
    record: Record


class StateCache:
    """The engine's state after any record of one session."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._kernel: Kernel | None = None
        self._pins: OrderedDict[int, Pin] = OrderedDict()

    def report(self, seq: int) -> dict[str, Any]:
        """Return the state after a record as plain values, as `verbatim ask --json` does."""
        with self._lock:
            state, record = self._fold(seq)
            return describe_state(self._kernel_in_use(), state, record)

    def walk(self, from_seq: int, to_seq: int, visit: Callable[[State, int], None]) -> None:
        """Fold from one record to another. Call `visit` with the state before each record, and its time."""
        with self._lock:
            state, _ = self._fold(from_seq)
            kernel = self._kernel_in_use()
            for record in Journal.open(self._folder).records(from_seq + 1, to_seq):
                visit(state, record.time_ns)
                kernel.rebuild(state, record)

    def _kernel_in_use(self) -> Kernel:
        assert self._kernel is not None, "a state was folded"
        return self._kernel

    def _fold(self, seq: int) -> tuple[State, Record]:
        near = max((pin for pin in self._pins if pin <= seq), default=-1)
        if near < 0 or self._kernel is None or (seq - near > PIN_RECORDS and self._snapshot_before(seq) > near):
            self._kernel, state, record = rebuild(self._folder, until=self._first_target(seq))
            self._keep(state, record)
        else:
            self._pins.move_to_end(near)
            state, record = self._restored(self._pins[near])
        if state.seq < seq:
            kept = state.seq
            for run in group_frames(Journal.open(self._folder).records(state.seq + 1, seq)):
                fold_run(self._kernel, state, run)
                record = run[-1]
                if record.seq - kept >= PIN_RECORDS:
                    self._keep(state, record)
                    kept = record.seq
            if seq - state.seq == 0 and seq % PIN_RECORDS > PIN_RECORDS // 4:
                self._keep(state, record)
        return state, record

    def _snapshot_before(self, seq: int) -> int:
        """Return the record of the last snapshot on the disk before a record, -1 without one."""
        return max((found for found in snapshot_seqs(Journal.open(self._folder)) if found <= seq), default=-1)

    def _first_target(self, seq: int) -> int:
        """Return a record a little before `seq`, so that a cursor which then moves back finds a copy."""
        return max(0, seq - PIN_RECORDS // 2)

    def _keep(self, state: State, record: Record) -> None:
        self._pins[state.seq] = Pin(
            state.account, state.market.dump(), state.seq, state.time_ns, state.inputs, state.input_hash, record
        )
        self._pins.move_to_end(state.seq)
        while len(self._pins) > PINS_MAX:
            self._pins.popitem(last=False)

    def _restored(self, pin: Pin) -> tuple[State, Record]:
        market = self._kernel_in_use().session.empty_market()
        serialize.load(market, pin.market)
        state = State(pin.account, market, seq=pin.seq, time_ns=pin.time_ns, inputs=pin.inputs)
        state.restart_hash(pin.input_hash)
        return state, pin.record
