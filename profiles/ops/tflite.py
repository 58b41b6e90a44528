"""LiteRT's own profiler, which its C API has and its Python interface does not yet.

`Interpreter` cannot be profiled; LiteRT's CompiledModel can, and gives XNNPACK's operators by name
and in order, with the runtime's own kernels between them. Both run the file by the same delegate.
"""

import ctypes
from pathlib import Path
from typing import Any

from edgevit.converters.explain.tflite import explain
from edgevit.converters.target import Array
from edgevit.converters.tflite import LoadedTFLite
from edgevit.errors import ChildError, MissingRuntime

from .timing import Timed
from .xnnpack import aligned

CPU = 1  # kLiteRtHwAcceleratorCpu
FOR_WRITING = 1  # kLiteRtTensorBufferLockModeWrite
KERNEL, DELEGATED = 2, 8  # types of events: an operator outside a delegate, one inside
TYPES = {1 << bit for bit in range(9)}
KNOWN = "pip install 'ai-edge-litert==2.3.*'"
WORDS = 32  # of 8 bytes: room for an event, and for a tensor's type, of any version
Pointer = ctypes.c_void_p
Size = ctypes.c_size_t


class Event(ctypes.Structure):
    """ProfiledEventData of litert/c/litert_profiler_event.h, in LiteRT 2.3."""

    _fields_ = (
        ("tag", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("start_us", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64),
        ("memory", ctypes.c_uint64 * 6),
        ("metadata", ctypes.c_uint64 * 2),
        ("source", ctypes.c_int),
    )


class ProfiledTFLite:
    clock = "LiteRT's and XNNPACK's, in whole µs"

    def __init__(self, file: Path, threads: int) -> None:
        import ai_edge_litert

        found = sorted(Path(ai_edge_litert.__file__).parent.glob("libLiteRt.*"))
        if not found:
            raise MissingRuntime(f"this ai-edge-litert has no C library to profile with; {KNOWN}")
        self._library = ctypes.CDLL(str(found[0]))
        self._file = file
        self._kept: list[Any] = []  # what C code holds pointers to
        environment = self._make("CreateEnvironment", 0, None)
        model = self._make("CreateModelFromFile", environment, str(file).encode())
        options = self._make("CreateOptions")
        self._call("SetOptionsHardwareAccelerators", options, CPU)
        self._set(options, "runtime_options_string", "enable_profiling = true\n")
        self._set(options, "xnnpack", f"num_threads = {threads}\n")
        self._compiled = self._make("CreateCompiledModel", environment, model, options)
        self._profiler = self._make("CompiledModelGetProfiler", self._compiled)
        graph = self._make("GetModelSubgraph", model, Size(0))
        self._inputs = self._buffers("Input", environment, graph)
        self._outputs = self._buffers("Output", environment, graph)
        # The arrays come in the order of the interpreter's inputs, which goes by their names.
        self._order = [port.name for port in LoadedTFLite(file, 1).inputs]
        self._names: list[str] = []
        self._runs_s: list[list[float]] = []

    def __call__(self, *arrays: Array) -> float:
        for name, array in zip(self._order, arrays, strict=True):
            buffer = self._inputs[name]
            place = self._make("LockTensorBuffer", buffer, after=(FOR_WRITING,))
            ctypes.memmove(place, array.ctypes.data, array.nbytes)
            self._call("UnlockTensorBuffer", buffer)
        self._call("ResetProfiler", self._profiler)
        self._call("StartProfiler", self._profiler)
        sides = [
            argument
            for side in (self._inputs, self._outputs)
            for argument in (Size(len(side)), (Pointer * len(side))(*side.values()))
        ]
        self._call("RunCompiledModel", self._compiled, Size(0), *sides)
        self._call("StopProfiler", self._profiler)
        events = self._events()
        ran = [event for event in events if event.type in (KERNEL, DELEGATED)]
        self._names = [event.tag.decode() for event in ran]
        self._runs_s.append([event.elapsed_us * 1e-6 for event in ran])
        # The whole as an interpreter would do it: a CompiledModel also takes and gives buffers.
        return max(e.elapsed_us for e in events if e.tag == b"Invoke" and e.type == 1) * 1e-6

    def ops(self) -> list[Timed]:
        columns = zip(*self._runs_s, strict=True)
        found = aligned(self._names, explain(self._file).nodes)
        return [
            Timed.of([node] if node else [], list(seconds), kernel=name)
            for name, node, seconds in zip(self._names, found, columns, strict=True)
        ]

    def _events(self) -> list[Event]:
        count = ctypes.c_int()
        self._call("GetNumProfilerEvents", self._profiler, ctypes.byref(count))
        room = (ctypes.c_uint64 * (count.value * WORDS))()
        self._call("GetProfilerEvents", self._profiler, count, room)
        events = list((Event * count.value).from_buffer(room))
        if not all(event.type in TYPES for event in events):
            raise MissingRuntime(
                f"this ai-edge-litert tells its profile in a form not known here; {KNOWN}"
            )
        return events

    def _buffers(self, side: str, environment: Pointer, graph: Pointer) -> dict[str, Any]:
        """By the tensors' names, in the order of the graph's `side`, "Input" or "Output"."""
        count = Size()
        self._call(f"GetNumSubgraph{side}s", graph, ctypes.byref(count))
        buffers = {}
        for i in range(count.value):
            tensor = self._make(f"GetSubgraph{side}", graph, Size(i))
            name = ctypes.c_char_p()
            self._call("GetTensorName", tensor, ctypes.byref(name))
            kind = (ctypes.c_uint64 * WORDS)()
            self._call("GetRankedTensorType", tensor, kind)
            needs = self._make(
                f"GetCompiledModel{side}BufferRequirements", self._compiled, Size(0), Size(i)
            )
            made = self._make("CreateManagedTensorBufferFromRequirements", environment, kind, needs)
            buffers[(name.value or b"").decode()] = made
        return buffers

    def _set(self, options: Pointer, about: str, toml: str) -> None:
        text, free = ctypes.create_string_buffer(toml.encode()), FREE(lambda _: None)
        self._kept += [text, free]
        made = self._make("CreateOpaqueOptions", about.encode(), text, free)
        self._call("AddOpaqueOptions", options, made)

    def _make(self, function: str, *before: Any, after: tuple[int, ...] = ()) -> Pointer:
        """What the function gives through a pointer to a pointer, which stands last."""
        made = Pointer()
        self._call(function, *before, ctypes.byref(made), *after)
        return made

    def _call(self, function: str, *arguments: Any) -> None:
        failed = getattr(self._library, f"LiteRt{function}")(*arguments)
        if failed:
            raise ChildError(f"LiteRt{function} failed with status {failed}")


FREE = ctypes.CFUNCTYPE(None, Pointer)

open_profiled = ProfiledTFLite
