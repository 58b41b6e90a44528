"""Eight kinds of shapes, of any place, size and turn, in two colours and over noise.

Never the same twice, so that a net can learn from as many as it needs and be asked about others.

    python examples/shapes.py OUT [SIDE]

writes pictures of them, a folder for each kind: 128 in OUT/usual and 1000 in OUT/asked, of 32 × 32
pixels or SIDE × SIDE.
"""

import sys
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

SHAPES = ("disk", "ring", "square", "frame", "cross", "bar", "triangle", "two disks")


def drawn(count: int, side: int = 32) -> tuple[Tensor, Tensor]:
    """[count, 3, side, side], as a model takes them, and labels."""
    labels = torch.randint(len(SHAPES), (count,))
    place, turn = torch.rand(count, 2, 1, 1) - 0.5, torch.rand(count, 1, 1) * 2 * torch.pi
    size = 0.3 + 0.25 * torch.rand(count, 1, 1)
    axis = torch.linspace(-1, 1, side)
    x = (axis[None, None, :] - place[:, 0]) / size
    y = (axis[None, :, None] - place[:, 1]) / size
    x, y = x * turn.cos() - y * turn.sin(), x * turn.sin() + y * turn.cos()
    square, disk = torch.maximum(x.abs(), y.abs()), (x * x + y * y).sqrt()
    beside = ((x.abs() - 0.6) ** 2 + y * y).sqrt()
    inside = torch.stack(
        [
            disk < 1,
            (disk < 1) & (disk > 0.6),
            square < 0.9,
            (square < 0.9) & (square > 0.5),
            (torch.minimum(x.abs(), y.abs()) < 0.25) & (square < 1),
            (y.abs() < 0.25) & (x.abs() < 1),
            (y > -0.6) & (y < 1 - 1.7 * x.abs()),
            beside < 0.4,
        ],
        1,
    )[torch.arange(count), labels]
    colours = torch.rand(2, count, 3, 1, 1)
    colours[1] = (colours[0] + 0.3 + 0.4 * torch.rand(count, 3, 1, 1)) % 1  # told apart for sure
    images = torch.where(inside[:, None], colours[0], colours[1])
    return (images + 0.1 * torch.randn(count, 3, side, side) - 0.5) / 0.3, labels


def save(count: int, folder: Path, side: int = 32) -> None:
    """As .png, whose 256 levels a colour are all that is lost."""
    images, labels = drawn(count, side)
    pixels = (255 * (0.3 * images + 0.5)).clamp(0, 255).round().byte().permute(0, 2, 3, 1)
    for i, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
        place = folder / f"{int(label)} {SHAPES[int(label)]}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.numpy()).save(place / f"{i}.png")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python examples/shapes.py OUT [SIDE]")
    out, side = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) == 3 else 32
    torch.manual_seed(1)
    save(128, out / "usual", side)
    save(1000, out / "asked", side)
