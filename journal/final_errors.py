"""Errors that end a writer: after the first one nothing more can be written."""

from collections.abc import Callable
from types import TracebackType


class FinalErrors:
    """A context that passes any error to the writer, and raises none: the caller of `commit` ends the session in order.

    A class, because a generator costs an order 10 us more.
    """

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
