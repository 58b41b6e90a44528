"""edgevit classify"""

from pathlib import Path
from typing import Any

import click

from ..errors import InputError
from .choices import read_labels
from .screen import Screen, screened


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--labels", type=click.Path(path_type=Path), help="Class names, one a line.")
@click.option("--top", type=click.IntRange(1), default=5, show_default=True)
@screened
def command(
    screen: Screen, artifact: Path, images: tuple[Path, ...], labels: Path | None, top: int
) -> None:
    """Classify IMAGES with ARTIFACT, prepared exactly as its card says."""
    from rich.table import Table

    from ..converters.artifact import Artifact
    from ..pipeline.scores import best
    from ..preprocess import Preprocess

    opened = Artifact.read(artifact)
    card = opened.card
    assert card is not None  # `read` demands one
    if card.preprocess is None:
        raise InputError(f"{artifact} says nothing of images: its card has no preprocessing")
    prepare = Preprocess.from_dict(card.preprocess)
    prepared = [prepare.apply(image) for image in images]
    with opened.open() as session:
        scores = [session(array)[0] for array in prepared]
    names = read_labels(labels) or card.labels or []
    found: list[dict[str, Any]] = []
    for image, logits in zip(images, scores, strict=True):
        entries = [
            {"class": score.number, "label": score.label, "probability": score.probability}
            for score in best(logits, names, count=top)
        ]
        found.append({"image": str(image), "top": entries})
    for result in found:
        table = Table(box=None, padding=(0, 1), pad_edge=False, title=str(result["image"]))
        for heading in ("class", "label", "probability", ""):
            table.add_column(heading)
        for entry in result["top"]:
            p = entry["probability"]
            table.add_row(
                str(entry["class"]), entry["label"] or "–", f"{p:.4f}", "█" * round(30 * p)
            )
        screen.show(table)
    screen.json(found)
