"""check_preprocess(): whether an app's tensor is what the card says, or else which mistake it is.

Each known mistake, and each two of them together, make a tensor of the same picture; the one that
lies nearest to the app's names the mistake. Where none comes near, the nearest get a third one and
a fourth. Differences are in grey levels of the picture, so that they mean the same whatever the
model's units.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..converters.artifact import Artifact
from ..converters.card import Card
from ..errors import InputError
from ..preprocess import Preprocess
from .app_mistakes import Mistake, extended, mistaken, mistakes_with, pairs, right_way
from .app_ways import Picture, off_by

ALIKE = 1.02  # grey levels: one that an app's own rounding may take, and float32's on top
ROUNDED = 0.5  # mean difference that another implementation of the same may leave
NEAR = 3.0  # mean difference up to which a mistake is the likely one, and something else besides
MOST, KEPT = 4, 12  # mistakes at once, and how many guesses are followed beyond two


@dataclass(frozen=True)
class Fit:
    """What remains between the tensor and one way of making it. mistakes: none is the right one."""

    mistakes: tuple[Mistake, ...]
    largest: float
    mean: float

    @property
    def holds(self) -> bool:
        return self.largest <= ALIKE

    @property
    def words(self) -> str:
        return "; and ".join(m.words for m in self.mistakes) or "as the card says"


@dataclass(frozen=True)
class Verdict:
    """asked: against the card. best: the nearest way; alike: others that this picture cannot tell
    from it; runner_up: the nearest of the rest.
    """

    asked: Fit
    best: Fit
    alike: tuple[Fit, ...]
    runner_up: Fit | None

    @property
    def is_right(self) -> bool:
        return self.asked.holds

    @property
    def words(self) -> str:
        """The verdict in a sentence."""
        if self.is_right:
            return "the tensor is the right one"
        if self.best.holds:
            either = "either " if self.alike else ""
            return either + ", or ".join(fit.words for fit in (self.best, *self.alike))
        if self.best.mean > NEAR:
            return (
                "no mistake known here explains it; is it the same picture? The nearest, and far "
                f"off, is: {self.best.words}"
            )
        if not self.best.mistakes:
            return (
                "no known mistake comes nearer than the card's own way; most likely another "
                "decoder, or another implementation of the same resize"
            )
        return f"most likely {self.best.words}"


def check_preprocess(artifact: Path, image: Path, dump: Path) -> Verdict:
    """Hold the tensor in `dump`, a .npy or raw little-endian file, against `image` prepared.

    InputError for a picture that is none, and a dump of another size.
    """
    card = Artifact.read(artifact).card
    assert card is not None  # `read` demands one
    preprocess, layout, dtype = _input_of(card, artifact)
    values = _read(dump, np.prod(card.model["inputs"][0]["shape"], dtype=int), dtype, preprocess)
    picture = Picture(image, preprocess.channels)
    right = right_way(preprocess, layout)

    def fit(*several: Mistake) -> Fit:
        off = off_by(values, mistaken(right, several), picture)
        return Fit(several, float(off.max()), float(off.mean()))

    mistakes = mistakes_with(preprocess, right, picture)
    asked = fit()
    fits = [asked, *map(fit, mistakes)]
    if not any(one.holds for one in fits):
        fits += [fit(*pair) for pair in pairs(mistakes)]
    for count in range(3, MOST + 1):
        nearest = sorted(fits, key=lambda one: one.mean)[:KEPT]
        if nearest[0].mean <= ROUNDED or any(one.holds for one in fits):
            break
        tried = dict.fromkeys(m for one in nearest for m in extended(one.mistakes, mistakes))
        fits += [fit(*several) for several in tried if len(several) == count]
    return _verdict(asked, fits)


def _verdict(asked: Fit, fits: list[Fit]) -> Verdict:
    holding = [fit for fit in fits if fit.holds]
    # A second mistake that takes away little is the first one's imprecision.
    enough = 1.25 * min(fit.mean for fit in fits) + 0.1
    among = holding or [fit for fit in fits if fit.mean <= enough]
    best = asked if asked.holds else min(among, key=lambda fit: (len(fit.mistakes), fit.mean))
    alike = {fit.words: fit for fit in holding if fit.words != best.words}
    rest = [fit for fit in fits if fit.words not in alike and fit.words != best.words]
    runner_up = min(rest, key=lambda fit: fit.mean, default=None)
    return Verdict(asked, best, tuple(alike.values()), runner_up)


def _input_of(card: Card, artifact: Path) -> tuple[Preprocess, str, np.dtype]:
    """How the card prepares a picture, the layout of the input, and its type."""
    if card.preprocess is None:
        raise InputError(f"{artifact} says nothing of images: its card has no preprocessing")
    p = Preprocess.from_dict(card.preprocess)
    port, count = card.model["inputs"][0], len(p.channels)
    layouts = {(1, count, p.height, p.width): "CHW", (1, p.height, p.width, count): "HWC"}
    layout = layouts.get(tuple(port["shape"]))
    if layout is None:
        raise InputError(
            f"{artifact} takes {port['shape']}, which is not one picture of the "
            f"{p.width}×{p.height} that its card prepares"
        )
    return p, layout, np.dtype(port["dtype"])


def _read(file: Path, count: int, dtype: np.dtype, p: Preprocess) -> np.ndarray:
    """The values, flat, in the order in which they lie in the app's memory."""
    width = dtype.newbyteorder("<")
    try:
        if file.suffix == ".npy":
            found = np.load(file, allow_pickle=False)
        else:
            found = np.frombuffer(file.read_bytes(), np.uint8)
            if found.size == count * width.itemsize:
                found = found.view(width)
    except OSError as e:
        raise InputError(f"cannot read the dump {file}: {e.strerror or e}") from None
    except (ValueError, EOFError) as e:
        raise InputError(f"{file} is no array that numpy reads: {e}") from None
    raw = file.suffix != ".npy"
    if found.size != count or (raw and found.dtype != width) or found.dtype.kind not in "fiu":
        held = f"{found.size} bytes" if raw else f"{found.size} values of {found.dtype}"
        values = found.size / width.itemsize if raw else found.size
        raise InputError(
            f"{file} holds {held}, but the model takes {count} values of {dtype}: "
            f"{count * width.itemsize} bytes in a raw file{_hint(values, count, p)}"
        )
    flat = found.reshape(-1)
    flat = flat.astype(np.float32) if flat.dtype.kind == "f" else flat.astype(np.int64)
    bad = int((~np.isfinite(flat)).sum())
    if bad:
        raise InputError(f"{file} holds {bad} values that are no finite numbers")
    return flat


def _hint(values: float, count: int, p: Preprocess) -> str:
    """What another size may come from."""
    channels = len(p.channels)
    side = math.isqrt(int(values) // channels)
    if values * channels == count * 4:
        return "; it may be RGBA, of which the fourth channel is to be left out"
    if values * 4 == count:
        return "; it may be of bytes, which are to be made floats"
    if side * side * channels == values:
        return f"; it may be a picture of {side}×{side} instead of {p.width}×{p.height}"
    return ""
