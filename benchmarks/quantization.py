"""What 8 and 4 bits cost trained nets, in each runtime: accuracy on images that none has seen.

    python benchmarks/quantization.py OUT
    python benchmarks/quantization.py OUT --models deit_tiny,mobilenetv2_100 --to onnx --steps 4000
    python benchmarks/quantization.py OUT --precisions dyn8,w8a8,w8,w4

trains each model on shapes of 64 × 64 pixels that are drawn anew for every step, converts it to
fp32 and to 8 and 4 bits, calibrated on 128 other images, and lets each file read 2000. A file's
points are its accuracy less that of fp32 in the same runtime, with the 95 % interval of the paired
difference. What is there is taken up again, weights and a model's rows: for other steps, runtimes
or precisions take another OUT.
"""

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from edgevit import Recipe, convert, models
from edgevit.converters.target import find
from edgevit.preprocess import Preprocess
from edgevit.template import sharing

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))
from digits import rights
from shapes import SHAPES, drawn

SIDE, BATCH, SHOWN, SEEN = 64, 32, 2000, 128
MODELS = "efficientmod_xxs,deit_tiny,mobilenetv2_100,mobilevit_xs,efficientformerv2_s0,"
MODELS += "timm:convnext_atto,fastvit_t8,poolformer_s12"


def train(name: str, file: Path, steps: int) -> None:
    """From scratch; `file` appears when it is done."""
    torch.manual_seed(0)
    built = models.build(name, num_classes=len(SHAPES), input_size=SIDE)
    model = built.module.requires_grad_(True).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, steps, pct_start=0.1)
    for _ in track(range(steps), f"train {name}", console=Console(stderr=True)):
        images, labels = prepared(built.preprocess, BATCH)
        loss = F.cross_entropy(model(images), labels, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, file)


def prepared(preprocess: Preprocess | None, count: int) -> tuple[Tensor, Tensor]:
    """Drawn images as the model takes them, and their labels."""
    assert preprocess
    images, labels = drawn(count, SIDE)
    mean, std = (torch.tensor(v).reshape(-1, 1, 1) for v in (preprocess.mean, preprocess.std))
    return ((0.3 * images + 0.5).clamp(0, 1) - mean) / std, labels


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


def recipe_of(name: str, weights: Path, calibrate: Path) -> Recipe:
    return Recipe(
        name,
        weights=str(weights),
        num_classes=len(SHAPES),
        input_size=SIDE,
        calibrate=str(calibrate),
    )


def measured(
    name: str, weights: Path, to: Sequence[str], precisions: Sequence[str], out: Path
) -> list[dict[str, Any]]:
    torch.manual_seed(1)
    preprocess = models.build(name, num_classes=len(SHAPES), input_size=SIDE).preprocess
    seen, _ = prepared(preprocess, SEEN)
    images, labels = prepared(preprocess, SHOWN)
    file = weights.with_suffix(".npy")
    np.save(file, seen.numpy())
    recipe = recipe_of(name, weights, file)
    with sharing():
        outcomes = convert(recipe, to=to, out=out / "files", precisions=["fp32", *precisions])
    rows, plain = [], {}
    for o in outcomes:
        target, precision = o.job.target, o.job.recipe.precision
        if precision not in find(target).executes:
            continue
        if o.artifact is None:
            said = {"model": name, "target": target, "precision": precision}
            rows.append(said | {"error": str(o.error)})
            continue
        found = rights(o.artifact, images.numpy(), labels.numpy())
        if precision == "fp32":
            plain[target] = found
        rows.append(row_of(name, precision, target, found, plain.get(target)))
    return rows


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--models", "names", default=MODELS, show_default=True)
@click.option("--to", default="executorch,tflite,onnx", show_default=True)
@click.option("--precisions", "chosen", default="w8a8,w4", show_default=True)
@click.option("--steps", default=2000, show_default=True)
def main(out: Path, names: str, to: str, chosen: str, steps: int) -> None:
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    precisions, failed = chosen.split(","), []
    table = Table("model", "runtime", "fp32", *precisions, box=None)
    for name in names.split(","):
        stem = name.rpartition(":")[2]
        weights, kept = (out / f"{stem}.{end}" for end in ("safetensors", "json"))
        if not weights.exists():
            train(name, weights, steps)
        if not kept.exists():
            kept.write_text(json.dumps(measured(name, weights, to.split(","), precisions, out)))
        rows = json.loads(kept.read_text())
        failed += [
            f"{r['model']} {r['target']} {r['precision']}: {r['error']}"
            for r in rows
            if "error" in r
        ]
        for target in to.split(","):
            of = {r["precision"]: r for r in rows if r["target"] == target}
            table.add_row(stem, target, *(said(of.get(p, {})) for p in ("fp32", *precisions)))
    Console().print(table, *failed, sep="\n")


def said(row: dict[str, Any]) -> str:
    """Points and interval, or fp32's accuracy."""
    if "points" in row:
        return f"{row['points']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"
    return f"{row['accuracy']:.2f} %" if "accuracy" in row else "–"


if __name__ == "__main__":
    main()
