"""Contexts that pass any error on: after it nothing can be written."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def exclusive_turn(turn: threading.Lock, fail: Callable[[BaseException], None]) -> Iterator[None]:
    """Hold a turn. An error reaches `fail` before the turn ends, so the next holder cannot miss it, and is raised."""
    with turn:
        try:
            yield
        except BaseException as error:
            fail(error)
            raise


class HeldTurn:
    """A context that ends a turn, and gives any error to `fail` before that: the next holder cannot miss it."""

    def __init__(self, turn: threading.Lock, fail: Callable[[BaseException], None]) -> None:
        self._fail = fail
        self._turn = turn

    def begin(self, timeout_s: float) -> bool:
        """Take the turn, before the context. Return False if another thread has it for so long."""
        return self._turn.acquire(timeout=timeout_s)

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            self._fail(error)
        self._turn.release()
        return error is not None
