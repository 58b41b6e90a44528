"""Calibration: real inputs, over which the ranges of activations are taken.

    --calibrate DIR            pictures, in folders for their classes or in none, prepared as the
                               model's own preprocessing says
    --calibrate FILE.npy       [N, ...] of one input, prepared already
    --calibrate FILE.py:NAME   a function without arguments; what it returns or yields are arrays,
                               or tuples of one array for each input, with or without a batch axis
    --calibrate random         noise: for a look at speed, never for a model that is to be used

Sixteen of them are what the file is held against: a static range is right for inputs like those it
was taken over, and for no others.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError
from .pictures import pictures_in
from .preprocess import Preprocess
from .recipe import RANDOM
from .reference import COUNT, Arrays, inputs_like, spread


def rows_of(
    source: str, examples: Sequence[np.ndarray], preprocess: Preprocess | None, *, samples: int
) -> tuple[Arrays, ...]:
    """Up to `samples` inputs shaped like `examples`; InputError for what cannot calibrate."""
    if samples < COUNT:
        raise InputError(f"--samples {samples} is too few: at least {COUNT} say what is usual")
    if source == RANDOM:
        rows: list[Arrays] = [*inputs_like(examples, preprocess)]
    elif Path(source).is_dir():
        rows = [*_fitting(_pictures(Path(source), preprocess, samples), examples, source)]
    elif source.endswith(".npy"):
        rows = [*_fitting(_array(Path(source), samples), examples, source)]
    elif ".py:" in source:
        from .models.user import called  # which imports torch: what only runs a file needs none

        rows = [*_fitting(called(source, most=samples), examples, source)]
    else:
        raise InputError(
            f"--calibrate {source}: no folder, no .npy file, no FILE.py:FUNCTION, nor the word "
            f"{RANDOM}; check the path"
        )
    _check(rows, source, preprocess)
    return tuple(rows)


def save(rows: Sequence[Arrays], file: Path) -> None:
    """Write one array for each input, its rows along a new first axis."""
    np.savez(file, *(np.stack(column) for column in zip(*rows, strict=True)))


def digest(rows: Sequence[Arrays]) -> str:
    """SHA-256 of all values."""
    return sha256(b"".join(a.tobytes() for row in rows for a in row)).hexdigest()


def load(file: Path) -> list[Arrays]:
    with np.load(file, allow_pickle=False) as stored:
        columns = [stored[f"arr_{i}"] for i in range(len(stored.files))]
    return [*zip(*columns, strict=True)]


def _pictures(folder: Path, preprocess: Preprocess | None, samples: int) -> list[Arrays]:
    """Spread evenly over the folder; those that cannot be read are told if too few are left."""
    if preprocess is None:
        raise InputError(
            f"--calibrate {folder}: the model says nothing of how its pictures are prepared; give "
            "prepared inputs as FILE.npy"
        )
    found = pictures_in(folder, "--calibrate")
    rows: list[Arrays] = []
    bad = []
    for picture in (found[i] for i in spread(len(found), samples)):
        try:
            rows.append((preprocess.apply(picture.file),))
        except InputError as e:
            bad.append(str(e))
    if len(rows) < COUNT:
        raise InputError(
            f"--calibrate {folder}: {len(rows)} good pictures, at least {COUNT} are needed"
            + (f"; {len(bad)} cannot be read: {bad[0]}" if bad else "")
        )
    return rows


def _array(file: Path, samples: int) -> np.ndarray:
    try:
        found: np.ndarray = np.load(file, allow_pickle=False, mmap_mode="r")
    except FileNotFoundError:
        raise InputError(f"--calibrate: there is no file {file}; check the path") from None
    except (OSError, ValueError) as e:
        raise InputError(f"--calibrate {file} is no array of numbers: {e}") from None
    if not found.ndim:
        raise InputError(f"--calibrate {file} holds one number; give [N, ...] of the model's input")
    return np.asarray(found[spread(len(found), samples)])


def _fitting(found: Iterable[Any], examples: Sequence[np.ndarray], source: str) -> Iterator[Arrays]:
    """Each of `found` as a tuple of arrays shaped like `examples`."""
    for row in found:
        parts = row if isinstance(row, tuple | list) else (row,)
        shapes = [tuple(np.shape(p)) for p in parts]
        wanted = [e.shape for e in examples]
        if len(shapes) != len(wanted) or any(
            s != w and (1, *s) != w for s, w in zip(shapes, wanted, strict=True)
        ):
            raise InputError(
                f"--calibrate {source} gives inputs of shapes {[*map(list, shapes)]}, the model "
                f"takes {[*map(list, wanted)]}" + _last_channel(shapes, wanted)
            )
        yield tuple(
            np.asarray(p, e.dtype).reshape(e.shape) for p, e in zip(parts, examples, strict=True)
        )


def _last_channel(shapes: list[tuple[int, ...]], wanted: list[tuple[int, ...]]) -> str:
    moved = [(*s[:-3], s[-1], *s[-3:-1]) for s in shapes if len(s) >= 3]
    fits = moved and moved[0] in (wanted[0], wanted[0][1:])
    return ": its channels are the last axis; transpose to channels first" if fits else ""


def _check(rows: Sequence[Arrays], source: str, preprocess: Preprocess | None) -> None:
    """Enough of them, finite, not all alike, and in the range that the preprocessing leaves."""
    if len(rows) < COUNT:
        raise InputError(
            f"--calibrate {source} gives {len(rows)} inputs, at least {COUNT} are needed"
        )
    if not all(np.isfinite(a).all() for row in rows for a in row):
        raise InputError(f"--calibrate {source} holds NaN or infinity")
    if all(np.array_equal(a, b) for row in rows[1:] for a, b in zip(row, rows[0], strict=True)):
        raise InputError(f"--calibrate {source}: all {len(rows)} inputs are the same")
    if preprocess is None:
        return
    mean, std = np.array(preprocess.mean), np.array(preprocess.std)
    low, high = float(((0 - mean) / std).min()), float(((1 - mean) / std).max())
    least, most = min(r[0].min() for r in rows), max(r[0].max() for r in rows)
    if preprocess.embedded:
        if least < 0 or most > 255 or most <= 1:
            raise InputError(
                f"--calibrate {source} holds values from {least:.3g} to {most:.3g}; with "
                "--embed-preprocess the model takes pictures of 0..255"
            )
        return
    slack = 0.05 * (high - low)
    if least < low - slack or most > high + slack:
        looks = (
            "0..255: divide by 255, and then"
            if least >= 0 and most > 32
            else "another normalisation:"
        )
        raise InputError(
            f"--calibrate {source} holds values from {least:.3g} to {most:.3g}; prepared for this "
            f"model they lie between {low:.3g} and {high:.3g}. It looks like {looks} subtract the "
            f"mean {list(preprocess.mean)} and divide by {list(preprocess.std)}"
        )
