"""Pruned to a latency by edgevit, and to as many MACs by torch-pruning as it comes, side by side.

    python benchmarks/quantization.py OUT --models mobilenetv2_100
    python benchmarks/pruning.py OUT --models mobilenetv2_100

takes each net as the first left it. edgevit looks at 256 images first; torch-pruning is its
BasePruner with its magnitude importance, which looks at none, all else as it comes but for the
head, which it is told to leave, and again with its widths rounded to eights; its ratio is the one
that leaves as many MACs, or with --equal latency the one whose file is as fast. All files are
measured beside the whole model's, in one session. All nets then train for as many steps, on images
drawn anew for every step, with the whole net as the teacher. Points are of accuracy on 2000 images,
ours less torch-pruning's.
"""

import copy
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
import torch_pruning as library
from quantization import Draw, drawer, noise_for, prepared, recipe_of, row_of
from rich.console import Console
from rich.table import Table
from torch import nn

from edgevit import convert
from edgevit.converters.artifact import Artifact
from edgevit.errors import first_line, sound
from edgevit.models.model import Model
from edgevit.pipeline.profile import item_of, session
from edgevit.pipeline.prune import prune
from edgevit.pipeline.prune_bench import Bench
from edgevit.pipeline.prune_study import Study, lost_without
from edgevit.pipeline.pruned import Budget
from edgevit.prepare import built
from edgevit.profiles.compare import ratio
from edgevit.program import outputs_of
from edgevit.recipe import Recipe
from edgevit.template import sharing
from edgevit.transforms.finetune import finetune
from edgevit.transforms.prune_counts import size
from edgevit.transforms.prune_groups import groups_of
from edgevit.transforms.prune_importance import MEASURES

BATCH, SEEN, SHOWN = 32, 128, 2000
OURS, THEIRS = "edgevit", {"torch-pruning": None, "torch-pruning, eights": 8}


def macs_of(net: nn.Module, model: Model) -> int:
    return size(net, model.inputs, "macs")


def by_the_library(model: Model, ratio_: float, tile: int | None) -> nn.Module:
    net = copy.deepcopy(model.module).requires_grad_(True)
    (scores,) = outputs_of(net, model.inputs)
    classes = scores.shape[1]
    head = [m for m in net.modules() if isinstance(m, nn.Linear) and m.out_features == classes]
    warnings.filterwarnings("ignore", "Unwrapped parameters")
    library.pruner.BasePruner(
        net,
        model.inputs[0],
        importance=library.importance.GroupMagnitudeImportance(),
        pruning_ratio=ratio_,
        ignored_layers=head,
        round_to=tile,
    ).step()
    return net.requires_grad_(False)


def as_small(
    model: Model, wanted: float, tile: int | None, cost: Callable[[nn.Module], float]
) -> nn.Module:
    """The least pruned net by torch-pruning that costs at most as much."""
    low, high = 0.0, 0.95
    for _ in range(7):
        middle = (low + high) / 2
        if cost(by_the_library(model, middle, tile)) > wanted:
            low = middle
        else:
            high = middle
    return by_the_library(model, high, tile)


def trained(net: nn.Module, model: Model, draw: Draw, steps: int) -> nn.Module:
    net = copy.deepcopy(net)

    def batches(epoch: int) -> Any:
        torch.manual_seed(1000)
        return (prepared(model.preprocess, BATCH, draw=draw) for _ in range(steps))

    finetune(net, batches, steps=steps, epochs=1, rate=1e-3, teacher=model.module)
    return net


def file_of(recipe: Recipe, net: nn.Module, model: Model, target: str, out: Path) -> Artifact:
    (made,) = convert(
        replace(recipe, weights=None), to=[target], out=out, model=(net, model.inputs)
    )
    if made.artifact is None:
        assert made.error
        raise made.error
    return made.artifact


def measured(
    name: str, budgets: list[str], target: str, steps: int, equal: str, out: Path, table: Table
) -> None:
    (draw, classes), (asked, _) = drawer(name), drawer(name, held_out=True)
    weights = out / f"{name.removeprefix('timm:')}.safetensors"
    recipe = recipe_of(name, weights, out / "none.npy", classes)
    recipe = replace(recipe, calibrate=None).absolute()
    model = built(recipe)
    torch.manual_seed(1)
    (seen, labels), (others, _) = (prepared(model.preprocess, SEEN, draw=draw) for _ in range(2))
    noise = noise_for(model, weights, asked)  # nothing is lost where nothing is in doubt
    images, truth = prepared(model.preprocess, SHOWN, noise, asked)
    groups, refused = groups_of(model.module, model.inputs)
    scores = MEASURES["fisher"](
        model.module, groups, list(zip(seen.split(1), labels.split(1), strict=True))
    )
    blocks = lost_without(model, seen)
    study = Study(
        recipe, model, tuple(groups), refused, scores, None, (seen, others), blocks, "fisher"
    )

    def rights(net: nn.Module) -> np.ndarray:
        with torch.no_grad():
            found = [net(batch).argmax(1) for batch in images.split(BATCH)]
        return (torch.cat(found) == truth).numpy()

    whole = rights(model.module)
    table.add_row(name, target, "whole", "", "", "", f"{100 * whole.mean():.2f} %", "")
    for word in budgets:
        place = out / "pruning"
        with sharing():
            bench = Bench(target, place)
            ours = prune(study, Budget.parse(word), bench)
            base = Artifact.read(place / ours.artifact.path.name)

            def cost(net: nn.Module, bench: Bench = bench, base: Artifact = base) -> float:
                if equal == "macs":
                    return macs_of(net, model)
                tried = file_of(recipe, net, model, target, bench.out / "tried")
                beside = bench.beside(base, tried)
                assert beside
                return 1 / beside[0].value

            nets, files = {OURS: built(ours.recipe).module}, {OURS: ours.artifact}
            wanted, broken = cost(nets[OURS]), {}
            for kind, tile in THEIRS.items():
                try:
                    net = as_small(model, wanted, tile, cost)
                except Exception as e:  # its nets need not run: it takes channels out of heads
                    broken[kind] = first_line(e)
                    continue
                nets[kind], files[kind] = net, file_of(recipe, net, model, target, place / kind)
        items = [item_of(a) for a in (base, *files.values())]
        first, *runs = sound(session(items, job="measure", watch=lambda *_: None, rounds=30))
        after = {k: rights(trained(net, model, draw, steps)) for k, net in nets.items()}
        for (kind, net), run in zip(nets.items(), runs, strict=True):
            macs = macs_of(net, model) / macs_of(model.module, model)
            points = ""
            if kind != OURS:
                row = row_of(name, "", target, after[OURS], after[kind])
                points = f"{row['points']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"
            table.add_row(
                "",
                word,
                kind,
                f"{1 / macs:.2f}×",
                str(ratio(first, run)),
                f"{100 * rights(net).mean():.2f} %",
                f"{100 * after[kind].mean():.2f} %",
                points,
            )
        for kind, why in broken.items():
            table.add_row("", word, kind, "", "does not run", why)


@click.command()
@click.argument("out", type=click.Path(path_type=Path, exists=True))
@click.option("--models", "names", default="mobilenetv2_100", show_default=True)
@click.option("--to", "target", default="onnx", show_default=True)
@click.option("--budgets", default="0.8x,0.6x", show_default=True)
@click.option("--steps", default=300, show_default=True)
@click.option("--equal", type=click.Choice(["macs", "latency"]), default="macs", show_default=True)
def main(out: Path, names: str, target: str, budgets: str, steps: int, equal: str) -> None:
    torch.set_num_threads(1)
    table = Table(
        "net", "", "", "by MACs", "times as fast", "pruned", "trained", "points", box=None
    )
    for name in names.split(","):
        measured(name, budgets.split(","), target, steps, equal, out, table)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
