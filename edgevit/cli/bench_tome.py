"""edgevit bench tome: a paper's speed-ups by token merging, held against this machine."""

from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from .. import models
from ..errors import EdgevitError
from ..lookup import lookup
from .papers import nothing_on_gpu, of_a_paper
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
    rounds: int,
    timeout: float,
    out: Path,
) -> None:
    """Reproduce the speed-ups of Token Merging (ICLR 2023): ViT-L on images and video, ViT-B on
    audio, each merged and not, side by side.

    The weights are random, which changes no speed. The video row, 1568 tokens of ViT-L, takes long.
    """
    from ..pipeline.convert import Limits
    from ..pipeline.tome import Merged, tome
    from ..profiles.tables import load
    from ..recipe import Recipe
    from .tables import table_of

    if column == "gpu":
        nothing_on_gpu(screen)
        screen.json([])
        return
    paper = load("tome")
    printed = {row["modality"]: row for row in paper.rows if row["token_merging"] == "yes"}
    table = table_of(
        ("row", "left", 0),
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
    for name in dict.fromkeys(part.strip() for part in rows.split(",")):
        row = lookup("row", name, printed)
        model, r = paper.here[name]
        place = Path(models.__file__).parent
        model = str(place / model) if model.startswith("sequences.py") else model
        try:
            with screen.progress() as watch:
                found = tome(
                    Recipe(model),
                    [r],
                    target=target,
                    out=out / "tome" / target,
                    threads=threads,
                    rounds=rounds,
                    limits=Limits(timeout_s=timeout, memory_bytes=64 << 30),
                    watch=watch,
                )
        except EdgevitError as e:
            found = [e]
        errors += [type(e)(f"{name}: {e}") for e in found if isinstance(e, EdgevitError)]
        kept = [f for f in found if isinstance(f, Merged)]
        for plain, merged in pairwise(kept):
            ms = [m.run.median_s * 1e3 for m in (plain, merged)]
            times = [f"{row['speedup']}×", str(merged.faster), f"{merged.ideal:.2f}×"]
            table.add_row(name, row["model"], str(r), *times, *(f"{m:.0f}" for m in ms))
            document.append(
                {
                    "row": name,
                    "r": r,
                    "paper": float(row["speedup"]),
                    "faster": merged.faster and asdict(merged.faster),
                    "by_macs": merged.ideal,
                    "ms": ms,
                }
            )
    if document:
        screen.show(table)
        screen.note(f"the paper's times: {paper.device}")
    screen.json(document)
    screen.end(errors)
