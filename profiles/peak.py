"""What the machine can do at most: multiply-accumulates per second, in fp32 and in int8.

fp32: the best of several runs of about 20 ms of numpy's matrix product, in a child, since BLAS
libraries read their thread count at import. The figure is a lower bound of the true peak: on a
Zen 5 core at 4.3 GHz OpenBLAS reaches 128 to 132 of the 138 GMAC/s that two 512-bit FMAs a cycle
make. numpy rather than torch, whose MKL takes 256-bit kernels on AMD and stops at 57. Apple's
Accelerate computes on a matrix unit that runtimes with NEON kernels do not use, so that fractions
of it are small on a Mac.

int8: the best of runs of ONNX Runtime's MatMulInteger, bytes by signed bytes, where ONNX Runtime
and onnx are installed. On such a core, shared with other work at the time, it reached 254 GMAC/s
where fp32 reached 64: 3.9 times, of the 4 that VNNI's instructions make.

In fp32, taken again before and after each block of a session, for 20 ms and with one shape, it
tells whether the machine was slowed by heat or neighbours, and not the artifact.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np

from edgevit.sandbox import Callee, Child

# (m, k, n). One core does best near 768³; several need the long one to share the work evenly.
SHAPES = ((384, 384, 384), (768, 384, 768), (768, 768, 768), (2048, 384, 384))
RUN_S = 0.02
REPEATS = 4
# The weights are constant, so that ONNX Runtime packs them once, as it does a model's.
INT8_SHAPE = (384, 768, 384)
INT8_GRAPH = """<ir_version: 8, opset_import: ["" : 17]>
peak (uint8[{m}, {k}] a) => (int32[{m}, {n}] y) {{
    shape = Constant <value = int64[2] {{{k}, {n}}}> ()
    b = ConstantOfShape <value = int8[1] {{3}}> (shape)
    y = MatMulInteger (a, b)
}}"""
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
        run = partial(np.matmul, a, b, out=out)
        run()  # starts the threads and touches the pages
        best = max(best, *(_macs_per_s(run, m * k * n, run_s) for _ in range(repeats)))
    return best


def macs_per_s_now(*, run_s: float = RUN_S) -> float:
    """The mean rate over `run_s` seconds of the first shape, in which each interruption shows."""
    m, k, n = SHAPES[0]
    a, b = np.ones((m, k), np.float32), np.ones((k, n), np.float32)
    return _macs_per_s(partial(np.matmul, a, b, out=np.matmul(a, b)), m * k * n, run_s)


def best_int8_macs_per_s(
    threads: int, *, run_s: float = RUN_S, repeats: int = REPEATS
) -> float | None:
    """Best rate of `repeats` runs of `run_s` seconds; None without ONNX Runtime and onnx."""
    try:
        import onnxruntime
        from onnx import parser
    except ImportError:
        return None
    m, k, n = INT8_SHAPE
    model = parser.parse_model(INT8_GRAPH.format(m=m, k=k, n=n))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = {"a": np.random.default_rng(0).integers(0, 256, (m, k), np.uint8)}
    run = partial(session.run, None, feed)
    return max(_macs_per_s(run, m * k * n, run_s) for _ in range(repeats))


def _macs_per_s(run: Callable[[], object], macs: int, run_s: float) -> float:
    """The mean rate of calls of `run`, `macs` each, over `run_s` seconds or one call."""
    begin, count = perf_counter(), 0
    while (elapsed := perf_counter() - begin) < run_s or not count:
        run()
        count += 1
    return count * macs / elapsed


@dataclass(frozen=True)
class Peak:
    """What measures the machine, in MAC/s, each time it is called: at its best, and just now.

    int8: at its best, or None where that cannot be measured.
    """

    best: Callable[[], float]
    now: Callable[[], float]
    int8: Callable[[], float | None] = lambda: None


@contextmanager
def probe(
    threads: int = 1, cores: tuple[int, ...] = (), *, start: Callable[..., Callee] = Child
) -> Iterator[Peak]:
    """The peak of `threads` threads on `cores`, any if empty; start makes a child there."""
    env = {variable: str(threads) for variable in THREAD_VARIABLES}
    # Who wants equal digits everywhere pins OpenBLAS to an old core; empty, it looks for itself.
    env["OPENBLAS_CORETYPE"] = ""
    with closing(start(env=env)) as child:
        child.call(f"{__package__}.timed:pin", cores=list(cores))
        yield Peak(
            best=lambda: float(child.call(f"{__name__}:best_macs_per_s")),
            now=lambda: float(child.call(f"{__name__}:macs_per_s_now")),
            int8=lambda: child.call(f"{__name__}:best_int8_macs_per_s", threads=threads),
        )
