"""Makes what the JVM tests compare with, by edgevit itself: python fixtures.py FOLDER

net.onnx and net.tflite with their cards, logits of both for one photograph; and for each of many
ways to prepare a picture, what edgevit's own preprocessing makes of the two photographs.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import nn

import edgevit
from edgevit.preprocess import Preprocess

PHOTOGRAPHS = Path(edgevit.__file__).parent / "photographs"
SIZE = Preprocess(32, 32)
LABELS = ["temple", "flower", "cat", "dog", "boat", "lamp"]
WAYS = {
    "usual": Preprocess(224, 224),
    "squash": Preprocess(160, 192, 0.9, "bilinear", crop_mode="squash"),
    "border": Preprocess(224, 224, 1.0, "lanczos", crop_mode="border"),
    "oblong": Preprocess(96, 128, 0.95, "hamming"),
    "grey": Preprocess(64, 64, 1.0, "box", (0.5,), (0.5,), "L"),
    "embedded": Preprocess(120, 120, 0.8, "nearest", embedded=True),
    "larger": Preprocess(384, 384, 1.0, "bicubic"),
}


class Net(nn.Module):
    """Small, and of the layers that a vision net has; its logits lie far apart."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.Hardswish(), nn.Conv2d(8, 8, 3, 2, 1, groups=8), nn.GELU()
        )
        self.head = nn.Linear(8, len(LABELS))
        nn.init.normal_(self.head.weight, std=4)
        self.preprocess = SIZE

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x).mean((2, 3)))


def main(folder: Path) -> None:
    folder.mkdir(parents=True)
    example = torch.zeros(1, 3, SIZE.height, SIZE.width)
    made = edgevit.convert(
        "net", model=(Net().eval(), (example,)), to=["onnx", "tflite"], out=folder, labels=LABELS
    )
    picture = PHOTOGRAPHS / "temple.jpg"
    for outcome in made:
        if outcome.artifact is None:
            raise outcome.error or RuntimeError("nothing was made")
        with outcome.artifact.open() as session:
            logits = session(SIZE.apply(picture))[0]
        logits.astype("<f4").tofile(folder / f"{outcome.artifact.path.name}.logits")
    for name, way in WAYS.items():
        (folder / f"{name}.way").write_text(json.dumps(way.as_dict()))
        for photograph in ("temple", "flower"):
            values = way.apply(PHOTOGRAPHS / f"{photograph}.jpg")
            values.astype("<f4").tofile(folder / f"{name}.{photograph}.input")
    for photograph in ("temple", "flower"):
        shutil.copy(PHOTOGRAPHS / f"{photograph}.jpg", folder)
    turned(folder)
    Image.new("1", (10016, 10016), 1).save(folder / "huge.png")


def turned(folder: Path) -> None:
    """A picture lying in each of the eight ways of EXIF, and what Pillow makes upright of it."""
    values = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    for orientation in range(1, 9):
        image = Image.fromarray(values).resize((160, 96), Image.Resampling.NEAREST)
        exif = Image.Exif()
        exif[0x0112] = orientation
        image.save(folder / f"turned{orientation}.jpg", exif=exif, quality=95, subsampling=0)
        with Image.open(folder / f"turned{orientation}.jpg") as lying:
            upright = ImageOps.exif_transpose(lying).convert("RGB")
        np.asarray(upright).tofile(folder / f"turned{orientation}.rgb")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
