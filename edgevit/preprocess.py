"""Preprocessing as data: what a picture goes through before the model sees it.

The numbers are those of timm's evaluation transform, without torchvision: they must be the same on
the machine that converts and on the phone that runs.
"""

import math
import warnings
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .errors import InputError
from .lookup import unknown

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 100_000_000
_FILTERS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")
_CROP_MODES = ("center", "squash", "border")


@dataclass(frozen=True)
class Preprocess:
    """From a picture to the model's input; raises InputError for values that mean nothing.

    height, width: of the input, in pixels. crop_fraction: the part of the resized picture's side
    that is kept. mean, std: one per channel, for values of 0..1. channels: "RGB" or "L". embedded:
    the artifact normalises inside and takes 0..255. crop_mode: "center" scales the short side and
    cuts the rest, "squash" scales both sides, "border" scales the long side and pads with the mean.
    """

    height: int
    width: int
    crop_fraction: float = 0.875
    interpolation: str = "bicubic"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    channels: str = "RGB"
    embedded: bool = False
    crop_mode: str = "center"

    def __post_init__(self) -> None:
        for key, known in (
            ("channels", ("RGB", "L")),
            ("interpolation", _FILTERS),
            ("crop_mode", _CROP_MODES),
        ):
            if getattr(self, key) not in known:
                raise InputError(unknown(key, str(getattr(self, key)), known))
        if min(self.height, self.width) < 1 or not 0 < self.crop_fraction <= 1:
            raise InputError(
                f"a preprocessing needs a size of at least 1×1 and a crop fraction above 0 and at "
                f"most 1, not {self.height}×{self.width} and {self.crop_fraction}"
            )
        count = len(self.channels)
        if (len(self.mean), len(self.std)) != (count, count) or not all(s > 0 for s in self.std):
            raise InputError(
                f"channels {self.channels!r} need {count} means and {count} positive standard "
                f"deviations, not {self.mean} and {self.std}"
            )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a card; `from_dict` takes them back."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `as_dict`; InputError for unknown, missing or mistyped values."""
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                raise InputError(unknown("preprocessing value", str(key), known))
        try:
            typed: dict[str, Any] = dict(values)
            typed |= {k: tuple(values[k]) for k in ("mean", "std") if k in values}
            return cls(**typed)
        except TypeError as e:
            raise InputError(f"preprocessing {values} is incomplete or mistyped: {e}") from None

    @classmethod
    def from_timm(cls, config: dict[str, Any]) -> Self:
        """From what `timm.data.resolve_model_data_config` returns."""
        count, height, width = config["input_size"]
        return cls(
            height=height,
            width=width,
            crop_fraction=float(config["crop_pct"]),
            interpolation=config["interpolation"],
            mean=tuple(float(v) for v in config["mean"]),
            std=tuple(float(v) for v in config["std"]),
            channels="L" if count == 1 else "RGB",
            crop_mode=config.get("crop_mode") or "center",
        )

    def apply(self, picture: "Path | Image") -> np.ndarray:
        """The model's input, float32 [1, C, height, width]: normalised, or 0..255 when `embedded`.

        Raises InputError for what is not a readable picture with 8 bits a channel.
        """
        image = self.cropped(self._resize(upright(picture, self.channels)))
        values = np.asarray(image, dtype=np.float32).reshape(self.height, self.width, -1)
        if not self.embedded:
            mean, std = (np.array(v, np.float32) for v in (self.mean, self.std))
            values = (values / np.float32(255) - mean) / std
        return np.ascontiguousarray(values.transpose(2, 0, 1)[None], dtype=np.float32)

    def _resize(self, image: "Image") -> "Image":
        from PIL.Image import Resampling

        return image.resize(self.scaled(image.size), Resampling[self.interpolation.upper()])

    def scaled(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height to which a picture of `size` is scaled, before the crop."""
        height, width = (math.floor(s / self.crop_fraction) for s in (self.height, self.width))
        if self.crop_mode == "center" and height == width:
            # The long side is cut, not rounded, and only here: timm takes another path elsewhere.
            short = min(size)
            width, height = (height if s == short else int(height * s / short) for s in size)
        elif self.crop_mode != "squash":
            pick = min if self.crop_mode == "center" else max
            ratio = pick(size[1] / height, size[0] / width)
            width, height = (max(1, round(s / ratio)) for s in size)
        if width * height > MAX_PIXELS:
            raise InputError(
                f"a picture of {size[0]}×{size[1]} pixels is too thin: it would be "
                f"scaled to {width}×{height}; crop it first"
            )
        return width, height

    def cropped(self, image: "Image") -> "Image":
        """The part of a scaled picture that the model sees."""
        from PIL import Image

        gap_x, gap_y = max(0, self.width - image.width), max(0, self.height - image.height)
        if gap_x or gap_y:  # crop mode "border"
            fill = tuple(round(255 * m) for m in self.mean)
            size = (image.width + gap_x, image.height + gap_y)
            canvas = Image.new(image.mode, size, fill if len(fill) > 1 else fill[0])
            canvas.paste(image, (gap_x // 2, gap_y // 2))
            image = canvas
        left = round((image.width - self.width) / 2)
        top = round((image.height - self.height) / 2)
        return image.crop((left, top, left + self.width, top + self.height))


def upright(picture: "Path | Image", channels: str) -> "Image":
    """The upright picture in `channels`, or InputError."""
    from PIL import Image

    if not isinstance(picture, Path):
        return _decode(picture, channels, "the picture")
    try:
        with warnings.catch_warnings():
            # Our own limit, in _decode, is the stricter one and says what to do.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(picture)
    except FileNotFoundError:
        raise InputError(f"no picture at {picture}; check the path") from None
    except Exception as e:  # decoders fail with whatever the bytes lead them to
        raise InputError(_unreadable(str(picture), e)) from None
    with image:
        return _decode(image, channels, str(picture))


def _decode(image: "Image", channels: str, name: str) -> "Image":
    from PIL import ImageOps

    if image.width * image.height > MAX_PIXELS:
        raise InputError(
            f"{name} has {image.width}×{image.height} pixels, more than "
            f"{MAX_PIXELS // 10**6} million; scale it down first"
        )
    if image.mode.startswith(("I", "F")):
        raise InputError(f"{name} has mode {image.mode}; convert it to 8 bits a channel first")
    try:
        image.load()
        image = ImageOps.exif_transpose(image)
        if "transparency" in image.info:  # a palette with alpha, which Pillow converts in two steps
            image = image.convert("RGBA")
        return image.convert(channels)
    except Exception as e:
        raise InputError(_unreadable(name, e)) from None


def _unreadable(name: str, error: Exception) -> str:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"{name} is not a readable picture ({reason}); save it anew"
