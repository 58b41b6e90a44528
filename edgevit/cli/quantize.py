"""edgevit quantize"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import EdgevitError, InputError
from ..recipe import Recipe
from .choices import INTEGERS, TARGET_NAMES, ModelName, of_a_model
from .screen import Screen, screened
from .simulated import or_simulated

if TYPE_CHECKING:
    from rich.table import Table

    from ..pipeline.quantize import Quantized

NONE = 3  # what the command ends with: no plan keeps the limit that was set


@click.command()
@click.argument("model", type=ModelName())
@click.option("--to", type=click.Choice(TARGET_NAMES), default="onnx", show_default=True)
@click.option("--precision", type=INTEGERS, default="w8a8", show_default=True)
@click.option("--calibrate", metavar="WHERE", required=True, help="Folder, .npy, FILE.py:NAME.")
@click.option("--samples", type=int, default=128, show_default=True, help="Of those, at most.")
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--min-agreement", type=click.FloatRange(0, 1), help="Share of fp32's classes kept.")
@click.option("--max-drop", type=float, help="Points of accuracy that may be lost.")
@click.option("--epochs", type=click.IntRange(0), default=0, help="Of fine-tuning in 8 bits.")
@click.option("--rate", type=float, default=1e-4, show_default=True, help="Of fine-tuning.")
@click.option("--explain", is_flag=True, help="Each convolution and linear layer, too.")
@click.option("--rounds", type=click.IntRange(1), default=30, show_default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), default="quantize", show_default=True)
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with the plots.")
@of_a_model
@click.option("--timeout", type=float, default=600, show_default=True, help="Seconds per step.")
@screened
@or_simulated
def command(
    screen: Screen,
    model: str,
    to: str,
    data: Path | None,
    min_agreement: float | None,
    max_drop: float | None,
    epochs: int,
    rate: float,
    explain: bool,
    rounds: int,
    out: Path,
    html: Path | None,
    timeout: float,
    **recipe: Any,
) -> None:
    """Put MODEL in 8 bits: what each block costs, and which few are to stay in fp32.

    With a limit, blocks go back to fp32, the noisiest first, until it is kept: by simulation, and
    then counted in the file itself, on the pictures in --data (accuracy, with one folder a class in
    it) or on what calibrates. The plan names modules, for all targets. Ends with 3 if no plan keeps
    the limit.

    --simulate METHOD --bits 4,6,8 computes what papers on vision transformers lose with products of
    so few bits, and writes nothing.

    --epochs first trains MODEL with 8 bits simulated, on four fifths of --data, the model itself
    being the teacher; the rest is counted on. Where that gains, all else is of the tuned weights.

    \b
    edgevit quantize mobilenetv2_100 --pretrained --calibrate pictures/ --min-agreement 0.99
    edgevit convert mobilenetv2_100 --pretrained --recipe w8a8 --calibrate pictures/ \\
        --plan quantize/mobilenetv2_100-w8a8.plan.json --to executorch,tflite
    edgevit quantize deit_tiny --pretrained --calibrate pictures/ --simulate all --bits 4,6
    """
    from ..pictures import pictures_in
    from ..pipeline.counted import labels_of
    from ..pipeline.pays import pays
    from ..pipeline.prepared import Limits
    from ..pipeline.quantize import page, quantize

    if min_agreement is not None and max_drop is not None:
        raise InputError("--min-agreement and --max-drop both limit what is lost: choose one")
    pictures = pictures_in(data, "--data") if data else []
    if max_drop is not None and labels_of(pictures) is None:
        raise InputError("--max-drop needs --data with one folder a class; or use --min-agreement")
    if epochs and not pictures:
        raise InputError("--epochs needs --data with pictures to train on")
    most = None if max_drop is None else max_drop / 100
    asked, limits = Recipe(model=model, **recipe), Limits(timeout_s=timeout)
    tuned = plain = None
    with screen.progress() as watch:
        settings: dict[str, Any] = {"out": out, "limits": limits, "watch": watch}
        if epochs:
            from ..pipeline.recover import recover

            tuned = recover(asked, pictures, target=to, epochs=epochs, rate=rate, **settings)
            if tuned.gains:
                asked, pictures, plain = tuned.recipe, [*tuned.held_out], tuned.plain
        if min_agreement is not None:
            most, pictures = 1 - min_agreement, [type(p)(p.file) for p in pictures]
        found = quantize(asked, target=to, pictures=pictures, most=most, plain=plain, **settings)
        verdict = pays(found.outcomes, asked, rounds=rounds, **settings)
    if tuned:
        screen.show(*tuned.said)
    screen.show(_blocks(found))
    if explain:
        screen.show(_products(found))
    screen.show(*found.said, f"plan: {found.file}", *map(str, verdict))
    screen.json(
        {
            "blocks": [asdict(b) for b in found.blocks],
            "snr_db": found.snr_db,
            "tuned": tuned.as_dict() if tuned else None,
            "lost": found.lost,
            "lost_in_file": found.in_file,
            "plan": asdict(found.plan) | {"file": str(found.file)},
            "met": found.met,
            "pays": [v.as_dict() for v in verdict if not isinstance(v, EdgevitError)],
        }
    )
    if html:
        page(html, found)
        screen.note(f"page: {html}")
    screen.end([v for v in verdict if isinstance(v, EdgevitError)])
    if found.met is False:
        screen.error("no plan keeps this limit")
        raise SystemExit(NONE)


def _blocks(found: "Quantized") -> "Table":
    from .tables import table_of

    table = table_of(
        ("block", "left", 1),
        ("layers", "right", 0),
        ("MACs", "right", 0),
        ("outlier", "right", 0),
        ("SNR, it alone in 8 bits", "right", 0),
        ("", "left", 0),
    )
    for b in found.blocks:
        table.add_row(
            b.path or "the model's own code",
            str(len(b.products)),
            f"{b.macs:.1%}",
            f"{max(p.outlier for p in b.products):.0f}×",
            f"{b.snr_db:.1f} dB",
            f"stays in {found.rest}" if b.path in found.plan.keep else "",
        )
    return table


def _products(found: "Quantized") -> "Table":
    from .tables import table_of

    table = table_of(
        ("layer", "left", 1),
        ("weight", "left", 0),
        ("reads", "left", 0),
        ("clipped to", "left", 1),
        ("outlier", "right", 0),
        ("SNR alone", "right", 0),
        ("here", "right", 0),
    )
    for p in (p for b in found.blocks for p in b.products):
        table.add_row(
            p.path or "the model's own code",
            "×".join(map(str, p.shape)),
            f"{p.low:.3g} .. {p.high:.3g}",
            p.clipped,
            f"{p.outlier:.0f}×",
            f"{p.own_db:.1f}",
            f"{p.here_db:.1f}",
        )
    return table
