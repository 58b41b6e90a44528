"""The child's side of `bench`: open one artifact, then run blocks of timed inferences.

Called by name through a sandbox Child, mostly one artifact per process, so that no runtime's
threads, allocator or caches meet another's and an abort ends one measurement only.
"""

import ctypes
import gc
import os
import resource
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from time import perf_counter_ns, process_time
from typing import Any

import numpy as np

_open: dict[int, tuple[Any, list[np.ndarray], int]] = {}  # slot → what `block` needs


def open_artifact(
    target: str, file: str, threads: int, cores: Sequence[int] = (), slot: int = 0
) -> dict[str, Any]:
    """Load, run once; seconds of both, the inputs, and which runtime of which version it was.

    target: a name for `target.runner`, or one of gpu.RUNTIMES.
    cores: the only ones this process may use from now on; any, if empty.
    slot: where it stays open, for a caller that measures several in one process.
    The file is loaded twice and the second time counts: the first one imports the runtime and
    brings the file into the page cache, neither of which is the artifact's.
    """
    from edgevit.converters import target as targets

    from .gpu import RUNTIMES

    pin(cores)
    found = RUNTIMES.get(target) or targets.runner(target)
    found.load(Path(file), threads=threads)
    gc.collect()
    gc.freeze()  # the imports' million objects, or each block's collection takes half a second
    _forget_peak_memory()
    baseline_bytes = _resident_bytes()
    begin = perf_counter_ns()
    loaded = found.load(Path(file), threads=threads)
    load_s = (perf_counter_ns() - begin) * 1e-9
    arrays = random_inputs(loaded.inputs)
    begin = perf_counter_ns()
    loaded(*arrays)
    first_run_s = (perf_counter_ns() - begin) * 1e-9
    _open[slot] = (loaded, arrays, baseline_bytes)
    inputs = [{"name": t.name, "dtype": t.dtype, "shape": list(t.shape)} for t in loaded.inputs]
    return {
        "load_s": load_s,
        "first_run_s": first_run_s,
        "inputs": inputs,
        "runtime": found.runtime,
        "version": metadata.version(found.runtime),
    }


def pin(cores: Sequence[int]) -> None:
    """Keep this process to `cores`, before a runtime starts threads that inherit it."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def block(iterations: int, slot: int = 0) -> dict[str, Any]:
    """Time `iterations` inferences one by one; CPU seconds of all threads over the whole block.

    One inference before them runs untimed: another artifact has just had the caches, while a camera
    loop finds its own data there.
    """
    loaded, arrays, baseline_bytes = _open[slot]
    nanoseconds = [0] * iterations
    loaded(*arrays)
    gc.collect()
    gc.disable()  # or a collection lands in whichever sample is unlucky
    try:
        cpu = process_time()
        for i in range(iterations):
            begin = perf_counter_ns()
            loaded(*arrays)
            nanoseconds[i] = perf_counter_ns() - begin
        cpu_s = process_time() - cpu
    finally:
        gc.enable()
    grown_bytes = _peak_resident_bytes() - baseline_bytes
    return {
        # A clock can stand still over a call that does nothing; no sample is zero.
        "seconds": [round(max(n, 1) * 1e-9, 9) for n in nanoseconds],
        "cpu_s": cpu_s,
        "peak_memory_bytes": max(0, grown_bytes),
    }


def random_inputs(inputs: Any, *, seed: int = 0) -> list[np.ndarray]:
    """Seeded arrays in the dtype and shape of `inputs`: normal, or anything an image byte can be.

    Random and not zeros, since kernels skip work on zeros and denormals cost extra.
    """
    rng = np.random.default_rng(seed)
    arrays = []
    for tensor in inputs:
        dtype, shape = np.dtype(tensor.dtype), tuple(max(1, n) for n in tensor.shape)
        if dtype.kind == "f":
            arrays.append(rng.standard_normal(shape).astype(dtype))
        elif dtype.kind == "b":
            arrays.append(rng.random(shape) < 0.5)
        else:
            low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
            arrays.append(rng.integers(max(low, -128), min(high, 127) + 1, shape, dtype))
    return arrays


def _forget_peak_memory() -> None:
    """Give freed pages back and start the kernel's high-water mark anew, where it lets us."""
    if sys.platform != "linux":
        return
    try:
        ctypes.CDLL(None).malloc_trim(0)  # glibc only
        Path("/proc/self/clear_refs").write_text("5")
    except (AttributeError, OSError):
        pass


def _resident_bytes() -> int:
    import psutil

    return int(psutil.Process(os.getpid()).memory_info().rss)


def _peak_resident_bytes() -> int:
    if sys.platform == "linux":  # ru_maxrss does not follow clear_refs
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
