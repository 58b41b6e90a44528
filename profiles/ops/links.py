"""Calls of a shared library to functions that it also exports, led through Python for a while.

    _portable_lib.so:  call xnn_invoke_runtime ──▶ [slot] ──▶ xnn_invoke_runtime
                                                      └─ led ─▶ our function ─▶ xnn_invoke_runtime

Linux binds such calls through one slot each (ELF's procedure linkage table), so that a profiler may
come between them; tables and tags are those of the ELF specification, "Dynamic Linking".
"""

import ctypes
import mmap
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edgevit.errors import NotOnThisSystem

STRTAB, SYMTAB, PLTRELSZ, JMPREL = 5, 6, 2, 23  # tags of the dynamic section
JUMP_SLOTS = {7, 1026}  # types of relocation: x86-64, AArch64
READ, WRITE = 1, 2


class _LinkMap(ctypes.Structure):
    _fields_ = (("base", ctypes.c_size_t), ("name", ctypes.c_char_p), ("dynamic", ctypes.c_size_t))


class _Symbol(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_uint32),
        ("_", ctypes.c_uint32),
        ("value", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
    )


class _Relocation(ctypes.Structure):
    _fields_ = (("offset", ctypes.c_uint64), ("info", ctypes.c_uint64), ("_", ctypes.c_int64))


class Link:
    """The calls that `library`, already loaded, makes to its own function `name`.

    kind: the function's ctypes prototype. replacement: what the calls reach while led; it gets the
    function itself as `link.original`. NotOnThisSystem where the library does not call it that way.
    """

    def __init__(
        self, library: Path, name: str, kind: Any, replacement: Callable[..., int]
    ) -> None:
        if sys.platform != "linux":
            raise NotOnThisSystem("ExecuTorch's operators can be timed on Linux only")
        loaded = ctypes.CDLL(str(library))
        slots = dict(_slots(loaded._handle))
        if name not in slots or not hasattr(loaded, name):
            raise NotOnThisSystem(
                f"{library.name} does not call {name} where a profiler could come between; "
                "profile without --ops"
            )
        self._slot = ctypes.c_void_p.from_address(slots[name])
        self._was = self._slot.value
        _writable(slots[name])
        self.original = kind((name, loaded))
        self._replacement = kind(replacement)  # kept alive for as long as the slot may hold it

    def lead(self) -> None:
        self._slot.value = ctypes.cast(self._replacement, ctypes.c_void_p).value

    def release(self) -> None:
        self._slot.value = self._was


def _slots(handle: int) -> Iterator[tuple[str, int]]:
    """Name of each function that is called through a slot, and the slot's address.

    handle: what dlopen gave; glibc's points to a link map.
    """
    loaded = _LinkMap.from_address(handle)
    tags: dict[int, int] = {}
    at = loaded.dynamic
    while tag := ctypes.c_int64.from_address(at).value:
        tags[tag] = ctypes.c_uint64.from_address(at + 8).value
        at += 16
    if not {STRTAB, SYMTAB, PLTRELSZ, JMPREL} <= tags.keys():
        return
    entries = tags[PLTRELSZ] // ctypes.sizeof(_Relocation)
    for entry in (_Relocation * entries).from_address(tags[JMPREL]):
        if entry.info & 0xFFFFFFFF in JUMP_SLOTS:
            at = tags[SYMTAB] + (entry.info >> 32) * ctypes.sizeof(_Symbol)
            name = ctypes.string_at(tags[STRTAB] + _Symbol.from_address(at).name)
            yield name.decode(), loaded.base + entry.offset


def _writable(address: int) -> None:
    """A linker may have closed the page of the slots after binding them."""
    page = address - address % mmap.PAGESIZE
    if ctypes.CDLL(None).mprotect(ctypes.c_void_p(page), mmap.PAGESIZE, READ | WRITE):
        raise NotOnThisSystem("this system does not let a profiler come between; omit --ops")
