"""edgevit rep"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import EdgevitError, InputError
from ..lookup import lookup
from ..recipe import NORMS, Recipe
from .choices import TARGET_NAMES, ModelName, Names, of_a_model
from .screen import Screen, screened

if TYPE_CHECKING:
    from rich.table import Table

    from ..pipeline.rep import Timed


@click.command()
@click.argument("model", type=ModelName())
@click.option("--to", type=Names(TARGET_NAMES), default=(), help=", ".join(TARGET_NAMES))
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=30, show_default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), default="rep", show_default=True)
@click.option("--data", type=click.Path(path_type=Path), help="Pictures, for --norms.")
@click.option("--epochs", type=click.IntRange(0), default=0, help="Of fine-tuning, for --norms.")
@click.option("--rate", type=float, default=1e-4, show_default=True, help="Of fine-tuning.")
@of_a_model
@click.option("--timeout", type=float, default=600, show_default=True, help="Seconds per step.")
@screened
def command(
    screen: Screen,
    model: str,
    to: tuple[str, ...],
    threads: int,
    rounds: int,
    out: Path,
    data: Path | None,
    epochs: int,
    rate: float,
    timeout: float,
    **recipe: Any,
) -> None:
    """Fold what only training needs of MODEL, and prove that it computes the same.

    Batch norms, parallel branches, sequences without activation and scales go into the weights
    (re-parameterization). With --to, MODEL is converted without and with that, all other rewrites
    alike, and both files are timed side by side.

    --norms batch --data DIR changes what MODEL computes: its layer norms become batch norms, which
    fold, calibrated on DIR's pictures (in folders for their classes, or in none) and with --epochs
    fine-tuned. What that costs on held-out pictures is printed and kept with the weights.

    \b
    edgevit rep mobileone_s1
    edgevit rep net.py:net --weights net.safetensors --to executorch,tflite,onnx
    edgevit rep deit_tiny --pretrained --norms batch --data pictures --epochs 30 -o out
    edgevit convert deit_tiny --norms batch --weights out/deit_tiny-batchnorm.safetensors
    """
    from ..pipeline.convert import Limits
    from ..pipeline.rep import Timed, left_out, rep

    cost = None
    with screen.progress() as watch:
        if data:
            from ..pictures import pictures_in
            from ..pipeline.norms import fold_norms

            norms = recipe.pop("norms")
            if norms is None:
                raise InputError("--data is for --norms batch, which was not asked for")
            lookup("norms", norms, NORMS)
            asked, cost = fold_norms(
                Recipe(model=model, **recipe),
                pictures_in(data, "--data"),
                epochs=epochs,
                rate=rate,
                out=out,
                watch=watch,
            )
        else:
            asked = Recipe(model=model, **recipe)
        folding, found = rep(
            asked,
            to=to,
            out=out,
            threads=threads,
            rounds=rounds,
            limits=Limits(timeout_s=timeout),
            watch=watch,
        )
    rows = [row for row in found if isinstance(row, Timed)]
    before, after = folding.before, folding.after
    if cost:
        screen.show(f"{cost}; weights: {asked.weights}")
    screen.show(
        str(folding),
        f"{before.parameters / 1e6:.3f} → {after.parameters / 1e6:.3f} M numbers stored, "
        f"{before.macs / 1e9:.3f} → {after.macs / 1e9:.3f} GMAC",
        *(
            [f"{folding.own}; here {after.convolutions} and {after.batch_norms}"]
            * bool(folding.own)
        ),
        *(f"left: {path or 'the model'}: {why}" for path, why in folding.left),
    )
    if rows:
        screen.show(_table(rows))
    screen.json(
        {
            "norms": asdict(cost) | {"weights": asked.weights} if cost else None,
            "folding": asdict(folding) | {"said": str(folding)},
            "rows": [*map(_row, rows)],
        }
    )
    for row in rows:
        if row.faster.verdict == "slower":
            screen.note(
                f"folding makes it slower on {row.target} here, {row.faster} times as fast, and is "
                f"left out: the file without is in {out / 'before'}, that with it is removed; "
                f"`convert --costs {left_out(row, out)}` leaves it out too"
            )
    screen.end([error for error in found if isinstance(error, EdgevitError)])


def _table(rows: Sequence["Timed"]) -> "Table":
    from .tables import table_of

    table = table_of(
        ("target", "left", 0),
        ("ms before", "right", 0),
        ("ms after", "right", 0),
        ("times as fast", "left", 0),
        ("verdict", "left", 0),
    )
    for row in rows:
        ms = (f"{run.median_s * 1e3:.2f}" for run in (row.before, row.after))
        table.add_row(row.target, *ms, str(row.faster), row.faster.verdict)
    return table


def _row(row: "Timed") -> dict[str, Any]:
    return {
        "target": row.target,
        "ms_before": row.before.median_s * 1e3,
        "ms_after": row.after.median_s * 1e3,
        "faster": asdict(row.faster),
    }
