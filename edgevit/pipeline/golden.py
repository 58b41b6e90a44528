"""The golden picture of an embedded artifact: what its own runtime makes of it, for a test to hold.

golden.png   the picture, upright and without loss, so that every decoder gives the same values
golden.json  artifact: its name · tolerance: of each score, from the card · top: the five most
             probable classes · best: the classes that may come first, one but for near ties
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..converters.artifact import Artifact
from ..errors import InputError
from ..preprocess import Preprocess, upright
from .scores import Score, best

PICTURE, SCORES = "golden.png", "golden.json"
LONGEST = 1024  # pixels of a side; the sources of an app should not hold whole photographs
MOST_BEST = 5


@dataclass(frozen=True)
class Golden:
    """first: the classes that may come first. tolerance: of a score, before it is a probability."""

    artifact: str
    top: list[Score]
    first: list[str]
    tolerance: float

    def write(self, file: Path) -> None:
        top = [{"label": named(s.number, s.label), "probability": s.probability} for s in self.top]
        document: dict[str, Any] = {
            "artifact": self.artifact,
            "tolerance": self.tolerance,
            "best": self.first,
            "top": top,
        }
        file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def golden(
    opened: Artifact, prepare: Preprocess, image: Path, labels: list[str], *, folder: Path
) -> Golden:
    """Write both files to `folder`; InputError for a picture that no test could judge by."""
    picture = upright(image, "RGB")
    picture.thumbnail((LONGEST, LONGEST))
    picture.info.clear()  # a colour profile would make decoders convert
    picture.save(folder / PICTURE)
    with opened.open() as session:
        scores = session(prepare.apply(folder / PICTURE))[0].astype(np.float64).reshape(-1)
    assert opened.card is not None  # who embeds has read it
    tolerance = opened.card.agreement.outputs[0].tolerance
    top = best(scores, labels)
    near = np.flatnonzero(scores >= scores.max() - 2 * tolerance)
    if len(near) > min(MOST_BEST, scores.size - 1):
        raise InputError(
            f"{image.name} is no test of {opened.path.name}: of its {scores.size} classes "
            f"{len(near)} score within the card's tolerance of the best one; give --image a "
            "picture of something that the model knows"
        )
    first = [named(int(i), labels[i] if labels else None) for i in near]
    made = Golden(opened.path.name, top, first, tolerance)
    made.write(folder / SCORES)
    return made


def named(number: int, label: str | None) -> str:
    """As the app shows a class."""
    return f"class {number}" if label is None else label
