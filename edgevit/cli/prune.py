"""edgevit prune"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import EdgevitError, InputError
from ..recipe import Recipe
from .choices import TARGET_NAMES, UNCALIBRATED, ModelName, of_a_model
from .screen import Screen, screened

if TYPE_CHECKING:
    from rich.table import Table

    from ..pipeline.prune_bench import Bench
    from ..pipeline.prune_study import Study
    from ..pipeline.pruned import Pruned

NONE = 3  # what the command ends with: a budget is not met by the file
MEASURES = ("fisher", "taylor", "activation", "magnitude", "bn")


@click.command()
@click.argument("model", type=ModelName())
@click.option("--to", type=click.Choice(TARGET_NAMES), default="onnx", show_default=True)
@click.option(
    "--budget",
    "--sweep",
    "budgets",
    default="latency=0.6x",
    show_default=True,
    metavar="B,...",
    help="latency=0.6x (or 0.6x), latency=8ms@tflite, macs=0.5x, params=0.5x; several: each.",
)
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--importance", type=click.Choice(MEASURES), default="fisher", show_default=True)
@click.option("--tile", type=click.IntRange(1), default=8, show_default=True, help="Of channels.")
@click.option("--epochs", type=click.IntRange(0), default=0, help="Of fine-tuning on --data.")
@click.option("--rate", type=float, default=1e-3, show_default=True, help="Of fine-tuning.")
@click.option(
    "--ema", type=click.FloatRange(0, 1, max_open=True), default=0.0, help="Average of weights."
)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=30, show_default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), default="prune", show_default=True)
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with the plots.")
@click.option("--precision", type=UNCALIBRATED, default="fp32")
@of_a_model
@click.option("--timeout", type=float, default=600, show_default=True, help="Seconds per step.")
@screened
def command(
    screen: Screen,
    model: str,
    to: str,
    budgets: str,
    data: Path | None,
    importance: str,
    tile: int,
    epochs: int,
    rate: float,
    ema: float,
    threads: int,
    rounds: int,
    out: Path,
    html: Path | None,
    timeout: float,
    **recipe: Any,
) -> None:
    """Take parts out of MODEL until its file keeps a budget of latency, and say what that costs.

    What each layer costs is measured in the target's runtime, narrower and narrower; channels go
    where least is lost for each microsecond, in whole tiles. The weights that stay are fitted by
    least squares to what the whole model computes of pictures in --data; --epochs trains them, with
    the whole model as the teacher. Every fifth picture is held out and only counted on.

    The weights carry what was taken out: every command takes them with --weights. Ends with 3 if a
    file is more than 5 % off its budget.

    \b
    edgevit prune mobilenetv2_100 --pretrained --data pictures/ --budget latency=0.6x --to tflite
    edgevit convert mobilenetv2_100 --recipe w8a8 --calibrate pictures/ --to tflite \\
        --weights prune/mobilenetv2_100-tflite-latency0.6x.safetensors
    edgevit prune deit_small --pretrained --data pictures/ --sweep 0.9x,0.7x,0.5x
    """
    from ..pictures import pictures_in
    from ..pipeline.prepared import Limits
    from ..pipeline.prune import prune
    from ..pipeline.prune_bench import Bench
    from ..pipeline.prune_study import study
    from ..pipeline.pruned import Budget, page

    asked = [Budget.parse(word.strip()) for word in budgets.split(",")]
    if ema and not epochs:
        raise InputError("--ema averages over training; give --epochs as well")
    if epochs and not data:
        raise InputError("--epochs needs --data with pictures to train on")
    pictures = pictures_in(data, "--data") if data else []
    with screen.progress() as watch:
        benches = [
            Bench(
                budget.target or to,
                out,
                tile=tile,
                threads=threads,
                rounds=rounds,
                limits=Limits(timeout_s=timeout),
                watch=lambda job, stage, b=budget: watch(f"{b}, {job}", stage),  # type: ignore[misc]
            )
            for budget in asked
        ]
        for budget, bench in zip(asked, benches, strict=True):
            bench.ready(budget)
        found = study(Recipe(model=model, **recipe), pictures, importance=importance, watch=watch)
        rows: list[Pruned] = []
        errors: list[EdgevitError] = []
        for budget, bench in zip(asked, benches, strict=True):
            try:
                rows.append(prune(found, budget, bench, epochs=epochs, rate=rate, ema=ema))
            except EdgevitError as e:  # of a sweep, the others still count
                errors.append(e)
    if not rows:
        raise errors[0]
    if len(rows) == 1:
        screen.show(_widths(rows[0]))
    screen.show(budgets_table(rows), *(f"weights: {row.recipe.weights}" for row in rows))
    note_refused(screen, found)
    screen.json({"rows": [row.as_dict() for row in rows], "refused": found.refused})
    if html:
        page(html, f"{found.recipe.title}, pruned", rows)
        screen.note(f"page: {html}")
    if not errors:
        refuse_missed(screen, rows)
    screen.end(errors)


def prune_each(
    screen: Screen,
    recipe: Recipe,
    budget: str,
    data: Path | None,
    epochs: int,
    benches: "Sequence[Bench]",
) -> "list[Pruned]":
    """For each target by itself: in fp32, with all tokens, before anything else is done."""
    from ..pictures import pictures_in
    from ..pipeline.prune import prune
    from ..pipeline.prune_study import study
    from ..pipeline.pruned import Budget

    if not data:
        raise InputError("a recipe that prunes needs pictures to choose by: give --data a folder")
    asked = Budget.parse(budget)
    for bench in benches:
        bench.ready(asked)
    plain = replace(
        recipe, precision="fp32", tome=None, calibrate=None, keep=(), embed_preprocess=False
    )
    found = study(plain, pictures_in(data, "--data"), watch=benches[0].watch)
    note_refused(screen, found)
    return [prune(found, asked, bench, epochs=epochs) for bench in benches]


def note_refused(screen: Screen, found: "Study") -> None:
    for name, why in found.refused.items():
        screen.note(f"{name} keeps its channels: {why}")


def refuse_missed(screen: Screen, rows: "Sequence[Pruned]") -> None:
    """End with an exit code of its own where a file is off its budget."""
    missed = [f"{row.budget} of {row.target}" for row in rows if not row.met]
    if missed:
        screen.error(f"not within 5 % of the budget: {', '.join(missed)}")
        raise SystemExit(NONE)


def _widths(row: "Pruned") -> "Table":
    from .tables import table_of

    table = table_of(("layer", "left", 1), ("channels", "right", 0), ("now", "right", 0))
    for layer, (before, now) in row.widths.items():
        table.add_row(layer, str(before), str(now))
    return table


def budgets_table(rows: "Sequence[Pruned]") -> "Table":
    from .tables import table_of

    pictures = rows[0].whole is not None
    trained = rows[0].after is not None
    said = "right" if rows[0].truth is not None else "same class"
    table = table_of(
        ("budget", "left", 0),
        ("target", "left", 0),
        ("measured", "right", 0),
        ("times as fast", "left", 0),
        ("MACs", "right", 0),
        ("weights", "right", 0),
        *([(f"{said}, whole", "right", 0), ("pruned", "right", 0)] if pictures else []),
        *([("trained", "right", 0)] if trained else []),
    )
    for row in rows:
        answers = (row.whole, row.before, row.after)
        table.add_row(
            str(row.budget),
            row.target,
            row.measured,
            str(row.faster or "–"),
            f"{row.macs:.2f}×",
            f"{row.params:.2f}×",
            *(f"{share:.1%}" for a in answers if (share := row.right(a)) is not None),
        )
    return table
