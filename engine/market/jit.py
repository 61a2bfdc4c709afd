"""The functions of the fold, compiled.

VERBATIM_JIT=0 runs the same functions as plain Python. Machine code is kept in a folder (code_folder.py), if the file
of the function is in the folder's key. The compiler is imported only where the folder lacks a function.
"""

import ctypes
import os
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., object])

JIT: Final = os.environ.get("VERBATIM_JIT", "1") != "0"


def _move_within(row: "NDArray[np.int64]", to: int, start: int, count: int) -> None:
    """Move `count` numbers inside a row."""
    row[to : to + count] = row[start : start + count].copy()


class Callback(NamedTuple):
    """A function that compiled code calls by address."""

    address: int
    kept: Any  # keeps the machine code alive as long as the address is used


# with VERBATIM_JIT=0: the function of each address, as long as its Callback exists
_plain: WeakValueDictionary[int, Callable[..., int]] = WeakValueDictionary()
_addresses = count(1)


# with VERBATIM_JIT=0: the update function of each address
_plain_updates: WeakValueDictionary[int, Callable[..., float]] = WeakValueDictionary()


def _call_update(address: int, floats: "NDArray[np.float64]", row: int, count: int, length: int) -> float:
    """Call the update function at an address with `floats[row]`, the count and the length."""
    return _plain_updates[address](floats[row], count, length)


def _call_at(address: int, integers: "NDArray[np.int64]", begin: int, floats: "NDArray[np.float64]", row: int) -> int:
    """Call the function at an address with `integers[row, begin:]` and `floats[row]`."""
    return _plain[address](integers[row, begin:].tolist(), floats[row].tolist())


move_within: Any = _move_within
call_at: Any = _call_at
call_update: Any = _call_update
row_of_pointer: Any = None  # in compiled code: (pointer, length) -> the array
if JIT:
    # colours of Numba's errors end every terminal output with a reset sequence, by colorama's exit function
    os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")
    from engine.market.code_folder import code_folder, has_code, has_source
    from engine.market.compiled import CompiledFunction, CompilerFunction, update_address

    _folder = code_folder()
    move_within, call_at, call_update, row_of_pointer = map(
        CompilerFunction, ("move_within", "call_at", "call_update", "row_of_pointer")
    )

    def kept_code() -> "Path | None":
        """Return the folder of machine code, or None if none can be written."""
        return _folder

    def was_compiled(function: str, /) -> bool:
        """Return True if a process of this user has already compiled this function of exactly this source."""
        return _folder is not None and has_code(_folder, function)

    def _folder_of(function: Callable[..., object]) -> "Path | None":
        """Return the folder of a function's machine code, or None if its source is not in the folder's key."""
        return _folder if has_source(function.__code__.co_filename) else None

    def compiled(function: F) -> F:
        """Compile a function at its first call.

        It is inlined into compiled callers, because passing arrays costs more than most functions do.
        """
        return cast("F", CompiledFunction(function, _folder_of(function), inlined=True))

    def compiled_apart(function: F) -> F:
        """Compile a function as `compiled` does, but once, apart from its callers: for code that few rows need."""
        return cast("F", CompiledFunction(function, _folder_of(function), inlined=False))

    def entry_of(function: F, *given: object) -> F:
        """Return the machine code of a function for these arguments' types. It raises TypeError for other types."""
        return cast("F", cast("CompiledFunction", function).version(*given))

    def strictly_compiled(function: F) -> F:
        """Compile a strategy's function for its argument types, without a cache: its source is not a file."""
        from engine.market.numba_compiler import checked

        return checked(function)

    def bounded_compiled(function: F) -> F:
        """Compile a user's function as `strictly_compiled` does, with checked bounds of arrays."""
        from engine.market.numba_compiler import checked

        return checked(function, boundscheck=True)

    def decision_compiled(function: F) -> F:
        """Compile a decision as `bounded_compiled` does; a division by zero raises, as in Python."""
        from engine.market.numba_compiler import checked

        return checked(function, boundscheck=True, error_model="python")

    def callback(function: Callable[..., int]) -> Callback:
        """Compile `function(integers, floats) -> int` of two rows and return it with its address."""
        from engine.market.numba_compiler import predicate

        made = predicate(function)
        return Callback(made.address, made)

    def update_callback(function: Callable[..., float], *, uses_views: bool = False) -> Callback:
        """Compile `function(numbers, count, length) -> float`, an indicator's update, and return it with its address.

        A division by zero gives an infinity or no number, as numpy's plain floats do.
        `uses_views`: it makes arrays of the row (`row_of_pointer`), which needs Numba's reference counts.
        """
        if (folder := _folder_of(function)) is not None:
            assert not uses_views, "only users' functions do"
            return Callback(update_address(function, folder), function)
        from engine.market.numba_compiler import update

        made = update(function, uses_views=uses_views)
        return Callback(made.address, made)

    def python_callback(function: Callable[[Any, int, int], float]) -> Callback:
        """Return a Python function with an address for `call_update`. It gets the address of the row.

        Compiled functions keep the interpreter's lock, so the call costs a fifth of a microsecond. An exception must
        not leave the function: the caller would get no number.
        """
        kind = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        made = kind(function)
        return Callback(ctypes.cast(made, ctypes.c_void_p).value or 0, made)

    def returns_number(function: Any, /) -> bool:
        """Return True if a compiled function returns a number on each path."""
        from engine.market import numba_compiler

        return numba_compiler.returns_number(function)

else:

    def kept_code() -> "Path | None":
        """Return None: nothing is compiled."""
        return None

    def was_compiled(_function: str, /) -> bool:
        """Return False: nothing is compiled."""
        return False

    def compiled(function: F) -> F:
        """Return the function unchanged."""
        return function

    def compiled_apart(function: F) -> F:
        """Return the function unchanged."""
        return function

    def entry_of(function: F, *_given: object) -> F:
        """Return the function unchanged."""
        return function

    def strictly_compiled(function: F) -> F:
        """Return the function unchanged."""
        return function

    def returns_number(_function: Any, /) -> bool:
        """Return True: the types are unknown."""
        return True

    def bounded_compiled(function: F) -> F:
        """Return the function unchanged."""
        return function

    def decision_compiled(function: F) -> F:
        """Return the function unchanged."""
        return function

    def update_callback(function: Callable[..., float], *, uses_views: bool = False) -> Callback:
        """Give the function a number as its address."""
        address = next(_addresses)
        _plain_updates[address] = function
        return Callback(address, function)

    def python_callback(function: Callable[[Any, int, int], float]) -> Callback:
        """Give the function a number as its address. It gets the row."""
        return update_callback(function)

    def callback(function: Callable[..., int]) -> Callback:
        """Give the function a number as its address."""
        address = next(_addresses)
        _plain[address] = function
        return Callback(address, function)
