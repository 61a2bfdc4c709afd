"""Background sealing of the segments that a writer has finished, in a thread of low priority."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING

from journal.content_hash import CHAIN_START
from journal.disk import Disk
from journal.final_errors import FinalErrors
from journal.seal import seal

if TYPE_CHECKING:
    from journal.signing import Signer

SEALER_NICE = 5  # on Linux each thread has its own priority


class Sealer:
    """The thread that seals segments in order, because each needs the chain value before it.

    `chain` and `segments` are final once `finish` has returned.
    """

    def __init__(
        self,
        disk: Disk,
        signer: "Signer | None",
        *,
        is_over: Callable[[], bool],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        """Prepare the thread.

        Args:
            disk: The writer's disk.
            signer: Signs the chain value of each segment.
            is_over: Called before each segment. True leaves it unsealed.
            on_failure: Receives the error that ends the thread.
        """
        self.chain = CHAIN_START
        self.segments = 0
        self._disk, self._signer = disk, signer
        self._is_over, self._on_failure = is_over, on_failure
        self._queue: SimpleQueue[tuple[int, bool] | None] = SimpleQueue()  # first seq, and True for the last segment
        self._thread = threading.Thread(target=self._seal_all, name="journal-sealer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, first_seq: int, *, final: bool) -> None:
        """Queue a finished segment. `final` is True if the session ends with it."""
        self._queue.put((first_seq, final))

    def finish(self) -> None:
        """Wait until all queued segments are sealed."""
        self._queue.put(None)
        self._thread.join()

    def _seal_all(self) -> None:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), SEALER_NICE)
        with FinalErrors(self._on_failure):
            while (due := self._queue.get()) is not None:
                first_seq, final = due
                if self._is_over():
                    continue
                self.chain = seal(self._disk, first_seq, self.chain, final=final, signer=self._signer).chain
                self.segments += 1
