"""Pictures in a folder, with their classes where the folder says them."""

from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Picture:
    """label: the index of its folder among the sorted ones, or None for a folder without any."""

    file: Path
    label: int | None = None


def pictures_in(folder: Path, option: str) -> list[Picture]:
    """What lies in `folder`, or in its folders, one for each class; InputError where nothing does.

    option: named in the error, such as "--images".
    """
    classes = sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))
    found = [
        Picture(file, i if classes else None)
        for i, place in enumerate(classes or [folder])
        for file in sorted(place.iterdir())
        if file.suffix.lower() in SUFFIXES
    ]
    if not found:
        raise InputError(f"{option}: {folder} holds none of {', '.join(SUFFIXES)}")
    return found
