"""The ways in which an app may make a model's input of a picture: ours, and ours with a mistake.

    picture ── turn ── scale ── crop ── channels ── · rate + shift ── layout ── tensor

Scaling takes nearly all the time, so that one scaled picture serves every way that needs it.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..preprocess import Preprocess, upright

if TYPE_CHECKING:
    from PIL.Image import Image

Size = tuple[int, int]  # width, height
_ORIENTATION = 0x0112  # of EXIF
# Its values, and how a picture lies in the file, as PIL's Transpose calls it.
_STORED = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_90",
    7: "TRANSVERSE",
    8: "ROTATE_270",
}
_SWAPPING = ("TRANSPOSE", "ROTATE_90", "TRANSVERSE", "ROTATE_270")  # width with height
_AXES = {"CHW": (0, 1, 2), "HWC": (1, 2, 0), "CWH": (0, 2, 1)}


@dataclass(frozen=True)
class Prepare(Preprocess):
    """Preprocess, and what of resizing and cropping is not among its options.

    antialias: False looks at as many pixels of the picture however much it shrinks, as OpenCV and
    torch do unless told; "nearest" then takes a pixel's corner for its middle. cut: "corner" keeps
    the top left; "first" cuts the picture and then scales to the size.
    """

    antialias: bool = True
    cut: Literal["middle", "corner", "first"] = "middle"

    def cut_first(self, image: "Image") -> "Image":
        ratio = min(image.width / self.width, image.height / self.height) * self.crop_fraction
        width, height = (max(1, round(side * ratio)) for side in (self.width, self.height))
        left, top = (image.width - width) // 2, (image.height - height) // 2
        return image.crop((left, top, left + width, top + height))

    def cropped(self, image: "Image") -> "Image":
        if self.cut == "corner":
            return image.crop((0, 0, self.width, self.height))
        return super().cropped(image)


@dataclass(frozen=True)
class Way:
    """rate, shift: one per channel of the tensor; its values are 0..255 · rate + shift.

    layout: of the tensor in memory: "CHW", "HWC" or "CWH". colour: channels swapped "before" or
    "after" rate and shift. turn: of PIL's Transpose, of the picture or, last, of the tensor.
    """

    prepare: Prepare
    rate: tuple[float, ...]
    shift: tuple[float, ...]
    layout: str
    colour: Literal["", "before", "after"] = ""
    turn: str = ""
    turn_last: bool = False


class Picture:
    """A picture as each way cuts it, decoded once; InputError where it is none.

    stored: how it lies in the file where EXIF data turn it; or else "".
    """

    def __init__(self, file: Path, channels: str) -> None:
        from PIL import Image

        self._image = upright(file, channels)
        with Image.open(file) as raw:
            self.stored = _STORED.get(raw.getexif().get(_ORIENTATION, 1), "")
        self._cuts = lru_cache(maxsize=256)(self._cut)
        self._turned = lru_cache(maxsize=3)(self._turn)  # of up to 300 MB each
        self._scaled_to = lru_cache(maxsize=256)(self._scale)

    def pixels(self, way: Way) -> np.ndarray:
        """uint8 [C, h, w]."""
        return self._cuts(way.prepare, way.turn, way.turn_last)

    def _cut(self, p: Prepare, turn: str, turn_last: bool) -> np.ndarray:
        from PIL.Image import Transpose

        how = (p.interpolation, p.antialias)
        first = "" if turn_last else turn
        # Flipping a scaled picture is scaling a flipped one, but for corners, which are others;
        # rounding between its two passes tells a turn by 90° before from one after.
        after = first if first not in _SWAPPING and how != ("nearest", False) else ""
        source = "" if after else first
        if p.cut == "first":
            scaled = _scaled(p.cut_first(self._turned(first)), (p.width, p.height), *how)
            after = ""
        else:
            scaled = self._scaled_to(source, p.scaled(self._turned(source).size), *how)
        if after:
            scaled = scaled.transpose(Transpose[after])
        cut = p.cropped(scaled)
        if turn_last:
            cut = cut.transpose(Transpose[turn])
        return np.asarray(cut).reshape(cut.height, cut.width, -1).transpose(2, 0, 1)

    def _turn(self, turn: str) -> "Image":
        from PIL.Image import Transpose

        return self._image.transpose(Transpose[turn]) if turn else self._image

    def _scale(self, turn: str, size: Size, interpolation: str, antialias: bool) -> "Image":
        return _scaled(self._turned(turn), size, interpolation, antialias)


def off_by(dump: np.ndarray, way: Way, picture: Picture) -> np.ndarray:
    """By how many grey levels of the picture each value of `dump`, flat, differs from `way`'s."""
    values = tensor(way, picture)
    if dump.dtype.kind != "f":
        values = np.trunc(values.clip(0, 255))  # what a byte holds of it
    rates = np.broadcast_to(_column(way.rate), picture.pixels(way).shape)
    if way.colour == "after":
        rates = rates[::-1]
    return np.abs((dump - values) / rates.transpose(_AXES[way.layout]).reshape(-1))


def tensor(way: Way, picture: Picture) -> np.ndarray:
    """What the app hands over, flat, as float32."""
    pixels = picture.pixels(way)
    if way.colour == "before":
        pixels = pixels[::-1]
    values = pixels * _column(way.rate) + _column(way.shift)
    if way.colour == "after":
        values = values[::-1]
    return np.ascontiguousarray(values.transpose(_AXES[way.layout])).reshape(-1)


def _scaled(image: "Image", size: Size, interpolation: str, antialias: bool) -> "Image":
    from PIL.Image import Resampling, Transform

    how = Resampling[interpolation.upper()]
    if antialias:
        return image.resize(size, how)
    by_x, by_y = image.width / size[0], image.height / size[1]
    # An affine map takes points; it looks at the middle of a pixel, 0.5 from its corner.
    off = 0.5 - 1e-6 if interpolation == "nearest" else 0.0
    back = (by_x, 0, -off * by_x, 0, by_y, -off * by_y)
    return image.transform(size, Transform.AFFINE, back, how)


def _column(values: tuple[float, ...]) -> np.ndarray:
    return np.array(values, np.float32).reshape(-1, 1, 1)
