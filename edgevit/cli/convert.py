"""edgevit convert"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..converters.rewrites import NAMES
from ..errors import EdgevitError, InputError
from ..recipe import IOS, PRECISIONS, Recipe, chosen_by
from .choices import TARGET_NAMES, ModelName, Names, of_a_model, read_labels
from .screen import Screen, screened

if TYPE_CHECKING:
    from ..pipeline.convert import Outcome
    from ..pipeline.pays import Verdict


@click.command()
@click.argument("model", type=ModelName())
@click.option("--to", type=Names(TARGET_NAMES), required=True, help=", ".join(TARGET_NAMES))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("out"), show_default=True
)
@click.option(
    "--recipe", "words", metavar="WORDS", help="prune0.6x-tome13-dyn8: take channels out, ..."
)
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True, file_okay=False), help="To prune by."
)
@click.option("--epochs", type=click.IntRange(0), default=0, help="Of training after pruning.")
@click.option("--strict", is_flag=True, help="Refuse to merge fewer tokens than asked for.")
@click.option(
    "--precision", type=Names(PRECISIONS), help=f"{', '.join(PRECISIONS)}  [default: fp32]"
)
@of_a_model
@click.option("--calibrate", metavar="WHERE", help="Usual inputs: folder, .npy, FILE.py:NAME.")
@click.option("--samples", type=int, default=128, show_default=True, help="Of those, at most.")
@click.option("--plan", type=click.Path(path_type=Path), help="What stays in fp32; see `quantize`.")
@click.option("--if-pays", is_flag=True, help="Leave only fp32 where 8 bits are not faster.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of random weights.")
@click.option("--embed-preprocess", is_flag=True, help="Take 0..255 RGB, normalise inside.")
@click.option("--labels", type=click.Path(path_type=Path), help="Class names, one a line.")
@click.option(
    "--ios", type=int, default=17, show_default=True, help=f"Oldest iOS ({IOS[0]}-{IOS[-1]})."
)
@click.option("--no-verify", is_flag=True, help="Load the files, do not run them.")
@click.option("--rewrites", type=Names(NAMES), help="Only these graph rewrites, comma-separated.")
@click.option(
    "--costs", type=click.Path(path_type=Path), help="Which rewrites pay; see `bench rewrites`."
)
@click.option("--no-rewrites", is_flag=True, help="Leave the graph as torch exports it.")
@click.option("--force", is_flag=True, help="Write into a folder that is not ours.")
@click.option("--jobs", type=click.IntRange(1), help="Targets at a time.  [default: all cores]")
@click.option("--timeout", type=float, default=600, show_default=True, help="Seconds per step.")
@click.option("--memory-gb", type=float, default=16, show_default=True, help="Per child process.")
@screened
def command(
    screen: Screen,
    model: str,
    to: tuple[str, ...],
    out: Path,
    words: str | None,
    data: Path | None,
    epochs: int,
    precision: tuple[str, ...] | None,
    labels: Path | None,
    plan: Path | None,
    if_pays: bool,
    no_verify: bool,
    rewrites: tuple[str, ...] | None,
    no_rewrites: bool,
    costs: Path | None,
    force: bool,
    jobs: int | None,
    timeout: float,
    memory_gb: float,
    **recipe: Any,
) -> None:
    """Convert MODEL and hold each file against it, in its own runtime.

    MODEL is a name from `edgevit list models`, timm:NAME, or path/to/file.py:callable.

    \b
    edgevit convert efficientmod_xxs --to executorch,tflite,coreml,onnx -o out/
    edgevit convert timm:resnet18 --pretrained --to tflite --precision fp32,fp16
    edgevit convert deit_small --recipe tome13 --to executorch
    edgevit convert efficientmod_xxs --recipe w8a8 --calibrate photographs/ --to onnx,tflite
    edgevit convert mobilenetv2_100 --pretrained --recipe prune0.6x-w8a8 --data photographs/ \\
        --calibrate photographs/ --to onnx

    8-bit integers (dyn8, w8a8) are measured beside fp32, which is converted too: whether they pay
    stands below the table.
    """
    from ..converters.plan import Plan
    from ..converters.target import calibrates
    from ..pipeline.convert import Limits, as_json, convert
    from ..pipeline.pays import leave, pays
    from ..pipeline.prune_bench import Bench
    from .prune import budgets_table, prune_each, refuse_missed
    from .tables import conversions

    chosen = chosen_by(words) if words else {}
    if precision and "precision" in chosen:
        raise InputError(f"--recipe {words} and --precision name a precision each: choose one")
    precisions = precision or (chosen.pop("precision", "fp32"),)
    budget = chosen.pop("prune", None)
    if (data or epochs) and not budget:
        raise InputError("--data and --epochs are for a recipe that prunes: --recipe prune0.6x")
    used = any(calibrates(t, p) for t in to for p in precisions)
    if recipe["calibrate"] and not used:
        raise InputError(
            "--calibrate is for w8a8, dyn8, w8 and w4 (of Core ML, w8), none of which was asked for"
        )
    asked = Recipe(
        model=model,
        rewrites=() if no_rewrites else rewrites,
        costs=str(costs) if costs else None,
        **recipe,
        **chosen,
    )
    if plan:
        asked = Plan.read(plan).applied(asked, precisions)
    with screen.progress() as watch:
        settings: dict[str, Any] = {
            "labels": read_labels(labels),
            "verify": not no_verify,
            "force": force,
            "limits": Limits(timeout, int(memory_gb * 2**30)),
            "jobs": jobs,
            "watch": watch,
        }
        runs, rows = [(asked, to, out)], []
        if budget:
            shared = {"force": force, "limits": settings["limits"], "watch": watch}
            benches = [Bench(target, out, **shared) for target in to]
            rows = prune_each(screen, asked, budget, data, epochs, benches)
            runs = [(r.taken(asked), (r.target,), r.artifact.path.parent) for r in rows]
        outcomes, found = [], []
        for one, targets, place in runs:
            made = convert(one, to=targets, precisions=precisions, out=place, **settings)
            outcomes += made
            found += pays(made, one, out=place, **settings)
    if rows:
        screen.show(budgets_table(rows))
    screen.show(*conversions(outcomes, verbose=screen.verbose))
    worth = {pay.artifact.path: pay for pay in found if not isinstance(pay, EdgevitError)}
    screen.show(*map(str, worth.values()))
    if if_pays:
        leave(worth.values())
    screen.json([as_json(o) | _verdict(worth, o, if_pays=if_pays) for o in outcomes])
    errors = [outcome.error for outcome in outcomes if outcome.error]
    errors += (e for e in found if isinstance(e, EdgevitError))
    if not errors:
        refuse_missed(screen, rows)
    screen.end(errors)


def _verdict(worth: "dict[Path, Verdict]", outcome: "Outcome", *, if_pays: bool) -> dict[str, Any]:
    """Whether 8 bits pay, where that was asked; of a file that was left out there is no path."""
    pay = worth.get(outcome.artifact.path) if outcome.artifact else None
    if pay is None:
        return {}
    gone = if_pays and pay.pays is False
    return {"pays": pay.as_dict()} | ({"path": None, "card": None} if gone else {})
