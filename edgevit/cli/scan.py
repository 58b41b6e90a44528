"""edgevit scan"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .choices import ModelName, of_a_model
from .screen import Screen, screened

if TYPE_CHECKING:
    from rich.table import Table

    from ..converters.fp16 import Finding
    from ..pipeline.scan import Scan

UNSAFE = 3  # what the command ends with: fp16 gives something else, and no cure is known


@click.command()
@click.argument("model", type=ModelName())
@click.option("--images", type=click.Path(path_type=Path, exists=True, file_okay=False))
@of_a_model
@click.option("--timeout", type=float, default=600, show_default=True, help="Seconds per step.")
@screened
def command(screen: Screen, model: str, images: Path | None, timeout: float, **recipe: Any) -> None:
    """Say what of MODEL fp16 cannot hold, what cures it, and what fp16 costs before and after.

    Takes the range of every tensor over the inputs of `verify`, and over the pictures in the folder
    --images. Ends with 3 if a module has to stay in fp32.

    \b
    edgevit scan efficientnet_b0 --pretrained --images photographs/
    """
    from ..pipeline.prepared import Limits
    from ..pipeline.scan import scan
    from ..recipe import Recipe

    with screen.progress() as watch:
        found = scan(
            Recipe(model=model, **recipe),
            images=images,
            limits=Limits(timeout_s=timeout),
            watch=watch,
        )
    if found.before:
        screen.show(_table(found, each=screen.verbose))
    screen.show(
        f"{len(found.before)} finding{'s' * (len(found.before) != 1)} over {found.images} inputs; "
        "error of emulated fp16 "
        f"{_text(found.error_before)} of the largest output, {_text(found.error_after)} rewritten"
    )
    screen.json(asdict(found) | {"safe": found.safe, "islands": found.islands})
    if not found.safe:
        screen.error(f"keep in fp32: {', '.join(m or 'the model itself' for m in found.islands)}")
        raise click.exceptions.Exit(UNSAFE)


def _table(found: "Scan", *, each: bool) -> "Table":
    """One row per kind of finding with its count, or one per finding."""
    from .tables import table_of

    table = table_of(
        ("n", "right", 0),
        ("operator", "left", 1),
        ("in fp16", "left", 0),
        ("worst", "right", 0),
        ("first in", "left", 2),
        ("", "left", 2),
    )
    rows: dict[tuple[str, str, str, str], list[Finding]] = {}
    for f in found.before:
        said = "cured by a rewrite" if found.cured(f) else _advice(f.kind, safe=found.safe)
        rows.setdefault((f.op, f.kind, said, f.module if each else ""), []).append(f)
    for (op, kind, said, _), alike in rows.items():
        worst = max(f.value for f in alike)
        first = alike[0].module or "the model itself"
        table.add_row(str(len(alike)), op, kind, f"{worst:.3g}", first, said)
    return table


def _advice(kind: str, *, safe: bool) -> str:
    """What to think of a finding that no rewrite cures."""
    if kind == "growth":
        return "wrong only if the kernel sums in fp16"
    if kind == "absorbed":
        return "harmless if meant to be small"
    return "harmless here: see the error below" if safe else "keep in fp32"


def _text(error: float | None) -> str:
    return "NaN or infinity" if error is None else f"{error:.1e}"
