"""A function of machine code: as Python calls it, and as compiled code does. Only compiling imports the compiler."""

import hashlib
from collections.abc import Callable
from functools import cached_property, update_wrapper
from pathlib import Path
from typing import Any, Final

import numpy as np

from engine.market.machine_code import (
    CONTIGUOUS,
    SUFFIX,
    WRITEABLE,
    ObjectCode,
    address_of,
    function_of,
    load_code,
    save_code,
)

_SCALARS: Final[dict[type, type]] = {np.int64: int, np.float64: float, np.bool_: bool}


class CompiledFunction:
    """A function that is compiled for the types of its arguments, at the first call with them.

    Code of another process is loaded from the folder, if it has the function. Machine code raises TypeError for
    arrays of other types, so a call does not check them while all have the same types. It converts numbers: callers
    pass what the annotations state, and arrays of as many dimensions as at the first call.
    """

    def __init__(self, function: Callable[..., Any], folder: Path | None, *, inlined: bool) -> None:
        update_wrapper(self, function)
        self.function = function
        self._folder = folder
        self._inlined = inlined
        self._newest: Callable[..., Any] = self._choose
        self._versions: dict[tuple[object, ...], Callable[..., Any]] = {}

    def __call__(self, *given: Any) -> Any:
        """Call the machine code for these arguments' types."""
        try:
            return self._newest(*given)
        except TypeError:
            return self._choose(*given)

    def _choose(self, *given: Any) -> Any:
        self._newest = self.version(*given)
        return self._newest(*given)

    def version(self, *given: Any) -> Callable[..., Any]:
        """Return the machine code for these arguments' types."""
        kinds = tuple(map(_kind, given))
        made = self._versions.get(kinds)
        if made is None:
            made = self._versions[kinds] = function_of(self._code(kinds, given), self.function.__name__)
        return made

    def _code(self, kinds: tuple[object, ...], given: tuple[Any, ...]) -> ObjectCode:
        """Load code, or compile it."""

        def compile_it() -> ObjectCode:
            from engine.market.numba_compiler import object_code

            return object_code(self.function, given)

        return kept(self._folder, self.function, kinds, compile_it)

    @property
    def _numba_type_(self) -> Any:
        """The compiler's type of this function, for compiled functions that call it."""
        return self._inner._numba_type_

    @cached_property
    def _inner(self) -> Any:
        from engine.market.numba_compiler import inner_function

        return inner_function(self.function, inlined=self._inlined)


class CompilerFunction:
    """A function of the compiler, which only compiled code can call."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def _numba_type_(self) -> Any:
        from engine.market.numba_compiler import type_of

        return type_of(self._name)


def update_address(function: Callable[..., float], folder: Path | None) -> int:
    """Load or compile an indicator's update; return its address."""

    def compile_it() -> ObjectCode:
        from engine.market.numba_compiler import update_code

        return update_code(function)

    return address_of(kept(folder, function, (), compile_it))


def kept(
    folder: Path | None, function: Callable[..., Any], kinds: tuple[object, ...], compile_it: Callable[[], ObjectCode]
) -> ObjectCode:
    """Return a function's code for the kinds of its arguments: from its file, or compiled and saved there."""
    if folder is None:
        return compile_it()
    digest = hashlib.sha256(repr(kinds).encode()).hexdigest()[:12]
    path = folder / f"{function.__module__}.{function.__name__}-{digest}{SUFFIX}"
    code = load_code(path)
    if code is None:
        code = compile_it()
        save_code(path, code)
    return code


def _kind(value: Any) -> object:
    """Return the kind of an argument: the compiler makes a version for each.

    Raises:
        TypeError: An array with gaps between its numbers: machine code reads the numbers behind one another.
    """
    if isinstance(value, np.ndarray):
        flags = value.flags.num
        if flags & CONTIGUOUS != CONTIGUOUS:
            raise TypeError("compiled functions need contiguous arrays")
        return value.dtype, value.ndim, flags & WRITEABLE
    kind = type(value)
    return _SCALARS.get(kind, kind)
