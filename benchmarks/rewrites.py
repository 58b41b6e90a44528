"""What the graph rewrites bring: each model as its runtime's documented one-liner makes it, and as
edgevit does, timed side by side.

    python benchmarks/rewrites.py efficientmod_xxs deit_tiny --to executorch,tflite
    python benchmarks/rewrites.py --to executorch --keep out/speed      # the whole zoo, resumable

Prints, per model and target, how many times as fast the rewritten file is, with its interval; the
geometric mean; and whose partitions were more than one. One thread, interleaved rounds.
Then, per model: which part of the machine's peak the rewritten file reaches, and the largest error
of both against float64 over the sixteen inputs of `verify`, in units of torch's own in fp32.
"""

import json
import math
import sys
from contextlib import redirect_stdout
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click
import torch
from rich.console import Console
from rich.table import Table

from edgevit import Recipe, convert
from edgevit.converters.target import find
from edgevit.converters.verify import agreement
from edgevit.exact import compute
from edgevit.models import build
from edgevit.profiles.bench import profile
from edgevit.profiles.compare import ratio
from edgevit.profiles.run import Run
from edgevit.profiles.variant import Item
from edgevit.reference import Reference
from edgevit.template import sharing

Inputs = tuple[torch.Tensor, ...]
ZOO = [
    "efficientmod_xxs",
    "efficientmod_xs",
    "efficientmod_s",
    "efficientmod_s_conv",
    "deit_tiny",
    "deit_small",
    "vit_small",
    "convnext_tiny",
    "fastvit_t8",
    "repvit_m0_9",
    "efficientformer_l1",
    "efficientformerv2_s0",
    "poolformer_s12",
    "mobilevit_xs",
    "mobilevitv2_100",
    "swiftformer_xs",
    "shvit_s1",
    "fasternet_t0",
    "mobileone_s1",
    "mobilenetv2_100",
    "mobilenetv4_conv_small",
    "efficientnet_b0",
    "starnet_s1",
]


def executorch(module: torch.nn.Module, inputs: Inputs, file: Path) -> None:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    exported = torch.export.export(module, inputs)
    edge = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    file.write_bytes(edge.to_executorch().buffer)


def tflite(module: torch.nn.Module, inputs: Inputs, file: Path) -> None:
    import litert_torch

    litert_torch.convert(module, inputs).export(str(file))


def onnx(module: torch.nn.Module, inputs: Inputs, file: Path) -> None:
    torch.onnx.export(module, inputs, dynamo=True, external_data=False, f=file)


ONE_LINERS = {"executorch": executorch, "tflite": tflite, "onnx": onnx}


def compared(name: str, target: str, rounds: int, folder: Path) -> dict[str, Any]:
    """Placements before and after, and how many times as fast ours is; errors in words."""
    model = build(name)
    suffix = find(target).suffix
    theirs, ours = folder / f"one-liner{suffix}", folder / f"{name}{suffix}"
    row: dict[str, Any] = {"model": name, "target": target, "before": "", "after": ""}
    (outcome,) = convert(Recipe(name), to=[target], out=folder, verify=False)
    if not outcome.artifact or not outcome.artifact.card:
        return row | {"error": str(outcome.error)}
    row["after"] = str(outcome.artifact.card.placement or "–")
    try:
        with redirect_stdout(sys.stderr):
            ONE_LINERS[target](model.module, model.inputs, theirs)
        row["before"] = str(find(target).placement(theirs) or "–")
    except Exception as e:
        return row | {"error": f"one-liner: {type(e).__name__}: {' '.join(str(e).split())[:90]}"}
    macs = outcome.artifact.card.model["macs"]
    runs = profile(
        [Item(theirs, target), Item(ours, target, macs=macs)], rounds=rounds, control=False
    )
    if not isinstance(runs[0], Run) or not isinstance(runs[1], Run):
        return row | {"error": str(next(r for r in runs if not isinstance(r, Run)))}
    found = ratio(runs[0], runs[1])
    held = compute(model.module, model.inputs, preprocess=model.preprocess, precisions=["fp32"])
    return row | {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "of_peak": runs[1].fraction_of_peak,
        "errors": [error(file, target, held) for file in (theirs, ours)],
    }


def error(file: Path, target: str, held: Reference) -> float:
    """The largest error against float64, in units of torch's own in fp32."""
    loaded = find(target).load(file)
    found = [tuple(loaded(*row)) for row in held.inputs]
    (output,) = agreement(held, found, precision="fp32", names=["output"]).outputs
    return output.max_abs_error / output.eager_error


@click.command()
@click.argument("models", nargs=-1)
@click.option("--to", default="executorch,tflite,onnx", show_default=True)
@click.option("--rounds", default=30, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Rows already there are not redone.")
def main(models: tuple[str, ...], to: str, rounds: int, keep: Path | None) -> None:
    """Time each of MODELS (the zoo) against the one-liner of each target."""
    rows = []
    with sharing():
        for target, name in product(to.split(","), models or ZOO):
            kept = keep / f"{target}-{name}.json" if keep else None
            if kept and kept.exists():
                rows.append(json.loads(kept.read_text()))
                continue
            with TemporaryDirectory() as folder:
                rows.append(compared(name, target, rounds, Path(folder)))
            click.echo(json.dumps(rows[-1]), err=True)
            if kept:
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_text(json.dumps(rows[-1]))
    console = Console(width=120, highlight=False)
    console.print(table(rows))
    console.print(details(rows))
    console.print(cut(rows))
    sys.exit(any("one-liner" not in row.get("error", "one-liner") for row in rows))


def table(rows: list[dict[str, Any]]) -> Table:
    """Times as fast as the one-liner, a column for each target, and the geometric means."""
    targets = list(dict.fromkeys(row["target"] for row in rows))
    shown = Table("model", *targets, box=None)
    for model in dict.fromkeys(row["model"] for row in rows):
        found = {row["target"]: row for row in rows if row["model"] == model}
        shown.add_row(model, *(_cell(found.get(target, {})) for target in targets))
    means = []
    for target in targets:
        logs = [math.log(r["value"]) for r in rows if r["target"] == target and "value" in r]
        means.append(f"{math.exp(sum(logs) / len(logs)):.2f}×  {len(logs)} models" if logs else "")
    shown.add_row("geometric mean", *means)
    return shown


def _cell(row: dict[str, Any]) -> str:
    if "value" in row:
        return f"{row['value']:.2f}×  [{row['low']:.2f}, {row['high']:.2f}]"
    return row.get("error", "").split(":")[0] + " failed" if row else ""


def details(rows: list[dict[str, Any]]) -> Table:
    """Part of the peak, and errors; below them the median and the largest."""
    headings = ("model", "target", "of peak", "error, one-liner", "edgevit")
    shown = Table(*headings, box=None)
    found = [row for row in rows if "errors" in row]
    for row in found:
        of_peak = f"{row['of_peak']:.0%}" if row["of_peak"] else ""
        shown.add_row(row["model"], row["target"], of_peak, *(f"{e:.1f}" for e in row["errors"]))
    for target in dict.fromkeys(row["target"] for row in found):
        pairs = [row["errors"] for row in found if row["target"] == target]
        for name, of in (("median", median), ("largest", max)):
            shown.add_row(name, target, "", *(f"{of(e):.1f}" for e in zip(*pairs, strict=True)))
    return shown


def cut(rows: list[dict[str, Any]]) -> str:
    """Which graphs the one-liners cut into pieces, and which edgevit does."""
    said = []
    for key, who in (("before", "the one-liner"), ("after", "edgevit")):
        pieces = [
            f"{row['model']} {row['target']} {row[key]}"
            for row in rows
            if row[key] not in ("", "–", "1 partition")
        ]
        said.append(f"cut by {who}: {'; '.join(pieces) or 'none'}")
    return "\n".join(said)


if __name__ == "__main__":
    main()
