"""What the machine can do at most: fp32 multiply-accumulates per second, measured by sgemm.

The best of several runs of about 20 ms of numpy's matrix product, in a child, since BLAS libraries
read their thread count at import. The figure is a lower bound of the true peak: on a Zen 5 core
at 4.3 GHz OpenBLAS reaches 128 to 132 of the 138 GMAC/s that two 512-bit FMAs a cycle make. numpy
rather than torch, whose MKL takes 256-bit kernels on AMD and stops at 57. Apple's Accelerate
computes on a matrix unit that runtimes with NEON kernels do not use, so that fractions of it are
small on a Mac.

Taken again before and after each block of a session, for 20 ms and with one shape, it tells whether
the machine was slowed by heat or neighbours, and not the artifact.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from edgevit.sandbox import Child

# (m, k, n). One core does best near 768³; several need the long one to share the work evenly.
SHAPES = ((384, 384, 384), (768, 384, 768), (768, 768, 768), (2048, 384, 384))
RUN_S = 0.02
REPEATS = 4
# Every BLAS that numpy may have been built with has a variable of its own.
THREAD_VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def best_macs_per_s(*, run_s: float = RUN_S, repeats: int = REPEATS) -> float:
    """Best rate seen in this process over `SHAPES`, `repeats` runs of `run_s` seconds each."""
    rng = np.random.default_rng(0)
    best = 0.0
    for m, k, n in SHAPES:
        a, b = (rng.random(shape, np.float32) for shape in ((m, k), (k, n)))
        out = np.empty((m, n), np.float32)
        np.matmul(a, b, out=out)  # starts the threads and touches the pages
        for _ in range(repeats):
            begin, count = perf_counter(), 0
            while (elapsed := perf_counter() - begin) < run_s or not count:
                np.matmul(a, b, out=out)
                count += 1
            best = max(best, count * m * k * n / elapsed)
    return best


def macs_per_s_now(*, run_s: float = RUN_S) -> float:
    """The mean rate over `run_s` seconds of the first shape, in which each interruption shows."""
    m, k, n = SHAPES[0]
    a, b = np.ones((m, k), np.float32), np.ones((k, n), np.float32)
    out = np.matmul(a, b)
    begin, count = perf_counter(), 0
    while (elapsed := perf_counter() - begin) < run_s:
        np.matmul(a, b, out=out)
        count += 1
    return count * m * k * n / elapsed


@dataclass(frozen=True)
class Peak:
    """What measures the machine, in MAC/s, each time it is called: at its best, and just now."""

    best: Callable[[], float]
    now: Callable[[], float]


@contextmanager
def probe(threads: int = 1, cores: tuple[int, ...] = ()) -> Iterator[Peak]:
    """The peak of `threads` threads on `cores`, any if empty."""
    env = {variable: str(threads) for variable in THREAD_VARIABLES}
    # Who wants equal digits everywhere pins OpenBLAS to an old core; empty, it looks for itself.
    env["OPENBLAS_CORETYPE"] = ""
    with Child(env=env) as child:
        child.call(f"{__package__}.timed:pin", cores=list(cores))
        yield Peak(
            best=lambda: float(child.call(f"{__name__}:best_macs_per_s")),
            now=lambda: float(child.call(f"{__name__}:macs_per_s_now")),
        )
