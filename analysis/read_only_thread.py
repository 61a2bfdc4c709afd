"""A thread in which the kernel of the system refuses to write, create, rename or remove any file, and to open sockets.

Landlock (Linux 5.13 and newer) binds a thread and every thread that it starts, also those of DuckDB. It is the second
of two walls: `analysis.sql_session` refuses statements that write before they run. Without Landlock only the first
wall exists, and `is_confined` returns False. Code of ours that fills caches for a query runs in a third, ordinary
thread.
"""

import ctypes
import os
import struct
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_CREATE_RULESET, _RESTRICT_SELF = 444, 446  # system calls, the same numbers on all architectures
_VERSION_FLAG = 1
_SET_NO_NEW_PRIVS = 38  # of prctl; the kernel requires it before a thread without privileges may restrict itself
# struct landlock_ruleset_attr: rights that no rule grants again, so they are refused everywhere
_WRITE_FILE, _REMOVE_AND_MAKE = 1 << 1, 0b1_1111_1111 << 4
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_BIND_AND_CONNECT_TCP = 0b11
_REFER_ABI, _TRUNCATE_ABI, _NET_ABI = 2, 3, 4


class ReadOnlyThread:
    """Runs functions one at a time in a confined thread. `run` is called from ordinary threads only."""

    def __init__(self, *, may_connect: bool = False) -> None:
        self._may_connect = may_connect  # to an object store, which a query over archives reads
        self._pid = -1
        self._confined = False
        self._inside: ThreadPoolExecutor | None = None
        self._outside: ThreadPoolExecutor | None = None

    @property
    def is_confined(self) -> bool:
        """Return True if the kernel enforces it."""
        self.run(lambda: None)
        return self._confined

    def run(self, function: Callable[[], T], on_interrupt: Callable[[], None] = lambda: None) -> T:
        """Return the result of `function`, which runs in the thread. Call `on_interrupt` if the wait is interrupted."""
        if self._inside is None or self._pid != os.getpid():  # a forked child does not inherit threads
            self._pid = os.getpid()
            self._outside = ThreadPoolExecutor(1, "caches")
            self._outside.submit(lambda: None).result()  # it starts here: a thread of a confined thread is confined
            self._inside = ThreadPoolExecutor(1, "read-only", initializer=self._confine)
        future: Future[T] = self._inside.submit(function)
        try:
            return future.result()
        except KeyboardInterrupt:
            on_interrupt()
            raise

    def outside(self, function: Callable[[], T]) -> T:
        """Return the result of `function`, which runs in a thread that may write. For calls from a running query."""
        return function() if self._outside is None else self._outside.submit(function).result()

    def _confine(self) -> None:
        self._confined = _forbid_writes(may_connect=self._may_connect)


read_only = ReadOnlyThread()  # one for all connections of the process that read files of this machine


def _forbid_writes(*, may_connect: bool) -> bool:
    """Forbid this thread to write files, and to open sockets. Return False if the system cannot."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    except (OSError, AttributeError):
        return False
    if version < 1:
        return False
    rights = _WRITE_FILE | _REMOVE_AND_MAKE
    rights |= _REFER if version >= _REFER_ABI else 0
    rights |= _TRUNCATE if version >= _TRUNCATE_ABI else 0
    attributes = struct.pack("=Q", rights)
    if version >= _NET_ABI and not may_connect:
        attributes += struct.pack("=Q", _BIND_AND_CONNECT_TCP)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        return False
    try:
        if libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            return False
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)
