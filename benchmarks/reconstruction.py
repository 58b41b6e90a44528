"""Weights whose rounding is learnt block by block (AdaRound, BRECQ), beside GPTQ's.

    python benchmarks/quantization.py OUT --models deit_tiny
    python benchmarks/reconstruction.py OUT --models deit_tiny --precision w4

Blocks are what lies between two places of the graph where one tensor carries all that goes on: a
layer by itself, where that is so (AdaRound), a residual branch, an attention, or what holds a
convolution and the attention that it feeds. From what the rounded blocks before it hand it, each
weight of a block goes up or down by rectified sigmoids (Nagel et al., ICML 2020, arXiv 2004.10568,
equation 23) so that the block writes what it writes in fp32 (Li et al., ICLR 2021, arXiv
2102.05426), starting between fp32 and what GPTQ has chosen. Where that is better on inputs that it
has not seen, it stays. SNR is that of the answers to 500 other images, weights alone rounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from quantization import drawer, prepared, recipe_of
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torch.fx import Interpreter, Node

from edgevit.converters.lowering import ready
from edgevit.converters.parameters import put, value_of
from edgevit.converters.rounding import EVERY, INPUTS, _Layer, _layers, rounded_weights
from edgevit.converters.target import find
from edgevit.prepare import built
from edgevit.program import export

BATCH, RATE = 4, 1e-2
Block = list[Node]
Weights = dict[Node, Tensor]


def blocks_of(graph: Any) -> list[Block]:
    """Of what computes, in order, cut where a single tensor is read later."""
    nodes = [n for n in graph.nodes if n.op not in ("get_attr", "output")]
    place = {n: i for i, n in enumerate(nodes)}
    last = {n: max((place[u] for u in n.users if u in place), default=i) for n, i in place.items()}
    found: list[Block] = [[]]
    for i, n in enumerate(nodes):
        found[-1].append(n)
        if [m for m in nodes[: i + 1] if last[m] > i] == [n]:
            found.append([])
    return [block for block in found if block]


class Learnt:
    """h of weight = step · (⌊W/step⌋ + h), 0 ≤ h ≤ 1, of one layer."""

    def __init__(self, layer: _Layer, chosen: Tensor) -> None:
        rows, gptq = (t.flatten(1).unflatten(0, (layer.groups, -1)) for t in (layer.weight, chosen))
        self.steps, self.shape = layer.grid.steps(rows), layer.weight.shape
        self.down = (rows / self.steps.step).floor()
        fraction, up = rows / self.steps.step - self.down, gptq / self.steps.step - self.down
        start = ((fraction + up.clamp(0, 1)) / 2).clamp(0.02, 0.98)
        self.v = ((start + 0.1) / (1.1 - start)).log().float().requires_grad_(True)

    def h(self) -> Tensor:
        return (1.2 * self.v.sigmoid() - 0.1).clamp(0, 1)

    def weight(self, h: Tensor) -> Tensor:
        level = (self.down + h).clamp(self.steps.low, self.steps.high)
        level = level.where(self.steps.pinned.isnan(), self.steps.pinned)
        return (level * self.steps.step).float().reshape(self.shape)


def run(module: Any, block: Block, start: Node, x: Tensor, weights: Weights) -> Tensor:
    """What the block writes of `x`, the tensor `start`."""
    net = Interpreter(module, garbage_collect_values=False)
    net.env = {start: x}
    for n in block:
        if n in net.env:
            continue
        for read in n.all_input_nodes:
            if read.op == "get_attr":
                net.env[read] = weights[read] if read in weights else value_of(module, read)
        net.env[n] = net.run_node(n)
    return net.env[block[-1]]


@dataclass(frozen=True)
class Task:
    """A block of the rounded net, what it reads, input by input, and what fp32 writes there."""

    net: Any
    block: Block
    start: Node
    read: list[Tensor]
    aim: list[Tensor]

    def noise(self, which: Sequence[int], weights: Weights) -> Tensor:
        found = [run(self.net, self.block, self.start, self.read[i], weights) for i in which]
        aims = (self.aim[i] for i in which)
        return torch.stack(
            [(y - a).square().mean() for y, a in zip(found, aims, strict=True)]
        ).mean()

    def learnt(self, layers: dict[Node, Learnt], iterations: int) -> Weights | None:
        """What the weights are then, if that is better on inputs held out."""
        inputs = range(len(self.read))
        held, fitted = (torch.tensor([i for i in inputs if bool(i % EVERY) == f]) for f in (0, 1))
        with torch.no_grad():
            before, least = self.noise(fitted, {}), self.noise(held, {})
        optimizer = torch.optim.Adam([layer.v for layer in layers.values()], lr=RATE)
        for i in range(iterations):
            few = fitted[torch.randperm(len(fitted))[:BATCH]]
            weights = {place: layer.weight(layer.h()) for place, layer in layers.items()}
            loss = self.noise(few, weights) / before
            if i > iterations // 5:  # then towards 0 and 1
                beta = 20 - 18 * (i / iterations - 0.2) / 0.8
                for layer in layers.values():
                    loss = loss + (1 - (2 * layer.h() - 1).abs() ** beta).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            weights = {place: layer.weight(layer.h().round()) for place, layer in layers.items()}
            return weights if self.noise(held, weights) < least else None


def reconstructed(
    whole: Any, gptq: Any, layers: dict[str, _Layer], rows: Tensor, iterations: int
) -> str:
    """Replace weights of `gptq` where that is better; of how many blocks."""
    own = {n.name: n for n in gptq.graph.nodes}
    start = next(n for n in whole.graph.nodes if n.op == "placeholder")
    fp32 = rounded = [row[None] for row in rows]
    better, tried = 0, 0
    for block in track(blocks_of(whole.graph), "blocks", console=Console(stderr=True)):
        mine = [own[n.name] for n in block]
        with torch.no_grad():
            aim = [run(whole, block, start, x, {}) for x in fp32]
        task = Task(gptq, mine, own[start.name], rounded, aim)
        inside = {own[n.name].args[1]: layers[n.name] for n in block if n.name in layers}
        if inside:
            learnt = {place: Learnt(y, value_of(gptq, place)) for place, y in inside.items()}
            weights = task.learnt(learnt, iterations)
            tried, better = tried + 1, better + (weights is not None)
            for place, weight in (weights or {}).items():
                put(gptq, place, weight)
        with torch.no_grad():
            rounded = [run(gptq, mine, task.start, x, {}) for x in rounded]
        start, fp32 = block[-1], aim
    return f"{better} of {tried} blocks"


@click.command()
@click.argument("out", type=click.Path(path_type=Path, exists=True))
@click.option("--models", "names", default="deit_tiny", show_default=True)
@click.option("--to", "target", default="onnx", show_default=True)
@click.option("--precision", default="w4", show_default=True)
@click.option("--iterations", default=1000, show_default=True)
def main(out: Path, names: str, target: str, precision: str, iterations: int) -> None:
    torch.set_num_threads(1)
    table = Table("model", "nearest", "GPTQ", "learnt from it", "better", box=None)
    for name in names.split(","):
        stem, (draw, classes) = name.rpartition(":")[2], drawer(name, held_out=True)
        recipe = recipe_of(name, out / f"{stem}.safetensors", out / f"{stem}.npy", classes)
        model = built(replace(recipe, calibrate=None).absolute())
        torch.manual_seed(5)
        images, _ = prepared(model.preprocess, 500, draw=draw)
        program = export(model.module, model.inputs, name=stem)
        program, _ = ready(program, target=target, precision=precision)
        seen = torch.from_numpy(np.load(out / f"{stem}.npy")).float()
        rows = [(row[None].numpy(),) for row in seen]
        stored, whole = find(target).grids[precision], program.exported.module()
        layers = {layer.node.name: layer for layer in _layers(whole, program, stored)}

        @torch.no_grad()
        def snr(net: Any, images: Tensor = images, whole: Any = whole) -> str:
            clean, found = (torch.cat([m(x[None]) for x in images]) for m in (whole, net))
            return f"{10 * (clean.square().sum() / (found - clean).square().sum()).log10():.1f} dB"

        nearest = program.exported.module()
        for layer in [*_layers(nearest, program, stored)]:
            weights = layer.weight.flatten(1).unflatten(0, (layer.groups, -1)).double()
            near = layer.grid.steps(weights).nearest(weights).float()
            put(nearest, layer.node.args[1], near.reshape(layer.weight.shape))
        gptq: Any = rounded_weights(program, stored, rows)[0].module()
        before = snr(gptq)
        better = reconstructed(whole, gptq, layers, seen[:INPUTS], iterations)
        table.add_row(stem, snr(nearest), before, snr(gptq), better)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
