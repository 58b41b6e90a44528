"""ExecuTorch: XNNPACK's own profiler, switched on in the delegate as it was built.

The wheel's runtime has neither event tracing (an ETDump stays empty) nor the flag that lets
XNNPACK take times. But it calls XNNPACK through slots, so the flag is set on the way:

    xnn_create_runtime_v4   with the flag           once for each partition
    xnn_reshape_runtime     a partition begins      ┐
    xnn_invoke_runtime      it has run: take its times   each time
                                                    ┘ what is between two belongs to kernels
Kernels outside the delegate have no profiler; a run of them between two partitions is timed as one.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from time import perf_counter
from typing import Any

from edgevit.converters.executorch import LoadedPte
from edgevit.converters.explain.explanation import Node
from edgevit.converters.explain.pte import read
from edgevit.converters.target import Array
from edgevit.errors import ArtifactError

from .links import Link
from .timing import Timed
from .xnnpack import aligned

BASIC_PROFILING = 0x8  # XNN_FLAG_BASIC_PROFILING
NAMES, TIMES_US = 1, 2  # what xnn_get_runtime_profiling_info can be asked for
pointer, status = ctypes.c_void_p, ctypes.c_int
CREATE = ctypes.CFUNCTYPE(
    status, pointer, pointer, pointer, pointer, ctypes.c_uint32, ctypes.POINTER(pointer)
)
CALL = ctypes.CFUNCTYPE(status, pointer)


@dataclass
class Part:
    """One call of a partition. kernels_s: from the end of the one before it, or of the start."""

    runtime: int
    kernels_s: float
    times_s: list[float] = field(default_factory=list)


class ProfiledPte:
    clock = "XNNPACK's, in whole µs; kernels between two partitions are timed together"

    def __init__(self, file: Path, threads: int) -> None:
        from executorch.extension.pybindings import _portable_lib

        library = Path(_portable_lib.__file__)
        self._info = ctypes.CDLL(str(library)).xnn_get_runtime_profiling_info
        self._links = (
            Link(library, "xnn_create_runtime_v4", CREATE, self._create),
            Link(library, "xnn_reshape_runtime", CALL, self._reshape),
            Link(library, "xnn_invoke_runtime", CALL, self._invoke),
        )
        self._placed = read(file)
        self._runs: list[tuple[list[Part], float]] = []
        self._parts: list[Part] = []
        self._since_s, self._begun_s, self._own_s = 0.0, 0.0, 0.0
        self._loaded = self._led(lambda: LoadedPte(file, threads))

    def __call__(self, *arrays: Array) -> float:
        self._parts, self._own_s, self._begun_s = [], 0.0, 0.0
        begin = self._since_s = perf_counter()
        self._led(lambda: self._loaded(*arrays))
        end = perf_counter()
        self._runs.append((self._parts, end - self._since_s))
        return end - begin - self._own_s

    def ops(self) -> list[Timed]:
        parts = [parts for parts, _ in self._runs]
        calls = [list(g) for _, g in groupby(self._placed, key=lambda p: p.at)]
        found: list[Timed] = []
        pending: list[Node] = []
        done = 0
        for call in calls:
            nodes = [placed.node for placed in call]
            if nodes[0].partition is None:
                pending += nodes
                continue
            if done == len(parts[0]):
                raise ArtifactError("it has partitions of a delegate that is not XNNPACK")
            if pending:
                found.append(Timed.of(pending, [run[done].kernels_s for run in parts]))
                pending = []
            names = self._names(parts[0][done].runtime)
            columns = list(zip(*(run[done].times_s for run in parts), strict=True))
            for name, node, seconds in zip(names, aligned(names, nodes), columns, strict=True):
                found.append(Timed.of([node] if node else [], list(seconds), kernel=name))
            done += 1
        if pending:
            found.append(Timed.of(pending, [rest_s for _, rest_s in self._runs]))
        return found

    def _led(self, call: Callable[[], Any]) -> Any:
        for link in self._links:
            link.lead()
        try:
            return call()
        finally:
            for link in self._links:
                link.release()

    def _create(self, graph: Any, cache: Any, work: Any, pool: Any, flags: int, out: Any) -> int:
        made: int = self._links[0].original(graph, cache, work, pool, flags | BASIC_PROFILING, out)
        return made

    def _reshape(self, runtime: int) -> int:
        self._begun_s = self._begun_s or perf_counter()
        ended: int = self._links[1].original(runtime)
        return ended

    def _invoke(self, runtime: int) -> int:
        begun_s = self._begun_s or perf_counter()
        ended: int = self._links[2].original(runtime)
        end = perf_counter()
        times = self._ask(runtime, TIMES_US, ctypes.c_uint64)
        self._parts.append(Part(runtime, begun_s - self._since_s, [t * 1e-6 for t in times]))
        self._begun_s, self._since_s = 0.0, perf_counter()
        self._own_s += self._since_s - end
        return ended

    def _names(self, runtime: int) -> list[str]:
        said = bytes(self._ask(runtime, NAMES, ctypes.c_char))
        return [name.decode() for name in said.split(b"\0")][
            : len(self._ask(runtime, TIMES_US, ctypes.c_uint64))
        ]

    def _ask(self, runtime: int, what: int, kind: Any) -> Any:
        """Of xnn_get_runtime_profiling_info, which first says how many bytes it will write."""
        size = ctypes.c_size_t()
        self._info(pointer(runtime), what, ctypes.c_size_t(), None, ctypes.byref(size))
        answer = (kind * (size.value // ctypes.sizeof(kind)))()
        self._info(pointer(runtime), what, size, answer, ctypes.byref(size))
        return answer


open_profiled = ProfiledPte
