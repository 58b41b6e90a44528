"""Every model of the zoo in every scheme of Core ML, each saved program run by the evaluator.

    python benchmarks/coreml.py efficientmod_xxs deit_tiny
    python benchmarks/coreml.py --keep out/coreml                # the whole zoo, resumable

Prints, per model: the largest error of the fp32 program against float64 over the sixteen inputs of
`verify`, in parts of an input's largest output; of each scheme the ratio of output to error in
decibels, with a `!` where verify would reject it; and the seconds of one inference in the slowest
scheme.
"""

import json
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
from coremltools.models import MLModel
from rewrites import ZOO
from rich.console import Console
from rich.table import Table

from edgevit import digest
from edgevit.converters.coreml import CoreML
from edgevit.converters.coreml_weights import compress
from edgevit.converters.lowering import lower
from edgevit.converters.verify import AGREES, agreement
from edgevit.prepare import from_recipe
from edgevit.recipe import Recipe
from edgevit.reference import PROGRAM, REFERENCE, Arrays, Reference

IOS = 18  # the oldest that holds all schemes
SCHEMES = [p for p in CoreML.executes if p != "w8a8"]  # that takes ranges first


def measured(name: str, folder: Path) -> dict[str, Any]:
    """scheme → how its file agrees, or the error that ended it."""
    recipe = Recipe(name).as_dict()
    made = from_recipe(recipe=recipe, folder=str(folder), precisions=SCHEMES)
    row: dict[str, Any] = {"model": name, "parameters": made["facts"]["parameters"], "schemes": {}}
    held = Reference.load(folder / REFERENCE)
    for precision in SCHEMES:
        try:
            row["schemes"][precision] = _run(folder, precision, held)
        except Exception as e:  # whatever the converter raises; the other schemes go on
            row["schemes"][precision] = {"error": f"{type(e).__name__}: {' '.join(str(e).split())}"}
    return row


def _run(folder: Path, precision: str, held: Reference) -> dict[str, Any]:
    file = folder / f"{precision}.mlpackage"
    if precision in ("fp32", "fp16"):
        lower(target="coreml", program=folder / PROGRAM, file=file, precision=precision, ios=IOS)
    else:  # what `lower` does too, without converting again
        half = MLModel(str(folder / "fp16.mlpackage"), skip_model_load=True)
        compress(half, precision).save(str(file))
    evaluate = CoreML().evaluate(file)
    found, times = [], []
    for row in held.inputs:
        start = time.perf_counter()
        found.append(evaluate(*row))
        times.append(time.perf_counter() - start)
    agreed = agreement(held, found, precision=precision, names=["output"])
    return {
        "ok": agreed.status == AGREES,
        "said": str(agreed),
        "relative": max(map(_relative, found, held.outputs)),
        "snr_db": agreed.outputs[0].snr_db,
        "seconds": median(times),
        "bytes": digest.size_bytes(file),
    }


def _relative(found: Arrays, exact: Arrays) -> float:
    """The largest error of one inference, in parts of its largest output."""
    return float(np.abs(found[0] - exact[0]).max() / np.abs(exact[0]).max())


@click.command()
@click.argument("models", nargs=-1)
@click.option("--keep", type=click.Path(path_type=Path), help="Rows already there are not redone.")
def main(models: tuple[str, ...], keep: Path | None) -> None:
    """Convert each of MODELS (the zoo) to Core ML in every scheme, and run what was saved."""
    rows = []
    for name in models or ZOO:
        kept = keep / f"{name}.json" if keep else None
        if kept and kept.exists():
            rows.append(json.loads(kept.read_text()))
            continue
        with TemporaryDirectory() as folder:
            rows.append(measured(name, Path(folder)))
        click.echo(json.dumps(rows[-1]), err=True)
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(rows[-1]))
    Console(width=120, highlight=False).print(table(rows))
    sys.exit(any(not found.get("ok") for row in rows for found in row["schemes"].values()))


def table(rows: list[dict[str, Any]]) -> Table:
    shown = Table("model", "M param.", "fp32 error", *SCHEMES, "seconds", box=None)
    for row in rows:
        found = row["schemes"]
        times = [f["seconds"] for f in found.values() if "seconds" in f]
        shown.add_row(
            row["model"],
            f"{row['parameters'] / 1e6:.1f}",
            f"{found['fp32']['relative']:.1e}" if "relative" in found["fp32"] else "",
            *(_cell(found[precision]) for precision in SCHEMES),
            f"{max(times):.2f}" if times else "",
        )
    return shown


def _cell(found: dict[str, Any]) -> str:
    if "error" in found:
        return "fails"
    return f"{found['snr_db']:.0f}" + ("" if found["ok"] else "!")


if __name__ == "__main__":
    main()
