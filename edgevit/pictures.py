"""Pictures in a folder, with their classes where the folder says them."""

from dataclasses import dataclass
from pathlib import Path

from .errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Picture:
    """label: the index of its folder among the sorted ones, or None for a folder without any."""

    file: Path
    label: int | None = None


def pictures_in(folder: Path, option: str) -> list[Picture]:
    """What lies in `folder`, or else in its folders, one for each class; InputError for nothing.

    option: named in the error, such as "--images".
    """
    found = [Picture(file) for file in _among(folder)]
    if not found:
        classes = sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))
        found = [Picture(file, i) for i, place in enumerate(classes) for file in _among(place)]
    if not found:
        raise InputError(f"{option}: {folder} holds none of {', '.join(SUFFIXES)}")
    return found


def _among(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
