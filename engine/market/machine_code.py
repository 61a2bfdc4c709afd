"""Machine code: functions as objects of code, kept in files, and linked by LLVM alone.

Numba compiles a function at its first call and takes a quarter of a second to import. Code in a file is linked without
it, in less than a millisecond. A file begins with a hash over its name and its content, and a damaged one counts as
missing: a changed byte of machine code ends the process with SIGSEGV.
"""

import builtins
import ctypes
import hashlib
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgspec
from llvmlite.binding import (
    JITLibraryBuilder,
    create_lljit_compiler,
    initialize_native_asmprinter,
    initialize_native_target,
)

SUFFIX: Final = ".code"
CONTIGUOUS: Final = 0x101  # NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED, in an array's flags
WRITEABLE: Final = 0x400  # NPY_ARRAY_WRITEABLE
_MAGIC: Final = b"VMC1"
_HASH_BYTES: Final = 32
_VARIABLE_ARGUMENTS: Final = 3  # METH_VARARGS | METH_KEYWORDS of CPython
_RAISED: Final = [
    error for error in vars(builtins).values() if isinstance(error, type) and issubclass(error, BaseException)
]
_numbers = count(1)
_kept: list[object] = []  # linked libraries and definitions of functions: machine code is never removed


class ObjectCode(msgspec.Struct, frozen=True):
    """A compiled function."""

    symbol: str  # of the function to call
    environment: str  # a pointer that Numba's wrapper for Python expects to be set; "" if no wrapper is called
    image: bytes  # an object file


class _Method(ctypes.Structure):
    """PyMethodDef of CPython."""

    _fields_ = (("name", ctypes.c_char_p), ("code", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p))


# ---- files


def load_code(path: Path) -> ObjectCode | None:
    """Return the code of a file, or None if it is missing or damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    head = len(_MAGIC) + _HASH_BYTES
    content = data[head:]
    return msgspec.msgpack.decode(content, type=ObjectCode) if data[:head] == _head(path, content) else None


def save_code(path: Path, code: ObjectCode) -> None:
    """Write a file in one rename. Without room for it the next process compiles again."""
    content = msgspec.msgpack.encode(code)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)  # the folder may be removed as unused
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(_head(path, content) + content)
        Path(file.name).replace(path)


def _head(path: Path, content: bytes) -> bytes:
    return _MAGIC + hashlib.sha256(path.name.encode() + b"\0" + content).digest()


# ---- linking


def address_of(code: ObjectCode) -> int:
    """Link code; return the address of its symbol."""
    library = JITLibraryBuilder().add_object_img(code.image).add_current_process().export_symbol(code.symbol)
    if code.environment:
        library.export_symbol(code.environment)
    for name, address in _helpers().items():
        library.import_symbol(name, address)
    linked = library.link(_linker(), f"{code.symbol} {next(_numbers)}")
    _kept.append(linked)
    if code.environment:
        ctypes.c_void_p.from_address(linked[code.environment]).value = _place(None)  # it is never read: no constants
    return int(linked[code.symbol])


def function_of(code: ObjectCode, name: str) -> Callable[..., Any]:
    """Link code; return its function for Python."""
    method = _Method(name.encode(), address_of(code), _VARIABLE_ARGUMENTS, None)
    _kept.append(method)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.argtypes, make.restype = (ctypes.POINTER(_Method), ctypes.c_void_p, ctypes.c_void_p), ctypes.py_object
    made: Callable[..., Any] = make(ctypes.byref(method), None, None)
    return made


def _place(value: object) -> int:
    """Return where an object of Python is in memory."""
    return ctypes.c_void_p.from_buffer(ctypes.py_object(value)).value or 0


@cache
def _linker() -> Any:
    initialize_native_target()
    initialize_native_asmprinter()
    return create_lljit_compiler()


def numba_folder() -> Path:
    """Return where Numba is installed. It is not imported."""
    found = find_spec("numba")
    assert found is not None, "it is a dependency"
    assert found.origin is not None, "it has a file"
    return Path(found.origin).parent


def numba_version() -> bytes:
    """Return the file that states the version of Numba."""
    return (numba_folder() / "_version.py").read_bytes()


@cache
def _helpers() -> dict[str, int]:
    """Return addresses that machine code needs beside the interpreter's functions, by Numba's names for them.

    They are exceptions, and functions in C, whose module is an extension that needs nothing else of Numba.
    """
    paths = [numba_folder() / f"_helperlib{suffix}" for suffix in EXTENSION_SUFFIXES]
    path = next(path for path in paths if path.exists())
    name = "numba._helperlib"
    spec = spec_from_file_location(name, path, loader=ExtensionFileLoader(name, str(path)))
    assert spec is not None, "it has a loader"
    module = module_from_spec(spec)
    raised = {f"PyExc_{error.__name__}": _place(error) for error in _RAISED}
    return {f"numba_{name}": address for name, address in module.c_helpers.items()} | raised
