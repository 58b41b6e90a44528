"""What an artifact is held against: sixteen inputs and the original module's answers in float64.

    6  photographs: two pictures, each whole, mirrored, and a close-up (where an input is an image)
    4  uniform noise over the input's range
    3  constants: darkest, brightest, middle
    3  extremes: every value at one end of the range, a checkerboard, one bright pixel

An input that is no image gets noise in the photographs' place. The range of an input is what its
preprocessing can produce, or what its example holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from .preprocess import Preprocess

Arrays = tuple[np.ndarray, ...]
COUNT = 16
# What `prepare` writes of a model.
PROGRAM, REFERENCE = "program.pt2", "reference.npz"
CALIBRATION, CALIBRATED = "calibration.npz", "calibrated.npz"  # and a reference on some of those


@dataclass(frozen=True)
class Reference:
    """inputs, outputs: one tuple of arrays per input, outputs in float64.

    eager_error: precision → per output, the largest difference between the float64 outputs and the
    module computed by torch in that precision, over the inputs where that does not overflow: the
    round-off nobody can be blamed for.
    """

    inputs: tuple[Arrays, ...]
    outputs: tuple[Arrays, ...]
    eager_error: dict[str, tuple[float, ...]]

    def save(self, file: Path) -> None:
        arrays = {
            f"{kind}.{i}.{j}": array
            for kind, rows in (("inputs", self.inputs), ("outputs", self.outputs))
            for i, row in enumerate(rows)
            for j, array in enumerate(row)
        }
        errors = {f"error.{k}": np.array(v) for k, v in self.eager_error.items()}
        np.savez(file, allow_pickle=False, **arrays, **errors)

    @classmethod
    def load(cls, file: Path) -> Self:
        with np.load(file, allow_pickle=False) as stored:

            def rows(kind: str) -> tuple[Arrays, ...]:
                count = sum(k.startswith(f"{kind}.0.") for k in stored)
                return tuple(
                    tuple(stored[f"{kind}.{i}.{j}"] for j in range(count)) for i in range(COUNT)
                )

            errors = {
                k.removeprefix("error."): tuple(map(float, stored[k]))
                for k in stored
                if k.startswith("error.")
            }
            return cls(rows("inputs"), rows("outputs"), errors)


def spread(count: int, samples: int) -> list[int]:
    """Up to `samples` places of `count`, from first to last: what lies in order is of all kinds."""
    return [round(i) for i in np.linspace(0, count - 1, min(samples, count))]


def reference_of(precision: str) -> str:
    """The file of `prepare` that an artifact is held against: ranges fit the inputs they are of."""
    return CALIBRATED if precision == "w8a8" else REFERENCE


def inputs_like(
    examples: Sequence[np.ndarray], preprocess: Preprocess | None
) -> tuple[Arrays, ...]:
    """Sixteen inputs, each a tuple of arrays shaped like `examples`."""
    rng = np.random.default_rng(0)
    return tuple(zip(*(_column(e, preprocess, rng) for e in examples), strict=True))


def _column(
    example: np.ndarray, preprocess: Preprocess | None, rng: np.random.Generator
) -> list[np.ndarray]:
    """Sixteen arrays shaped like `example`, in the order of the table above."""
    low, high = _range(example, preprocess)
    if not np.issubdtype(example.dtype, np.floating):
        low, high = example.min(), example.max()  # what is counted, not measured, has no mean
        tail = (COUNT - 1, *example.shape)
        drawn = rng.integers(int(low), int(high), tail, endpoint=True).astype(example.dtype)
        return [example, *drawn]
    shape = example.shape
    flat = np.zeros(shape)
    checkers = np.indices(shape).sum(0) % 2
    pixel = flat.copy()
    pixel.reshape(-1)[pixel.size // 2] = 1
    ends = rng.integers(0, 2, shape).astype(float)
    units = [
        *_photographs(shape, rng),
        *rng.random((4, *shape)),
        *(flat, flat + 1, flat + 0.5),
        *(ends, checkers, pixel),
    ]
    return [np.asarray(low + u * (high - low), example.dtype) for u in units]


def _range(example: np.ndarray, preprocess: Preprocess | None) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest value an input takes, broadcastable against it."""
    channels = example.shape[1] if example.ndim == 4 else 0
    if preprocess is not None and channels == len(preprocess.mean):
        if preprocess.embedded:
            return np.array(0.0), np.array(255.0)
        mean, std = (np.array(v).reshape(-1, 1, 1) for v in (preprocess.mean, preprocess.std))
        return (0 - mean) / std, (1 - mean) / std
    low, high = np.array(example.min()), np.array(example.max())
    if np.issubdtype(example.dtype, np.floating) and low == high:
        return low - 1, high + 1
    return low, high


def _photographs(shape: tuple[int, ...], rng: np.random.Generator) -> list[np.ndarray]:
    """Six views of two photographs as arrays of `shape` in 0..1; noise where that is no image."""
    if len(shape) != 4 or shape[1] not in (1, 3):
        return list(rng.random((6, *shape)))
    from PIL import Image

    views = []
    for file in sorted((Path(__file__).parent / "photographs").glob("*.jpg")):
        with Image.open(file) as opened:
            picture = opened.convert("L" if shape[1] == 1 else "RGB")
        side = min(picture.size)
        close = (side // 4, side // 4, 3 * side // 4, 3 * side // 4)
        for box, mirror in (
            ((0, 0, side, side), False),
            ((0, 0, side, side), True),
            (close, False),
        ):
            view = picture.resize((shape[3], shape[2]), Image.Resampling.BICUBIC, box=box)
            array = np.asarray(view, np.float64).reshape(shape[2], shape[3], shape[1]) / 255
            array = array[:, ::-1] if mirror else array
            views.append(np.broadcast_to(array.transpose(2, 0, 1), shape))
    return views
