"""What merging tokens costs a trained network, on real images: accuracy against r, in the files.

    python examples/merging.py OUT

trains a small ViT of 64 patches on scikit-learn's handwritten digits, and one on shapes that are
drawn anew for every step, four hundred thousand of them; converts both to ONNX with r tokens
merging in each of the four blocks; and lets each file read images it has not seen. Then it goes on
training with merging on, as the paper does, and reads them again. r = 6 merges 24 of 64: a third,
and more. It takes a quarter of an hour.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from digits import DigitReader, digits, evaluate, shifted, wilson_pct
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file
from shapes import drawn
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from edgevit import Recipe, convert
from edgevit.page import page
from edgevit.preprocess import Preprocess
from edgevit.profiles.report.html import STYLE
from edgevit.profiles.report.scatter import Point, scatter
from edgevit.staging import write_text
from edgevit.template import sharing
from edgevit.transforms.merge import merged

MODEL = Path(__file__).resolve()
COUNTS = (0, 3, 6, 9)
TUNED = 6
BATCH = 64

Batches = Callable[[], Iterator[tuple[Tensor, Tensor]]]  # an endless stream: images and labels


def small_vit() -> VisionTransformer:
    """Of 32 × 32 images: 64 patches and a class token, four blocks."""
    model = VisionTransformer(
        img_size=32, patch_size=4, embed_dim=48, depth=4, num_heads=4, num_classes=10
    )
    model.preprocess = DigitReader.preprocess  # edgevit writes it on the cards of the files
    return model


def shapes_vit() -> VisionTransformer:
    """The same, told how pictures of shapes are prepared."""
    model = small_vit()
    model.preprocess = Preprocess(32, 32, crop_fraction=1.0, mean=(0.5,) * 3, std=(0.3,) * 3)
    return model


def digit_batches() -> Iterator[tuple[Tensor, Tensor]]:
    """Three quarters of the digits, again and again, moved a little."""
    split, _ = digits()
    images, labels = torch.from_numpy(split.images), torch.from_numpy(split.labels)
    while True:
        for chosen in torch.randperm(len(images)).split(BATCH)[:-1]:
            yield shifted(images[chosen]), labels[chosen]


def shape_batches() -> Iterator[tuple[Tensor, Tensor]]:
    """Never the same twice."""
    while True:
        yield drawn(BATCH)


def train(
    model: nn.Module, batches: Iterator[tuple[Tensor, Tensor]], steps: int, rate: float
) -> None:
    """In place."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.1)
    for _, (images, labels) in zip(range(steps), batches, strict=False):
        loss = F.cross_entropy(model.train()(images), labels, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    model.eval()


def tuned(model: VisionTransformer, batches: Batches, steps: int) -> VisionTransformer:
    """The same, trained further with merging on; the form of indices, whose choices pass no
    gradient."""
    merging = merged(model, TUNED, form="indices")
    train(merging, batches(), steps, 5e-4)
    plain = small_vit().eval()
    plain.load_state_dict(
        {k.replace("blocks.0.blocks.", "blocks."): v for k, v in merging.state_dict().items()}
    )
    return plain


def main(out: Path) -> int:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    _, held_out = digits()
    images, labels = drawn(2000)
    sets: dict[str, tuple[Batches, int, np.ndarray, np.ndarray]] = {
        "digits": (digit_batches, 800, held_out.images, held_out.labels),
        "shapes": (shape_batches, 6000, images.numpy(), labels.numpy()),
    }
    table = Table("", "r", "of 64 merge", "accuracy", "95 % interval", "against r = 0", box=None)
    plots = []
    failed = False
    for name, (batches, steps, shown, right) in sets.items():
        model = small_vit()
        train(model, batches(), steps, 2e-3)
        further = tuned(model, batches, steps // 4)
        points, base = [], 0.0
        for kind, net, counts in (("", model, COUNTS), (", tuned", further, (TUNED,))):
            weights = out / f"{name}{kind[2:]}.safetensors"
            out.mkdir(parents=True, exist_ok=True)
            save_file(net.state_dict(), weights)
            for r in counts:
                recipe = Recipe(f"{MODEL}:small_vit", weights=str(weights), tome=r or None)
                with sharing():
                    (outcome,) = convert(recipe, to=["onnx"], out=out / weights.stem)
                if outcome.artifact is None:
                    table.add_row(name + kind, str(r), "", str(outcome.error))
                    failed = True
                    continue
                rightly = evaluate(outcome.artifact, shown, right)
                share = 100 * rightly / len(right)
                low, high = wilson_pct(rightly, len(right))
                base = share if not r else base
                table.add_row(
                    name + kind,
                    str(r),
                    str(4 * r),
                    f"{share:.2f} %",
                    f"{low:.2f} to {high:.2f} %",
                    f"{share - base:+.2f}",
                )
                points.append(Point(f"{name}, r = {r}{kind}", r, share, low, high))
        plots.append(
            scatter(points, title=f"Accuracy on {name}", x="r, tokens merged a block", y="%")
        )
    Console().print(table)
    write_text(out / "merging.html", page("Merging tokens", plots, style=STYLE))
    Console().print(f"page: {out / 'merging.html'}")
    return int(failed)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/merging.py OUT")
    sys.exit(main(Path(sys.argv[1])))
