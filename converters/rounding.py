"""Weights rounded before a target's quantizer rounds them, so that what layers write errs least.

    layer by layer in the graph's order, on what the layers before it, already rounded, hand it:
        W  by GPTQ onto the steps of the target; channels for which that is worse, to the nearest
        b  plus E[what it wrote in fp32] − E[what it writes now], if that is better

In w8a8 what they read has 8 bits, too, so that what that costs on average is made up for. The
quantizer then finds weights on its own steps, and leaves them there. What is better is decided on
inputs that rounding has not seen. Biases are corrected by data, channel by channel (Nagel et al.,
ICCV 2019, arXiv 1906.04721, section 4.2). Not when: the weight stays in fp32, is shared or the
graph's own, or the program keeps a state.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node
from torch.nn import functional as F

from edgevit.program import Program
from edgevit.reference import Arrays, spread

from .gptq import rounded
from .grid import Grid, Stored
from .node_by_node import Run, Steps
from .parameters import keeps_state, own, put, value_of
from .rewrites.graph import argument, module_path
from .simulate import CONV, LINEAR, learnt

INPUTS, EVERY = 64, 4  # of the calibration, at most; every so many-th decides what is better
POSITIONS = 8192  # of all inputs that a layer is rounded by
MEMORY = 2**28  # bytes of a layer's outputs on all inputs, for which there are fewer
WIDEST = 4096  # weights of an output channel that are not just rounded to the nearest


def rounded_weights(
    program: Program, stored: Stored, rows: Sequence[Arrays], *, static: bool = False
) -> tuple[ExportedProgram, dict[str, int]]:
    """The program, and of it: layers on their steps, their channels, those rounded by GPTQ, and
    biases corrected.

    static: layers read and write 8 bits, as in w8a8, and that is made up for too.
    """
    exported, said = program.exported, {"layers": 0, "channels": 0, "by_gptq": 0, "biases": 0}
    module = cast(Any, exported.module())
    layers = {layer.node: layer for layer in _layers(module, program, stored)}
    if not layers or keeps_state(exported, module):
        return exported, said
    largest = max(4 * n.meta["val"].numel() for n in layers)
    count = min(INPUTS, max(MEMORY // largest, 2 * EVERY))
    few = [rows[i] for i in spread(len(rows), count)]
    before, after = ([Run(module, row) for row in few] for _ in range(2))
    with torch.no_grad():
        for n in module.graph.nodes:
            if n.op == "output":
                break
            layer = layers.get(n)
            steps = Steps(program, n, before) if layer and static else None
            for run in before:
                run.step(n)
            if steps:
                steps.read(after)
            if layer:
                said["layers"] += 1
                said["channels"] += len(layer.weight)
                said["by_gptq"] += layer.round([run.env[n.args[0]] for run in after])
                for run in after:
                    run.env[n.args[1]] = value_of(module, n.args[1])
            for run in after:
                run.step(n)
            if layer and layer.bias is not None:
                lost = [b.env[n] - a.env[n] for b, a in zip(before, after, strict=True)]
                shift = layer.correct(lost)
                said["biases"] += shift is not None
                for run in after if shift is not None else ():
                    run.env[n] = run.env[n] + shift
            if steps:
                steps.written(before, after)
    return torch.export.export(module, exported.example_inputs[0]), said


def _layers(module: Any, program: Program, stored: Stored) -> Iterator["_Layer"]:
    alone = own(module)
    for n in module.graph.nodes:
        if n.target not in (CONV, LINEAR) or not alone(n.args[1]) or program.kept(module_path(n)):
            continue
        weight = learnt(module, n.args[1])
        if weight is None or (n.target is CONV and n.meta["val"].dim() != 4):
            continue
        groups = cast(int, argument(n, "groups", 1))
        if grid := stored.grid(weight, groups):
            bias = argument(n, "bias")
            yield _Layer(module, n, weight, bias if alone(bias) else None, groups, grid)


@dataclass(frozen=True)
class _Layer:
    """A convolution or linear layer: its weight as it was, its bias, and the weight's steps."""

    module: Any
    node: Node
    weight: Tensor
    bias: Node | None
    groups: int
    grid: Grid

    def round(self, read: Sequence[Tensor]) -> int:
        """Put the weight on its steps, by what the layer reads; of how many channels by GPTQ."""
        rows = self.weight.flatten(1).unflatten(0, (self.groups, -1)).double()
        steps = self.grid.steps(rows)
        found, better = steps.nearest(rows), torch.zeros(rows.shape[:2], dtype=torch.bool)
        if rows.shape[-1] <= WIDEST:
            share = POSITIONS // len(read)
            usual, others = (
                self._products([x for i, x in enumerate(read) if bool(i % EVERY) == fits], share)
                for fits in (True, False)
            )
            least = rounded(rows, steps, usual)
            better = _noise(rows - least, others) < _noise(rows - found, others)
            found = torch.where(better[..., None], least, found)
        value = found.float().reshape(self.weight.shape)
        put(self.module, self.node.args[1], value)
        return int(better.sum())

    def _products(self, read: Sequence[Tensor], share: int) -> Tensor:
        """X·Xᵀ, [groups, K, K], over up to `share` positions of each input."""
        drawn = torch.Generator().manual_seed(0)
        found = torch.zeros(())
        for x in read:
            columns = self._columns(x)
            few = torch.randperm(columns.shape[-1], generator=drawn)[:share]
            found = found + columns[..., few] @ columns[..., few].mT
        return found.double()

    def _columns(self, x: Tensor) -> Tensor:
        """What meets the weights of a channel, position by position: [groups, K, positions]."""
        if self.node.target is LINEAR:
            return x.reshape(-1, x.shape[-1]).mT[None]
        names = ("dilation", "padding", "stride")
        shape = [argument(self.node, name) for name in names]
        windows = F.unfold(x, self.weight.shape[2:], *shape)
        return windows.unflatten(1, (self.groups, -1)).movedim(0, -2).flatten(-2)

    def correct(self, lost: Sequence[Tensor]) -> Tensor | None:
        """Add to the bias what outputs have `lost` on average, and return it, if that is better."""
        axis = 1 if self.node.target is CONV else -1
        channels = [x.movedim(axis, 0).flatten(1) for x in lost]
        mean = torch.stack([c.mean(1) for i, c in enumerate(channels) if i % EVERY]).mean(0)
        others = torch.cat(channels[::EVERY], 1)
        if (others - mean[:, None]).square().sum() >= others.square().sum():
            return None
        assert self.bias
        put(self.module, self.bias, value_of(self.module, self.bias) + mean)
        return mean.reshape(-1, 1, 1) if axis == 1 else mean


def _noise(weights: Tensor, products: Tensor) -> Tensor:
    """Of each output channel, if weights are off by this: the sum of squares of what it writes."""
    return (weights @ products * weights).sum(-1)
