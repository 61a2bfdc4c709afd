"""A context that passes any error on: after it nothing can be written."""

import threading
from collections.abc import Callable
from types import TracebackType


class FinalErrors:
    """A context that gives any error to `fail` and raises none. A class: a generator costs an order 10 us more."""

    def __init__(self, fail: Callable[[BaseException], None]) -> None:
        self._fail = fail

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            return False
        self._fail(error)
        return True


class HeldTurn(FinalErrors):
    """A context that ends a turn, after an error was given to `fail`: the next holder cannot miss it."""

    def __init__(self, turn: threading.Lock, fail: Callable[[BaseException], None]) -> None:
        super().__init__(fail)
        self._turn = turn

    def begin(self, timeout_s: float) -> bool:
        """Take the turn. Return False if another thread has it for so long. The context ends it."""
        return self._turn.acquire(timeout=timeout_s)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        is_passed_on = super().__exit__(kind, error, trace)
        self._turn.release()
        return is_passed_on
