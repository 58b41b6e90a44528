"""fold_norms(): a model whose layer norms became batch norms, and what that cost on pictures.

Every fifth picture is held out and only counted on; the others calibrate and, with `epochs`, train,
the model itself being the teacher. In this process, since training may take hours.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..pictures import Picture
from ..prepare import built
from ..recipe import Recipe
from .lessons import Lessons
from .make import Watch

CALIBRATION = 256  # pictures


@dataclass(frozen=True)
class Cost:
    """norms: replaced. right: of the held-out pictures, where the folders say their classes.

    same: of those that get the class that the model itself names. All three: before, calibrated,
    and after `epochs`, where there are any.
    """

    norms: int
    pictures: int
    held_out: int
    epochs: int
    same: tuple[float, ...]
    right: tuple[float, ...] | None

    def __str__(self) -> str:
        shares = self.right or self.same
        when = ("before", "calibrated", f"after {self.epochs} epochs")
        said = ", ".join(f"{100 * s:.1f} % {w}" for s, w in zip(shares, when, strict=False))
        what = "accuracy" if self.right else "same class as the model itself"
        return (
            f"{self.norms} layer norms → batch norms: another function. {what} on {self.held_out} "
            f"pictures held out of {self.pictures}: {said}"
        )


def fold_norms(
    recipe: Recipe,
    pictures: Sequence[Picture],
    *,
    epochs: int,
    rate: float,
    out: Path,
    watch: Watch = lambda job, stage: None,
) -> tuple[Recipe, Cost]:
    """The recipe of the changed model, with its weights in `out`, and what the change cost."""
    from ..transforms import fold_norms as norms
    from ..transforms.finetune import finetune, write

    model = built(recipe)
    net = model.module
    lessons = Lessons.of(model, pictures)
    watch("norms", "calibrate")
    made = norms.foldable(net, keep=True)
    norms.calibrate(made, lessons.load(lessons.others[:CALIBRATION]))
    answers = [lessons.classes(net), lessons.classes(made)]
    name = f"{recipe.title}-batchnorm"
    kept = out / f"{name}.checkpoint.safetensors"
    if epochs:
        finetune(
            made,
            lessons.batches,
            steps=lessons.steps,
            epochs=epochs,
            rate=rate,
            teacher=net,
            checkpoint=kept,
            before_step=lambda done: norms.set_share(made, max(0.0, 1 - 1.5 * done)),
            told=lambda epoch, loss: watch("norms", f"epoch {epoch} of {epochs}, loss {loss:.3g}"),
        )
        answers.append(lessons.classes(made))
    watch("norms", "done")
    norms.drop_layers(made)
    truth = lessons.truth
    cost = Cost(
        norms=len(norms.norms_of(made)),
        pictures=len(pictures),
        held_out=len(lessons.held_out),
        epochs=epochs,
        same=tuple(float((a == answers[0]).mean()) for a in answers),
        right=tuple(float((a == truth).mean()) for a in answers) if lessons.labelled else None,
    )
    weights = out / f"{name}.safetensors"
    write(weights, made.state_dict(), {"norms": str(cost), "cost": json.dumps(asdict(cost))})
    kept.unlink(missing_ok=True)
    return replace(recipe, norms="batch", weights=str(weights), pretrained=False), cost
