"""edgevit check-preprocess"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import Disagreement
from .screen import Screen, screened

if TYPE_CHECKING:
    from ..pipeline.check_preprocess import Fit


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.argument("image", type=click.Path(path_type=Path))
@click.argument("dump", type=click.Path(path_type=Path))
@screened
def command(screen: Screen, artifact: Path, image: Path, dump: Path) -> None:
    """Say whether DUMP, the tensor that an app made of IMAGE, is what ARTIFACT's card asks for.

    DUMP is a .npy file, or the raw little-endian values. If it is wrong: which mistake it looks
    like, such as BGR, 0..1 against 0..255, a missing mean, another crop; exit code 3.

    \b
    edgevit check-preprocess out/net.tflite flower.jpg dump.bin
    """
    from ..pipeline.check_preprocess import check_preprocess
    from .tables import table_of

    found = check_preprocess(artifact, image, dump)
    table = table_of(
        ("the tensor is made of the picture", "left", 1),
        ("largest", "right", 0),
        ("mean difference", "right", 0),
        ("in grey levels", "left", 0),
    )
    shown = {"as the card says": found.asked, found.best.words: found.best}
    shown |= {fit.words: fit for fit in found.alike if not found.is_right}
    if found.runner_up:
        shown |= {f"next: {found.runner_up.words}": found.runner_up}
    for words, fit in shown.items():
        table.add_row(words, f"{fit.largest:.2f}", f"{fit.mean:.3f}", "fits" if fit.holds else "")
    screen.show(table)
    if found.is_right:
        screen.show(f"{dump}: {found.words}")
        if found.alike:
            others = "; ".join(fit.words for fit in found.alike)
            screen.note(f"try another picture as well, this one cannot tell it from: {others}")
    screen.json(
        {"right": found.is_right, "verdict": found.words, "ambiguous": bool(found.alike)}
        | {key: _plain(getattr(found, key)) for key in ("asked", "best", "runner_up")}
        | {"alike": [_plain(fit) for fit in found.alike]}
    )
    if not found.is_right:
        screen.end([Disagreement(f"{dump} is not what the card says: {found.words}")])


def _plain(fit: "Fit | None") -> dict[str, Any] | None:
    if fit is None:
        return None
    mistakes = [{"step": mistake.step, "words": mistake.words} for mistake in fit.mistakes]
    return {"mistakes": mistakes, "largest": fit.largest, "mean": fit.mean}
