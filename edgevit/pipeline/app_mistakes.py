"""What apps do wrong when they make a model's input of a picture, one by one.

A mistake belongs to one step, and two of different steps can be made together.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from ..preprocess import Preprocess
from .app_ways import Picture, Prepare, Way

Statistics = tuple[tuple[float, ...], tuple[float, ...]]

KNOWN: dict[str, Statistics] = {
    "ImageNet's": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "CLIP's": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "0.5 and 0.5": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
RATIOS = (0.8, 0.875, 0.888, 0.9, 0.95, 0.96, 1.0)
_TURNS = {
    "FLIP_LEFT_RIGHT": "mirrored, left is right",
    "FLIP_TOP_BOTTOM": "mirrored, top is bottom",
    "ROTATE_270": "rotated by 90° clockwise",
    "ROTATE_180": "rotated by 180°",
    "ROTATE_90": "rotated by 90° anticlockwise",
}


@dataclass(frozen=True, eq=False)
class Mistake:
    """step: of the way. way, prepare: the fields that differ of a Way and of its Prepare."""

    step: str
    words: str
    way: dict[str, Any]
    prepare: dict[str, Any]


def right_way(p: Preprocess, layout: str) -> Way:
    """What the card says."""
    fields = vars(p) | {"embedded": True}  # a Way has its own arithmetic
    if p.embedded:
        count = len(p.channels)
        return Way(Prepare(**fields), (1.0,) * count, (0.0,) * count, layout)
    return Way(Prepare(**fields), *_normalised(p.mean, p.std), layout)


def mistaken(right: Way, mistakes: tuple[Mistake, ...]) -> Way:
    way: dict[str, Any] = {}
    prepare: dict[str, Any] = {}
    for mistake in mistakes:
        way |= mistake.way
        prepare |= mistake.prepare
    made = replace(right, **way, prepare=replace(right.prepare, **prepare))
    if made.colour == "after" and (made.rate, made.shift) == (made.rate[::-1], made.shift[::-1]):
        return replace(made, colour="before")  # the same tensor
    return made


def pairs(mistakes: list[Mistake]) -> Iterator[tuple[Mistake, Mistake]]:
    return ((a, b) for a, b in combinations(mistakes, 2) if a.step != b.step)


def extended(made: tuple[Mistake, ...], mistakes: list[Mistake]) -> Iterator[tuple[Mistake, ...]]:
    """With one more, of another step; in the order of `mistakes`, whichever came first."""
    steps = {mistake.step for mistake in made}
    for more in mistakes:
        if more.step not in steps:
            yield tuple(m for m in mistakes if m is more or m in made)


def mistakes_with(p: Preprocess, right: Way, picture: Picture) -> list[Mistake]:
    """All that would make another tensor than `right`, the likeliest of each step first."""
    found = [
        *(_colours() if len(p.channels) > 1 else ()),
        *_scales(p),
        *_layouts(right.layout, len(p.channels)),
        *_crops(p),
        *_filters(p),
        *_turns(picture),
    ]
    kept: dict[Way, Mistake] = {}
    for mistake in found:
        kept.setdefault(mistaken(right, (mistake,)), mistake)
    kept.pop(right, None)
    return list(kept.values())


def _colours() -> Iterator[Mistake]:
    words = "red and blue are swapped: BGR where the card says RGB"
    yield Mistake("colour", words, {"colour": "before"}, {})
    yield Mistake("colour", f"{words}, swapped after mean and std", {"colour": "after"}, {})


def _scales(p: Preprocess) -> Iterator[Mistake]:
    count, (mean, std) = len(p.channels), (p.mean, p.std)
    ones, zeros = (1.0,) * count, (0.0,) * count

    def scale(words: str, rate: tuple[float, ...], shift: tuple[float, ...]) -> Mistake:
        return Mistake("scale", words, {"rate": rate, "shift": shift}, {})

    wanted = "the model takes 0..255" if p.embedded else "the card's mean and std are missing"
    yield scale(f"the values are 0..1; {wanted}", *_normalised(zeros, ones))
    yield scale(f"the values are 0..255; {wanted}", ones, zeros)
    if p.embedded:
        words = "mean and std are applied, which this model does itself"
        yield scale(words, *_normalised(mean, std))
    else:
        rate, shift = _normalised(mean, std)
        words = "mean and std are applied to 0..255, without dividing by 255"
        yield scale(words, tuple(255 * r for r in rate), shift)
        yield scale("divided by 255 twice", tuple(r / 255 for r in rate), shift)
        yield scale("std is applied, mean is not", *_normalised(zeros, std))
        yield scale("mean is subtracted, std is not applied", *_normalised(mean, ones))
        twice = tuple((b - m) / s for b, m, s in zip(shift, mean, std, strict=True))
        rates = tuple(r / s for r, s in zip(rate, std, strict=True))
        yield scale("mean and std are applied twice", rates, twice)
    for name, known in KNOWN.items():
        other, its = (values if count == 3 else (values[0],) * count for values in known)
        instead = "where this model does it itself" if p.embedded else "instead of the card's"
        yield scale(f"mean and std are {name} {instead}", *_normalised(other, its))


def _layouts(right: str, count: int) -> Iterator[Mistake]:
    words = {
        "CHW": "channels come first (NCHW) where the model takes them last (NHWC)",
        "HWC": "channels come last (NHWC) where the model takes them first (NCHW)",
        "CWH": "height and width are swapped: written column by column",
    }
    for layout in words:
        if layout != right and (count > 1 or layout == "CWH"):  # of one channel, it is all the same
            yield Mistake("layout", words[layout], {"layout": layout}, {})


def _crops(p: Preprocess) -> Iterator[Mistake]:
    size, kept = f"{p.width}×{p.height}", p.crop_fraction

    def crop(words: str, **prepare: Any) -> Mistake:
        return Mistake("crop", words, {}, prepare)

    yield crop(
        f"the whole picture is squeezed to {size} instead of cropped",
        crop_mode="squash",
        crop_fraction=1.0,
    )
    yield crop("both sides are squeezed alike before the crop", crop_mode="squash")
    yield crop(
        "no centre crop: the short side is scaled to the size itself",
        crop_mode="center",
        crop_fraction=1.0,
    )
    yield crop("the largest square is cut out and then scaled", cut="first", crop_fraction=1.0)
    yield crop("cropped before it is scaled", cut="first")
    yield crop("the crop is taken at the top left, not in the middle", cut="corner")
    black = (0.0,) * len(p.channels)
    yield crop("padded with black", crop_mode="border", crop_fraction=1.0, mean=black)
    yield crop("cropped in the middle, not squeezed or padded", crop_mode="center")
    for ratio in RATIOS:
        words = f"the crop keeps {ratio:g} of the side instead of {kept:g}"
        yield crop(words, crop_fraction=ratio)
    if p.width != p.height:
        words = f"prepared {p.height} wide and {p.width} high instead of {size}"
        yield crop(words, height=p.width, width=p.height)


def _filters(p: Preprocess) -> Iterator[Mistake]:
    for name in ("bilinear", "bicubic", "nearest", "lanczos", "box"):
        for antialias in (True, False) if name in ("bilinear", "bicubic", "nearest") else (True,):
            plain = {"nearest": ", a pixel's corner for its middle"}.get(name, " without antialias")
            words = f"scaled with {name}{'' if antialias else plain}, not with {p.interpolation}"
            if name == p.interpolation:
                words = f"scaled{plain}"
            change = {"interpolation": name, "antialias": antialias}
            yield Mistake("filter", words, {}, change)


def _turns(picture: Picture) -> Iterator[Mistake]:
    if picture.stored:
        yield Mistake("turn", "the EXIF orientation is ignored", {"turn": picture.stored}, {})
    turns = {turn: words for turn, words in _TURNS.items() if turn != picture.stored}
    for last in (False, True):
        for turn, words in turns.items():
            yield Mistake("turn", words, {"turn": turn, "turn_last": last}, {})


def _normalised(
    mean: tuple[float, ...], std: tuple[float, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    shift = tuple(-m / s for m, s in zip(mean, std, strict=True))
    return tuple(1 / (255 * s) for s in std), shift
