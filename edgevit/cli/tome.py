"""edgevit tome"""

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import EdgevitError, InputError
from ..recipe import SCHEDULE, Recipe, Tome, schedule_of
from .choices import TARGET_NAMES, UNCALIBRATED, ModelName, of_a_model
from .screen import Screen, screened

if TYPE_CHECKING:
    from rich.table import Table

    from ..pipeline.tome import Merged

NONE = 3  # what the command ends with: no r keeps the limits that were set


@click.command()
@click.argument("model", type=ModelName())
@click.option("--to", type=click.Choice(TARGET_NAMES), default="onnx", show_default=True)
@click.option(
    "--r",
    "counts",
    default="4,8,12,16",
    show_default=True,
    help="Tokens a block.",
    metavar="R,R..R,[R,R,...],...",
)
@click.option("--strict", is_flag=True, help="Refuse an r of more than can merge.")
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--max-drop", type=float, help="Points of accuracy that may be lost.")
@click.option("--min-faster", type=float, help="Times as fast as the model itself, at least.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=30, show_default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), default="tome", show_default=True)
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with the plot.")
@click.option("--image", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--show", type=click.Path(path_type=Path), help="PNG of what merges in --image.")
@click.option("--precision", type=UNCALIBRATED, default="fp32")
@of_a_model
@click.option("--timeout", type=float, default=600, show_default=True, help="Seconds per step.")
@screened
def command(
    screen: Screen,
    model: str,
    to: str,
    counts: str,
    data: Path | None,
    max_drop: float | None,
    min_faster: float | None,
    threads: int,
    rounds: int,
    out: Path,
    html: Path | None,
    image: Path | None,
    show: Path | None,
    timeout: float,
    **recipe: Any,
) -> None:
    """Merge tokens of a vision transformer MODEL: what it gains and costs, r by r.

    Converts MODEL with each r, times the files side by side, and counts on the pictures in --data
    how often the class stays the same; with one folder a class in it, the accuracy. With a limit,
    names the r to take, and ends with 3 where there is none.

    \b
    edgevit tome deit_small --pretrained --data photographs/ --max-drop 0.5
    edgevit tome deit_small --pretrained --image dog.jpg --show merged.png --r 13
    """
    from ..pipeline.convert import Limits

    chosen = Recipe(model=model, **recipe)
    wanted = _schedules(counts)
    if (image is None) != (show is None):
        raise InputError("--image and --show belong together: a picture, and the PNG to write")
    if max_drop is not None and data is None:
        raise InputError("--max-drop needs --data, a folder of pictures to count on")
    limits = Limits(timeout_s=timeout)
    if image and show:
        _draw(screen, chosen, wanted[-1], image, show, limits)
        return
    from ..pictures import pictures_in
    from ..pipeline.tome import Merged, page, tome, within

    with screen.progress() as watch:
        found = tome(
            chosen,
            wanted,
            target=to,
            out=out,
            pictures=pictures_in(data, "--data") if data else (),
            threads=threads,
            rounds=rounds,
            limits=limits,
            watch=watch,
        )
    rows = [row for row in found if isinstance(row, Merged)]
    screen.show(_table(rows))
    picked = within(rows, max_drop=max_drop, min_faster=min_faster)
    screen.json({"rows": [_row(row) for row in rows], "picked": picked and picked.tome})
    if html:
        page(html, chosen.title, rows)
        screen.note(f"page: {html}")
    for row in rows[1:]:
        if row.faster and row.faster.verdict != "faster":
            screen.note(f"r = {row.tome} gains nothing on {to} here: {row.faster} times as fast")
    if picked:
        screen.show(f"take r = {picked.tome}: {picked.artifact.path}")
    screen.end([row for row in found if isinstance(row, EdgevitError)])
    if (max_drop, min_faster) != (None, None) and not picked:
        screen.error("no r keeps these limits")
        raise SystemExit(NONE)


def _schedules(words: str) -> list[Tome]:
    """4,26..0,[16,16,8]: numbers for every block, falling ones, and lists with one for each."""
    if not re.fullmatch(rf"(?:{SCHEDULE})(?:,(?:{SCHEDULE}))*", words):
        raise InputError(
            f"--r is {words!r}: give numbers of tokens, such as 4,8,13 or 26..0,[16,8,8]"
        )
    return [schedule_of(word) for word in re.findall(SCHEDULE, words)]


def _draw(screen: Screen, recipe: Recipe, r: Tome, image: Path, file: Path, limits: Any) -> None:
    """One picture, and what of it merges."""
    from dataclasses import replace

    with screen.progress() as watch, limits.child() as child:
        watch("model", "build, merge")
        sizes = child.call(
            "edgevit.pipeline.show_merges:show",
            recipe=replace(recipe, tome=r).as_dict(),
            image=image.absolute(),
            file=file.absolute(),
        )
        watch("model", "done")
    said = ", ".join(f"{len(part)} groups, the largest of {max(part)} patches" for part in sizes)
    screen.show(f"{file}: the picture, then after a third, two thirds and all blocks: {said}")
    screen.json({"file": str(file), "groups": sizes})


def _table(rows: Sequence["Merged"]) -> "Table":
    from .tables import table_of

    pictures = rows[0].same is not None
    labelled = rows[0].right is not None
    table = table_of(
        ("r", "right", 0),
        ("MB", "right", 0),
        ("placement", "left", 0),
        ("ms", "right", 0),
        ("times as fast", "left", 0),
        ("by MACs", "right", 0),
        *([("same class", "right", 0)] if pictures else []),
        *([("accuracy", "right", 0)] if labelled else []),
    )
    for row in rows:
        card = row.artifact.card
        assert card
        table.add_row(
            str(row.tome),
            f"{card.artifact['bytes'] / 1e6:.1f}",
            str(card.placement or "–"),
            f"{row.run.median_s * 1e3:.2f}",
            str(row.faster or "1"),
            f"{row.ideal:.2f}×",
            *([f"{row.same:.1%}"] if row.same is not None else []),
            *([f"{row.right:.1%}"] if row.right is not None else []),
        )
    return table


def _row(row: "Merged") -> dict[str, Any]:
    return {
        "r": row.tome,
        "merged": row.counts,
        "path": str(row.artifact.path),
        "ms": row.run.median_s * 1e3,
        "faster": row.faster and asdict(row.faster),
        "by_macs": row.ideal,
        "same": row.same,
        "accuracy": row.right,
    }
