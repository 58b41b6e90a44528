"""recover(): weights trained to stand 8 bits, and what that wins back, counted in the files.

    build ── fp32 and 8 bits, counted ── train in 8 bits, by fp32's answers ── 8 bits, counted

Every fifth picture is held out and only counted on. In this process, since training may take hours.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import calibration
from ..checkpoint import metadata
from ..models.model import Model
from ..pictures import Picture
from ..prepare import built
from ..recipe import Recipe
from ..template import sharing
from ..transforms.fake_quantize import FakeQuantized
from ..transforms.finetune import finetune, write
from .convert import Limits, Watch
from .lessons import BATCH, Lessons, fits
from .quantize import classes, files


@dataclass(frozen=True)
class Recovered:
    """The classes of the pictures held out: plain in fp32, before in 8 bits, after tuned for them.

    recipe: that with the tuned weights. after: None where nothing was lost. truth: where known.
    """

    recipe: Recipe
    epochs: int
    held_out: tuple[Picture, ...]
    plain: np.ndarray
    before: np.ndarray
    after: np.ndarray | None
    truth: np.ndarray | None

    @property
    def gains(self) -> bool:
        """More are right, or where nobody knows, as in fp32, than before."""
        won, lost = self._changed
        return won > lost

    @property
    def said(self) -> list[str]:
        n = len(self.held_out)
        if self.after is None:
            return [f"all {n} pictures held out get fp32's class in 8 bits: nothing to tune for"]
        steps = {"in 8 bits": self.before, f"tuned for {self.epochs} epochs": self.after}
        found = [f"{n} pictures held out, fp32's class: {_shares(steps, self.plain)}"]
        if self.truth is not None:
            steps = {"in fp32": self.plain} | steps
            found.append(f"the right class: {_shares(steps, self.truth)}")
        won, lost = self._changed
        gain = "" if self.gains else ", which is no gain: all below is of the weights before that"
        return [*found, f"{won} won back, {lost} lost{gain}; tuned weights: {self.recipe.weights}"]

    @property
    def _changed(self) -> tuple[int, int]:
        if self.after is None:
            return 0, 0
        aim = self.plain if self.truth is None else self.truth
        before, after = self.before == aim, self.after == aim
        return int((after & ~before).sum()), int((before & ~after).sum())

    def as_dict(self) -> dict[str, Any]:
        won, lost = self._changed
        return {
            "epochs": self.epochs,
            "held_out": len(self.held_out),
            "won_back": won,
            "lost": lost,
            "gains": self.gains,
            "weights": self.recipe.weights if self.gains else None,
            "said": self.said,
        }


def recover(
    recipe: Recipe,
    pictures: Sequence[Picture],
    *,
    target: str,
    out: Path,
    epochs: int,
    rate: float,
    limits: Limits = Limits(),
    watch: Watch = lambda job, stage: None,
) -> Recovered:
    """Fine-tune for 8 bits; the weights are then in `out`, and the files of the better ones."""
    recipe = recipe.absolute()
    model = built(recipe)
    lessons = Lessons.of(model, pictures)
    fits(model, lessons.truth)
    shown = [(row.numpy()[None],) for row in lessons.load(lessons.held_out)]

    def counted(recipe: Recipe) -> list[np.ndarray]:
        made = files(recipe, target, out, limits, watch)
        return [classes(o.artifact, shown) for o in made]

    with sharing():
        plain, before = counted(recipe)
        after = None
        if (plain != before).any():
            weights = out / f"{recipe.stem}-tuned.safetensors"
            _tune(recipe, model, lessons, weights, epochs, rate, watch)
            recipe = replace(recipe, weights=str(weights), pretrained=False)
            _, after = counted(recipe)
    return Recovered(recipe, epochs, lessons.held_out, plain, before, after, lessons.truth)


def _tune(
    recipe: Recipe,
    model: Model,
    lessons: Lessons,
    weights: Path,
    epochs: int,
    rate: float,
    watch: Watch,
) -> None:
    """Write `weights`. Everything is as in use: norms keep their statistics, nothing drops out."""
    student = FakeQuantized(copy.deepcopy(model.module), recipe.precision)
    examples = [t.numpy() for t in model.inputs]
    assert recipe.calibrate
    usual = calibration.rows_of(
        recipe.calibrate, examples, model.preprocess, samples=recipe.samples
    )
    seen = torch.from_numpy(np.concatenate([row for (row,) in usual])).split(BATCH)

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        student.eval().watch(seen)
        return lessons.batches(epoch)

    def before_step(done: float) -> None:
        student.eval()

    kept = weights.with_suffix(".checkpoint.safetensors")
    finetune(
        student,
        batches,
        steps=lessons.steps,
        epochs=epochs,
        rate=rate,
        teacher=model.module,
        checkpoint=kept,
        before_step=before_step,
        told=lambda epoch, loss: watch("tune", f"epoch {epoch} of {epochs}, loss {loss:.3g}"),
    )
    watch("tune", "done")
    before = Path(recipe.weights) if recipe.weights else None
    said = f"{epochs} epochs for {recipe.precision}, on {len(lessons.others)} pictures"
    write(weights, student.net.state_dict(), (metadata(before) if before else {}) | {"tuned": said})
    kept.unlink(missing_ok=True)


def _shares(steps: dict[str, np.ndarray], aim: np.ndarray) -> str:
    return ", ".join(f"{100 * float((a == aim).mean()):.1f} % {when}" for when, a in steps.items())
