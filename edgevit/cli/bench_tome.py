"""edgevit bench tome: a paper's speed-ups by token merging, held against this machine."""

from collections.abc import Callable
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import click

from .. import models
from ..errors import EdgevitError
from ..lookup import lookup
from .papers import of_a_paper, on_gpu
from .screen import Screen, screened


@click.command()
@click.option("--rows", default="image,audio", show_default=True, help="Also: video.")
@of_a_paper(rounds=10)
@click.option("--timeout", type=float, default=3600, show_default=True, help="Seconds per step.")
@screened
def tome(
    screen: Screen,
    rows: str,
    column: str,
    target: str,
    threads: int,
    device: str,
    rounds: int,
    timeout: float,
    out: Path,
) -> None:
    """Reproduce the speed-ups of Token Merging (ICLR 2023): ViT-L on images and video, ViT-B on
    audio, each merged and not, side by side.

    The weights are random, which changes no speed. The video row, 1568 tokens of ViT-L, takes long.
    On a GPU torch runs batches, eagerly and as CUDA graphs, in fp32 and fp16.
    """
    from ..pipeline.bench_tome import Pair, in_files, in_torch
    from ..profiles.compare import ratio
    from ..profiles.tables import load
    from ..recipe import Recipe
    from .tables import table_of

    paper = load("tome")
    printed = {row["modality"]: row for row in paper.rows if row["token_merging"] == "yes"}
    asked = {name: lookup("row", name, printed) for name in map(str.strip, rows.split(","))}
    measure: Callable[..., Pair] = in_files
    runtimes = [target]
    if column == "gpu":
        found = on_gpu(screen)
        device = device or found["device"]
        measure, runtimes = in_torch, [n for n in found["runtimes"] if n.startswith("torch")]
    table = table_of(
        ("row", "left", 0),
        ("runtime", "left", 0),
        ("model", "left", 1),
        ("r", "right", 0),
        ("paper\n×", "right", 0),
        ("here, times as fast", "left", 0),
        ("by MACs", "right", 0),
        ("ms", "right", 0),
        ("merged, ms", "right", 0),
    )
    errors: list[EdgevitError] = []
    document: list[dict[str, Any]] = []
    for (name, row), runtime in product(asked.items(), runtimes):
        model, r = paper.here[name]
        folder = Path(models.__file__).parent
        model = str(folder / model) if model.startswith("sequences.py") else model
        try:
            with screen.progress() as watch:
                pair = measure(
                    Recipe(model),
                    r,
                    runtime,
                    out=out / "tome" / runtime,
                    threads=threads,
                    rounds=rounds,
                    timeout_s=timeout,
                    device=device,
                    watch=watch,
                )
        except EdgevitError as e:
            errors.append(type(e)(f"{name}: {e}"))
            continue
        ms = [run.median_s * 1e3 for run in (pair.plain, pair.merged)]
        faster = ratio(pair.plain, pair.merged)
        by_macs = f"{pair.by_macs:.2f}×" if pair.by_macs else "–"
        told = [str(r), f"{row['speedup']}×", str(faster), by_macs, *(f"{m:.0f}" for m in ms)]
        table.add_row(name, runtime, row["model"], *told)
        document.append(
            {
                "row": name,
                "runtime": runtime,
                "batch": pair.batch,
                "r": r,
                "paper": float(row["speedup"]),
                "faster": asdict(faster),
                "by_macs": pair.by_macs,
                "ms": ms,
            }
        )
    if document:
        screen.show(table)
        screen.note(f"batch {document[0]['batch']}; the paper's times: {paper.device}")
    screen.json(document)
    screen.end(errors)
