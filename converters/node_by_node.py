"""Inputs on their way through a graph, node by node; layers may read and write 8 bits on it."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.fx import Interpreter, Node

from edgevit.emulation import on_steps
from edgevit.program import Program, Range
from edgevit.reference import Arrays

from .rewrites.graph import module_path
from .simulate import around_zero, rounded_as_written


class Run(Interpreter):
    """One input. env: the tensors that a later node reads."""

    def __init__(self, module: Any, row: Arrays) -> None:
        super().__init__(module)
        self.args_iter = iter(module.graph.process_inputs(*map(torch.tensor, row)))

    def step(self, n: Node) -> None:
        self.env[n] = self.run_node(n)
        for done in self.user_to_last_uses.get(n, []):
            del self.env[done]


class Steps:
    """What a layer reads and writes, on 255 steps of its range in fp32 runs, clipped or not."""

    def __init__(self, program: Program, layer: Node, runs: Sequence[Run]) -> None:
        """runs: in fp32, before the layer."""
        self.layer, self.source = layer, cast(Node, layer.args[0])
        self.clipped = [program.ranges.get((module_path(layer), w)) for w in (False, True)]
        self.ends = _ends(self.clipped[0], [run.env[self.source] for run in runs])
        self.whole: list[Tensor] = []

    def read(self, runs: Sequence[Run]) -> None:
        """Round what the layer is about to read."""
        self.whole = [run.env[self.source] for run in runs]
        for run, x in zip(runs, self.whole, strict=True):
            run.env[self.source] = on_steps(x, *self.ends)

    def written(self, fp32: Sequence[Run], runs: Sequence[Run]) -> None:
        """Round what it has written; others read what it read as it was."""
        ends = _ends(self.clipped[1], [run.env[self.layer] for run in fp32])
        for run, x in zip(runs, self.whole, strict=True):
            if self.source in run.env:
                run.env[self.source] = x
            if rounded_as_written(self.layer):
                run.env[self.layer] = on_steps(run.env[self.layer], *ends)


def _ends(clipped: Range | None, values: Sequence[Tensor]) -> tuple[float, float]:
    if clipped:
        return clipped.low, clipped.high
    ends = [around_zero(x) for x in values]
    return min(low for low, _ in ends), max(high for _, high in ends)
