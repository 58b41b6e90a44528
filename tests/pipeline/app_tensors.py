"""Tensors of the two photographs as an app makes them, by hand: right, and each mistake."""

from pathlib import Path

import numpy as np
import torch
from known_folder import add
from PIL import Image, ImageOps

import edgevit
from edgevit.preprocess import Preprocess

PHOTOGRAPHS = sorted((Path(edgevit.__file__).parent / "photographs").glob("*.jpg"))
P = Preprocess(96, 96)  # 109 pixels, cropped to 96; bicubic, ImageNet's mean and std
MEAN, STD = (np.array(v) for v in (P.mean, P.std))


def artifact(folder, p=P, *, shape=None, dtype="float32", **card):
    shape = shape or [1, len(p.channels), p.height, p.width]
    port = {"name": "x", "dtype": dtype, "shape": shape}
    model = {"name": "net", "parameters": 1, "macs": 2, "inputs": [port], "outputs": [port]}
    return add(folder, "net.onnx", **{"model": model, "preprocess": p.as_dict()} | card)


def resized(image, short=109, how=Image.Resampling.BICUBIC):
    """The short side scaled to `short`, the long one cut as torchvision does."""
    ratio = short / min(image.size)
    return image.resize([int(side * ratio + 1e-9) for side in image.size], how)


def cropped(image, side=96):
    left, top = (round((s - side) / 2) for s in image.size)
    return image.crop((left, top, left + side, top + side))


def by_torch(image, mode):
    """As torch, and with it OpenCV, scales unless told: no antialias."""
    x = torch.from_numpy(np.array(image, np.float32)).permute(2, 0, 1)[None]
    size = resized(image).size[::-1]
    more = {} if mode == "nearest" else {"align_corners": False}
    y = torch.nn.functional.interpolate(x, size=size, mode=mode, **more)[0]
    return Image.fromarray(y.permute(1, 2, 0).clamp(0, 255).round().byte().numpy())


def largest_square(image):
    side = min(image.size)
    return cropped(image, side).resize((96, 96), Image.Resampling.BICUBIC)


PICTURES = {  # what the app cuts, by hand → words of the verdict
    "card": (lambda i: cropped(resized(i)), ""),
    "squeezed": (lambda i: i.resize((96, 96), Image.Resampling.BICUBIC), "squeezed to 96×96"),
    "both sides": (
        lambda i: cropped(i.resize((109, 109), Image.Resampling.BICUBIC)),
        "squeezed alike",
    ),
    "no crop": (lambda i: cropped(resized(i, 96)), "no centre crop"),
    "ratio": (lambda i: cropped(resized(i, 101)), "keeps 0.95 of the side instead of 0.875"),
    "corner": (lambda i: resized(i).crop((0, 0, 96, 96)), "top left"),
    "square": (largest_square, "largest square"),
    "letterbox": (
        lambda i: ImageOps.pad(i, (96, 96), Image.Resampling.BICUBIC, (0, 0, 0)),
        "padded with black",
    ),
    "nearest": (lambda i: cropped(resized(i, how=Image.Resampling.NEAREST)), "with nearest, not"),
    "bilinear": (lambda i: cropped(resized(i, how=Image.Resampling.BILINEAR)), "with bilinear, no"),
    "lanczos": (lambda i: cropped(resized(i, how=Image.Resampling.LANCZOS)), "with lanczos"),
    "bilinear, torch": (lambda i: cropped(by_torch(i, "bilinear")), "bilinear without antialias"),
    "nearest, torch": (lambda i: cropped(by_torch(i, "nearest")), "corner for its middle"),
    "mirrored": (lambda i: ImageOps.mirror(cropped(resized(i))), "left is right"),
    "mirrored before": (lambda i: cropped(resized(ImageOps.mirror(i))), "left is right"),
    "turned": (lambda i: cropped(resized(i)).rotate(-90), "90° clockwise"),
    "turned before": (lambda i: cropped(resized(i.rotate(90, expand=True))), "90° anticlockwise"),
    "upside down": (lambda i: cropped(resized(i)).rotate(180), "180°"),
}
right = lambda x: (x / 255 - MEAN) / STD  # noqa: E731
VALUES = {  # [H, W, C] of 0..255 → the tensor, words of the verdict
    "card": (lambda x: right(x).transpose(2, 0, 1), ""),
    "BGR": (lambda x: right(x[..., ::-1]).transpose(2, 0, 1), "BGR where"),
    "BGR after": (lambda x: right(x)[..., ::-1].transpose(2, 0, 1), "swapped after mean"),
    "0..255": (lambda x: x.transpose(2, 0, 1), "0..255; the card's mean"),
    "0..1": (lambda x: (x / 255).transpose(2, 0, 1), "0..1; the card's mean"),
    "on bytes": (lambda x: ((x - MEAN) / STD).transpose(2, 0, 1), "without dividing by 255"),
    "-1..1": (lambda x: (x / 127.5 - 1).transpose(2, 0, 1), "0.5 and 0.5"),
    "twice": (lambda x: right(x / 255).transpose(2, 0, 1), "255 twice"),
    "no mean": (lambda x: (x / 255 / STD).transpose(2, 0, 1), "mean is not"),
    "NHWC": (right, "NHWC"),
    "columns": (lambda x: right(x).transpose(2, 1, 0), "height and width are swapped"),
}


def planted(picture, values, photograph=PHOTOGRAPHS[0], noise=0):
    pixels = np.array(PICTURES[picture][0](Image.open(photograph)), np.int64)
    rng = np.random.default_rng(7)
    pixels = (pixels + rng.integers(-noise, noise + 1, pixels.shape)).clip(0, 255)
    return VALUES[values][0](pixels.astype(np.float64))
