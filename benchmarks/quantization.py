"""What 8 and 4 bits cost trained nets, in each runtime: accuracy on images that none has seen.

    python benchmarks/quantization.py OUT
    python benchmarks/quantization.py OUT --models deit_tiny,mobilenetv2_100 --to onnx --steps 4000
    python benchmarks/quantization.py OUT --precisions dyn8,w8a8,w8,w4
    python benchmarks/quantization.py OUT --models fastvit_t8 --keep stages.1.downsample

trains each model on shapes of 64 × 64 pixels that are drawn anew for every step, or, where it has
no batch norms and so learns nothing of them in so few, on scikit-learn's handwritten digits;
converts it to fp32 and to 8 and 4 bits, calibrated on 128 other images; and lets each file read
8000 (of digits, a quarter that was held out, again and again, each time moved by other pixels). A
file's points are its accuracy less that of fp32 in the same runtime, with the 95 % interval of the
paired difference. A net that is right on more than 97 % reads images, the calibration's too, with
as much noise as it takes to be right on fewer: nothing is lost where nothing is in doubt. What is
there is taken up again, weights and a model's rows: for other steps, runtimes, precisions or
modules that stay in fp32 take another OUT.
"""

import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from edgevit import Recipe, convert, models
from edgevit.converters.target import find
from edgevit.preprocess import Preprocess
from edgevit.template import sharing
from edgevit.weights import load_into

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))
from digits import DigitReader, digits, rights, shifted
from shapes import SHAPES, drawn

SIDE, BATCH, SHOWN, SEEN = 64, 32, 8000, 128
MOST, FEWEST = 0.97, 0.6  # right, of those: between them something can be lost
NARROW = "benchmarks/narrow.py:deit_small_narrow"
READERS = ("efficientmod_xxs", "deit_tiny", NARROW, "timm:convnext_atto", "poolformer_s12")
Draw = Callable[[int], tuple[Tensor, Tensor]]
MODELS = f"efficientmod_xxs,deit_tiny,{NARROW},mobilenetv2_100,mobilevit_xs,efficientformerv2_s0,"
MODELS += "timm:convnext_atto,fastvit_t8,poolformer_s12"


def drawer(name: str, *, held_out: bool = False) -> tuple[Draw, int]:
    """How many images are drawn for a model, in 0 to 1 and with labels, and how many classes."""
    if name not in READERS:
        return shapes, len(SHAPES)
    training, asked = digits()
    split = asked if held_out else training
    how = DigitReader.preprocess
    images, labels = torch.from_numpy(split.images), torch.from_numpy(split.labels)
    pixels = images * how.std[0] + how.mean[0]

    def again(count: int) -> tuple[Tensor, Tensor]:
        chosen = torch.cat([torch.randperm(len(labels)) for _ in range(count // len(labels) + 1)])
        moved = shifted(pixels[chosen[:count]])
        return F.interpolate(moved, size=SIDE, mode="bilinear"), labels[chosen[:count]]

    return again, 10


def shapes(count: int) -> tuple[Tensor, Tensor]:
    images, labels = drawn(count, SIDE)
    return 0.3 * images + 0.5, labels


def train(name: str, file: Path, steps: int) -> None:
    """From scratch; `file` appears when it is done."""
    torch.manual_seed(0)
    draw, classes = drawer(name)
    built = models.build(name, num_classes=classes, input_size=SIDE)
    model = built.module.requires_grad_(True).train()
    if name in READERS:
        start(model)
        steps //= 4
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, steps, pct_start=0.1)
    for _ in track(range(steps), f"train {name}", console=Console(stderr=True)):
        images, labels = prepared(built.preprocess, BATCH, draw=draw)
        loss = F.cross_entropy(model(images), labels, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, file)


def start(model: nn.Module) -> None:
    """Weights that keep the size of what they read, biases of 0, norms as they come; layer scales
    stay near 1, as `models.build` draws them.

    Its other weights are there to be converted: their biases outweigh what the weights write.
    """
    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.normal_(layer.weight, std=layer.weight[0].numel() ** -0.5)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, (BatchNorm, nn.LayerNorm, nn.GroupNorm)):
            layer.reset_parameters()


def prepared(
    preprocess: Preprocess | None, count: int, noise: float = 0.0, draw: Draw = shapes
) -> tuple[Tensor, Tensor]:
    """Drawn images as the model takes them, and their labels. noise: of pixels of 0 to 1."""
    assert preprocess
    images, labels = draw(count)
    mean, std = (torch.tensor(v).reshape(-1, 1, 1) for v in (preprocess.mean, preprocess.std))
    return ((images + noise * torch.randn(images.shape)).clamp(0, 1) - mean) / std, labels


def noise_for(model: Any, weights: Path, draw: Draw) -> float:
    """The least, in fiftieths, with which the float model errs often enough."""
    load_into(model.module, weights)
    net, right, noise = model.module.eval(), 1.0, 0.0
    for noise in (n / 50 for n in range(40)):
        torch.manual_seed(3)
        images, labels = prepared(model.preprocess, 500, noise, draw)
        with torch.no_grad():
            named = torch.cat([net(some).argmax(1) for some in images.split(50)])
        right = float((named == labels).float().mean())
        if right <= MOST:
            break
    if not FEWEST <= right <= MOST:
        raise click.ClickException(f"{weights}: {right:.1%} right with noise of {noise}")
    return noise


def row_of(name: str, precision: str, target: str, found: Any, plain: Any) -> dict[str, Any]:
    """Points lost, from the images of which only one of the two is right (McNemar)."""
    row = {"model": name, "target": target, "precision": precision}
    row |= {"accuracy": 100 * float(found.mean())}
    if plain is None or precision == "fp32":
        return row
    worse, better = int((plain & ~found).sum()), int((found & ~plain).sum())
    points, n = 100 * (better - worse) / len(found), len(found)
    spread = 196 * math.sqrt(max(worse + better - (better - worse) ** 2 / n, 1)) / n
    return row | {"points": points, "low": points - spread, "high": points + spread}


def recipe_of(name: str, weights: Path, calibrate: Path, classes: int = len(SHAPES)) -> Recipe:
    return Recipe(
        name,
        weights=str(weights),
        num_classes=classes,
        input_size=SIDE,
        calibrate=str(calibrate),
    )


def measured(
    name: str,
    weights: Path,
    to: Sequence[str],
    precisions: Sequence[str],
    out: Path,
    keep: tuple[str, ...],
) -> list[dict[str, Any]]:
    draw, classes = drawer(name, held_out=True)
    model = models.build(name, num_classes=classes, input_size=SIDE)
    noise = noise_for(model, weights, draw)
    torch.manual_seed(1)
    seen, _ = prepared(model.preprocess, SEEN, noise, drawer(name)[0])
    images, labels = prepared(model.preprocess, SHOWN, noise, draw)
    file = weights.with_suffix(".npy")
    np.save(file, seen.numpy())
    recipe = replace(recipe_of(name, weights, file, classes), keep=keep)
    with sharing():
        outcomes = convert(recipe, to=to, out=out / "files", precisions=["fp32", *precisions])
    rows, plain = [], {}
    for o in outcomes:
        target, precision = o.job.target, o.job.recipe.precision
        if precision not in find(target).executes:
            continue
        if o.artifact is None:
            what = {"model": name, "target": target, "precision": precision}
            rows.append(what | {"noise": noise, "error": str(o.error)})
            continue
        found = rights(o.artifact, images.numpy(), labels.numpy())
        if precision == "fp32":
            plain[target] = found
        row = row_of(name, precision, target, found, plain.get(target))
        rows.append(row | {"noise": noise})
    return rows


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--models", "names", default=MODELS, show_default=True)
@click.option("--to", default="executorch,tflite,onnx", show_default=True)
@click.option("--precisions", "chosen", default="w8a8,w4", show_default=True)
@click.option("--steps", default=2000, show_default=True)
@click.option("--keep", default="", help="Modules whose products stay in fp32 in 8 bits.")
def main(out: Path, names: str, to: str, chosen: str, steps: int, keep: str) -> None:
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    precisions, failed = chosen.split(","), []
    in_fp32 = tuple(filter(None, keep.split(",")))
    table = Table("model", "noise", "runtime", "fp32", *precisions, box=None)
    for name in names.split(","):
        stem = name.rpartition(":")[2]
        weights, kept = (out / f"{stem}.{end}" for end in ("safetensors", "json"))
        if not weights.exists():
            train(name, weights, steps)
        if not kept.exists():
            found = measured(name, weights, to.split(","), precisions, out, in_fp32)
            kept.write_text(json.dumps(found))
        rows = json.loads(kept.read_text())
        failed += [
            f"{r['model']} {r['target']} {r['precision']}: {r['error']}"
            for r in rows
            if "error" in r
        ]
        for target in to.split(","):
            of = {r["precision"]: r for r in rows if r["target"] == target}
            cells = (said(of.get(p, {})) for p in ("fp32", *precisions))
            table.add_row(stem, f"{rows[0]['noise']:.2f}", target, *cells)
    Console(width=120).print(table, *failed, sep="\n")


def said(row: dict[str, Any]) -> str:
    """Points and interval, or fp32's accuracy."""
    if "points" in row:
        return f"{row['points']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"
    return f"{row['accuracy']:.2f} %" if "accuracy" in row else "–"


if __name__ == "__main__":
    main()
