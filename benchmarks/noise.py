"""What `edgevit profile` says of differences that are known, on a quiet machine and on a busy one.

    python benchmarks/noise.py --trials 3

Two .onnx files, of 33 and of 34 equal convolutions, differ by 3 % of work; the first also meets
itself. Each trial is a session of about a minute; half of them beside a process that multiplies
matrices on the other cores. Prints how often each pair was found slower, faster, or equal.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console
from rich.table import Table

from edgevit.errors import sound
from edgevit.profiles.bench import profile
from edgevit.profiles.compare import Ratio, ratio
from edgevit.profiles.devices import host
from edgevit.profiles.variant import Item

CHANNELS, SIDE = 32, 28
BURN = """
import os, numpy as np
os.sched_setaffinity(0, {cores})
a = np.ones((1024, 1024), np.float32)
while True:
    a @ a
"""


def convolutions(count: int, file: Path) -> Path:
    """A chain of `count` equal 3×3 convolutions; each keeps the size of its values."""
    weight = np.full((CHANNELS, CHANNELS, 3, 3), 1 / (9 * CHANNELS), np.float32)
    shape = [1, CHANNELS, SIDE, SIDE]
    nodes = [
        helper.make_node("Conv", [f"x{i}", "w"], [f"x{i + 1}"], pads=[1] * 4) for i in range(count)
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name in ("x0", f"x{count}")
    ]
    graph = helper.make_graph(
        nodes, "chain", ends[:1], ends[1:], [numpy_helper.from_array(weight, "w")]
    )
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), file)
    return file


@contextmanager
def neighbour(busy: bool) -> Iterator[None]:
    """Another program, on the cores that `profile` leaves free."""
    free = {*os.sched_getaffinity(0)} - {*host.cores_for(1)}
    code = BURN.format(cores=free or {0})
    started = [subprocess.Popen([sys.executable, "-c", code])] if busy else []
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def session(files: list[Path], rounds: int, seed: int) -> Ratio:
    runs = profile([Item(file, "onnx") for file in files], rounds=rounds, seed=seed, control=False)
    return ratio(*sound(runs))


@click.command()
@click.option("--trials", default=3, show_default=True)
@click.option("--rounds", default=150, show_default=True)
def main(trials: int, rounds: int) -> None:
    """Sessions of known truth, with and without a busy neighbour."""
    table = Table("beside", "truth", "verdicts", "found", box=None)
    with TemporaryDirectory() as folder:
        base, more = (convolutions(n, Path(folder) / f"{n}.onnx") for n in (33, 34))
        for busy in (False, True):
            for truth, other in (("equal", base), ("3 % slower", more)):
                with neighbour(busy):
                    found = [session([base, other], rounds, seed) for seed in range(trials)]
                verdicts = Counter(one.verdict for one in found)
                table.add_row(
                    "a busy process" if busy else "nothing",
                    truth,
                    ", ".join(f"{n} {verdict}" for verdict, n in verdicts.items()),
                    "; ".join(map(str, found)),
                )
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
