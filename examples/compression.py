"""What fewer bits cost and save in Core ML, on real images: accuracy against size.

    python examples/compression.py OUT

trains the small EfficientMod of digits.py (once), writes it in each precision, w8a8 with ranges
over the digits it was trained on, lets each file read the 450 held-out digits, and draws accuracy
over size in OUT/compression.html. The files are evaluated from the saved programs where there is no
Mac.
"""

import sys
from pathlib import Path

import numpy as np
from digits import digits, evaluate, train, wilson_pct
from rich.console import Console
from rich.table import Table

from edgevit import Recipe, convert
from edgevit.converters.coreml import CoreML
from edgevit.page import page
from edgevit.profiles.report.html import STYLE
from edgevit.profiles.report.scatter import Point, scatter
from edgevit.staging import write_text

MODEL = Path(__file__).resolve().with_name("digits.py")


def main(out: Path) -> int:
    weights = out / "digits.safetensors"
    if not weights.exists():
        train(weights)
    training, held_out = digits()
    count, usual = len(held_out.labels), out / "usual.npy"
    np.save(usual, training.images)
    recipe = Recipe(
        f"{MODEL}:digits_efficientmod", weights=str(weights), ios=18, calibrate=str(usual)
    )
    table = Table("", "MB", "accuracy", "95 % interval", "SNR dB", box=None)
    points = []
    failed = False
    for outcome in convert(recipe, to=["coreml"], precisions=[*CoreML.executes], out=out / "files"):
        name = outcome.job.recipe.precision
        if outcome.artifact is None or outcome.artifact.card is None:
            table.add_row(name, "", str(outcome.error))
            failed = True
            continue
        card = outcome.artifact.card
        right = evaluate(outcome.artifact, held_out.images, held_out.labels)
        low, high = wilson_pct(right, count)
        share, megabytes = 100 * right / count, card.artifact["bytes"] / 1e6
        worst = card.agreement.worst
        table.add_row(
            name,
            f"{megabytes:.2f}",
            f"{share:.2f} %",
            f"{low:.2f} to {high:.2f} %",
            f"{worst.snr_db:.0f}" if worst and worst.snr_db else "–",
        )
        points.append(Point(name, megabytes, share, low, high))
    Console().print(table)
    if points:
        title = "Accuracy over size"
        plot = scatter(points, title=title, x="MB", y="digits read rightly, %")
        write_text(out / "compression.html", page(title, [plot], style=STYLE))
        Console().print(f"page: {out / 'compression.html'}")
    return int(failed)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/compression.py OUT")
    sys.exit(main(Path(sys.argv[1])))
