"""A net that 8 bits cost much, and pictures: what `edgevit quantize --epochs` is shown on.

    python examples/merging.py OUT
    python benchmarks/recovery.py OUT

takes the small ViT that the first has taught to read digits, and makes one channel in the middle of
each block wide, as large transformers have them: what goes in is multiplied, what comes out divided
by as much, with GELU between. The net reads as well as before, but in 8 bits the other channels
share what steps the wide one leaves. Writes OUT/wide.safetensors, and the digits as .png into
OUT/pictures, in a folder for each class.
"""

import sys
from pathlib import Path

import click
import numpy as np
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_digits

from edgevit import weights

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))
from merging import small_vit

WIDE = 200


@click.command()
@click.argument("out", type=click.Path(path_type=Path, exists=True))
def main(out: Path) -> None:
    net = small_vit()
    weights.load_into(net, out / "digits.safetensors")
    for i, block in enumerate(net.blocks):
        block.mlp.fc1.weight.data[i] *= WIDE
        block.mlp.fc1.bias.data[i] *= WIDE
        block.mlp.fc2.weight.data[:, i] /= WIDE
    save_file(net.state_dict(), out / "wide.safetensors")
    data = load_digits()
    for i, (image, label) in enumerate(zip(data.images, data.target, strict=True)):
        place = out / "pictures" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 255 / 16).round().astype(np.uint8)).save(place / f"{i:04}.png")


if __name__ == "__main__":
    main()
