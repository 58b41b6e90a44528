"""Do the converted files still read handwriting? Real accuracy on real images, in two minutes.

    python examples/digits.py OUT

trains a small EfficientMod on scikit-learn's 1797 handwritten digits (8×8 pixels, enlarged to
32×32), converts it to four runtimes, and lets PyTorch and each file read the same held-out quarter
of the digits, one a call. Ends with exit code 1 when a file reads notably better or worse than
PyTorch. The conversion alone, from a shell:

    edgevit convert examples/digits.py:digits_efficientmod --weights OUT/digits.safetensors \
        --to executorch
"""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from edgevit.converters.artifact import Artifact
from edgevit.errors import EdgevitError
from edgevit.models.efficientmod import EfficientMod, ModulationBlock, Shape
from edgevit.pipeline.convert import convert
from edgevit.preprocess import Preprocess
from edgevit.recipe import Recipe
from edgevit.weights import load_into

TARGETS = ("executorch", "tflite", "coreml", "onnx")
ALLOWED_PCT = 0.3  # points of accuracy between PyTorch and a file: one digit of the 450


class DigitReader(EfficientMod):
    """edgevit reads `preprocess` from a module and writes it on the cards of its files."""

    preprocess = Preprocess(
        32, 32, crop_fraction=1.0, interpolation="bilinear", mean=(0.305,) * 3, std=(0.34,) * 3
    )


def digits_efficientmod() -> DigitReader:
    """Feature maps of 8×8, 4×4, 2×2 and 1×1; one attention block over the four positions."""
    shape = Shape((24, 48, 96, 128), modulations=(2, 2, 2, 1), attentions=(0, 0, 1, 0))
    model = DigitReader(shape, classes=10)
    for block in model.modules():
        if isinstance(block, ModulationBlock):  # a minute is too short to grow from the usual 1e-4
            nn.init.constant_(block.gamma_1, 0.5)
    return model


@dataclass(frozen=True)
class Split:
    """images: [n, 3, 32, 32], as the model takes them. labels: [n]. rows: where in the data set."""

    images: np.ndarray
    labels: np.ndarray
    rows: np.ndarray


def digits() -> tuple[Split, Split]:
    """Three quarters to train on and the quarter held out, both with the classes' own shares."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    pictures = (Image.fromarray((a * 255 / 16).round().astype(np.uint8)) for a in data.images)
    images = np.concatenate([DigitReader.preprocess.apply(p) for p in pictures])
    rows = train_test_split(
        np.arange(len(images)), test_size=0.25, stratify=data.target, random_state=0
    )
    training, held_out = (Split(images[r], data.target[r], r) for r in rows)
    return training, held_out


def train(file: Path, *, epochs: int = 40, batch: int = 64) -> None:
    """Train from scratch, always with the same random numbers, and write the weights to `file`."""
    split, _ = digits()
    images, labels = torch.from_numpy(split.images), torch.from_numpy(split.labels)
    torch.manual_seed(0)
    model = digits_efficientmod().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    steps = epochs * math.ceil(len(images) / batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps, pct_start=0.1)
    for _ in track(range(epochs), "training", console=Console(stderr=True)):
        for chosen in torch.split(torch.randperm(len(images)), batch):
            scores = model(shifted(images[chosen]))
            loss = F.cross_entropy(scores, labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), file)


def shifted(images: Tensor) -> Tensor:
    """Each image moved by up to a sixteenth of its side (two pixels) in both directions."""
    theta = torch.eye(2, 3).repeat(len(images), 1, 1)
    theta[:, :, 2] = (torch.rand(len(images), 2) * 2 - 1) / 8
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def rights(artifact: Artifact, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of each image whether the file, in its own runtime and one a call, gives its label."""
    with artifact.open() as session:
        answers = [int(session(image[None])[0].argmax()) for image in images]
    return np.array(answers) == labels


def evaluate(artifact: Artifact, images: np.ndarray, labels: np.ndarray) -> int:
    """How many images the file gives their label."""
    return int(rights(artifact, images, labels).sum())


def wilson_pct(right: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % confidence interval of a share, by Wilson: sound near 100 % too."""
    share, shrink = right / count, 1 + z * z / count
    middle = (share + z * z / (2 * count)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    return 100 * (middle - half), 100 * (middle + half)


@dataclass(frozen=True)
class Row:
    """right: digits read rightly, None where nothing ran. unlike: answers that are not PyTorch's.

    note: what there is to say about it; a row that failed says why.
    """

    name: str
    right: int | None
    unlike: int | None
    note: str = ""
    failed: bool = False


def compare(weights: Path, out: Path, *, to: Sequence[str] = TARGETS) -> Iterator[Row]:
    """What PyTorch, and then each target's file in `out`, makes of the held-out digits."""
    _, held_out = digits()
    images, labels = held_out.images, held_out.labels
    model = digits_efficientmod().eval()
    load_into(model, weights)
    with torch.no_grad():
        eager = torch.cat([model(x[None]) for x in torch.from_numpy(images)]).argmax(1).numpy()
    right = int((eager == labels).sum())
    yield Row("PyTorch", right, 0)
    recipe = Recipe(f"{Path(__file__).resolve()}:digits_efficientmod", weights=str(weights))
    for outcome in convert(recipe, to=to, out=out, labels=list("0123456789")):
        name = outcome.job.target
        if outcome.artifact is None:
            yield Row(name, None, None, str(outcome.error), failed=True)
            continue
        try:
            mine = evaluate(outcome.artifact, images, labels)
            unlike = len(images) - evaluate(outcome.artifact, images, eager)
        except EdgevitError as e:
            yield Row(name, None, None, str(e), failed=True)
        else:
            points = 100 * (mine - right) / len(images)
            note = f"its accuracy is off by {points:+.2f} points"
            yield Row(name, mine, unlike, note, failed=abs(points) > ALLOWED_PCT)


def show(rows: Sequence[Row], count: int) -> None:
    table = Table("", "accuracy", "95 % interval", "unlike PyTorch")
    for row in rows:
        cells = ["FAILED", "", ""]
        if row.right is not None:
            low, high = wilson_pct(row.right, count)
            cells = [
                f"{100 * row.right / count:.2f} %",
                f"{low:.2f} to {high:.2f} %",
                f"{row.unlike} of {count}",
            ]
        table.add_row(row.name, *cells)
    console = Console()
    console.print(table)
    for row in rows:
        if row.failed:
            console.print(f"{row.name}: {row.note}", markup=False, highlight=False)


def main(out: Path) -> int:
    torch.set_num_threads(1)  # maps this small gain nothing from more, and sums stay the same
    weights = out / "digits.safetensors"
    if not weights.exists():
        train(weights)
    rows = list(compare(weights, out / "artifacts"))
    _, held_out = digits()
    show(rows, len(held_out.labels))
    return int(any(row.failed for row in rows))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/digits.py OUT")
    sys.exit(main(Path(sys.argv[1])))
