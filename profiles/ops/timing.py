"""The child's side of `profile --ops`: a file opened twice, run in turns with and without profiler.

Called by name through a sandbox Child, as all that runs an artifact.
"""

import importlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol, Self

import numpy as np

from edgevit.converters import target as targets
from edgevit.converters.explain.explanation import Node
from edgevit.converters.target import Array
from edgevit.errors import NotOnThisSystem
from edgevit.profiles.timed import random_inputs

from .profile import Row

PROFILERS = ("executorch", "onnx", "tflite")  # files of this folder


@dataclass(frozen=True)
class Timed:
    """A row before its median is taken: seconds of each run."""

    row: Row
    seconds: list[float]

    @classmethod
    def of(
        cls,
        nodes: Sequence[Node],
        seconds: list[float],
        *,
        kernel: str = "",
        shape: tuple[int, ...] = (),
        size_bytes: int = 0,
    ) -> Self:
        """What computes `nodes` of the file; without any, what only the runtime knows of.

        kernel: the runtime's name for the one that does; without it each node has its own. shape
        and size_bytes: as the runtime says, where it does.
        """
        # Of nodes that were fused into one kernel, the one with the most work gives it its name.
        first = max(nodes, key=lambda n: (n.macs, n.seconds), default=None)
        called = [first] if first and kernel else nodes
        row = Row(
            kind=", ".join(dict.fromkeys(n.op for n in called)) or kernel.partition(" (")[0],
            kernel=kernel,
            shape=shape or (first.shape if first else ()),
            module=first.module if first else "",
            seconds=0.0,
            macs=sum(n.macs for n in nodes),
            size_bytes=sum(n.size_bytes for n in called) or size_bytes,
            outside=any(n.reason for n in nodes),
            reason=first.reason if first else "",
            cures=tuple(dict.fromkeys(c for n in nodes for c in n.cures)),
        )
        return cls(row, seconds)


class Profiled(Protocol):
    """A file opened with its runtime's profiler on. clock: whose times they are, and how fine."""

    clock: str

    def __call__(self, *arrays: Array) -> float:
        """One inference; its seconds as a whole, without what taking times costs us."""

    def ops(self) -> list[Timed]:
        """Every operator in order of execution, with its seconds in each inference so far."""


def take(target: str, file: str, threads: int, runs: int, warmup_s: float) -> dict[str, Any]:
    """Fields of an OpProfile, as plain values; `runs` inferences of each kind are counted.

    warmup_s: seconds of inferences before them that are not.

    NotOnThisSystem for a target without a profiler.
    """
    if target not in PROFILERS:
        raise NotOnThisSystem(
            f"the operators of {target} files cannot be timed here: their runtime has no profiler "
            f"that edgevit knows; {', '.join(PROFILERS)} have one"
        )
    module = importlib.import_module(f"{__package__}.{target}")
    found = targets.find(target)
    plain = found.load(Path(file), threads=threads)
    profiled: Profiled = module.open_profiled(Path(file), threads)
    arrays = random_inputs(plain.inputs)
    latencies_s: list[float] = []
    profiled_s: list[float] = []
    warmup = 0
    start = perf_counter()
    while len(latencies_s) < warmup + runs:
        if perf_counter() - start < warmup_s:
            warmup += 1
        begin = perf_counter()
        plain(*arrays)
        latencies_s.append(perf_counter() - begin)
        profiled_s.append(profiled(*arrays))
    ops = [(timed.row, timed.seconds[warmup:]) for timed in profiled.ops()]
    parts_s = [sum(seconds) for seconds in zip(*(seconds for _, seconds in ops), strict=True)]
    between_s = [whole - part for whole, part in zip(profiled_s[warmup:], parts_s, strict=True)]
    rows = [asdict(row) | {"seconds": float(np.median(seconds))} for row, seconds in ops]
    latency_s = float(np.median(latencies_s[warmup:]))
    # Both are too much: the first by the profiler's cost, the second by what disturbed the machine.
    left_s = min(float(np.median(between_s)), latency_s - sum(row["seconds"] for row in rows))
    return {
        "latency_s": latency_s,
        "profiled_s": float(np.median(profiled_s[warmup:])),
        "between_s": max(0.0, left_s),
        "rows": rows,
        "clock": profiled.clock,
        "runtime": f"{found.runtime} {metadata.version(found.runtime)}",
    }
