"""The inputs on which classes are counted: the user's pictures, or what calibrates."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import calibration
from ..errors import InputError
from ..pictures import Picture
from ..preprocess import Preprocess
from ..reference import CALIBRATION, Arrays

COUNTED = "counted.npz"


def counted_inputs(
    pictures: Sequence[Picture], facts: Mapping[str, Any], folder: Path, *, name: str
) -> list[Arrays]:
    """Prepared as the model's `facts` say, and saved as COUNTED; without pictures what calibrates.

    folder: with what `prepare` wrote. InputError for a model that has no preprocessing.
    """
    if not pictures:
        return calibration.load(folder / CALIBRATION)
    if facts["preprocess"] is None:
        raise InputError(f"{name} says nothing of images: it has no preprocessing")
    prepare = Preprocess.from_dict(facts["preprocess"])
    rows: list[Arrays] = [(prepare.apply(p.file),) for p in pictures]
    calibration.save(rows, folder / COUNTED)
    return rows


def labels_of(pictures: Sequence[Picture]) -> list[int] | None:
    """Their classes, where all have one."""
    found = [p.label for p in pictures if p.label is not None]
    return found if pictures and len(found) == len(pictures) else None
