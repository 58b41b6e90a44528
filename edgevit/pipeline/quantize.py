"""quantize(): which blocks of a model stay in fp32 so that 8 bits cost no more than they may.

    build, export, rewrite ── each block's noise ── few in fp32, by torch ── plan
    plan ── convert, fp32 too ── count in both files ── one more block in fp32, if it takes that

The plan names modules, so that it holds for every target.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import numpy as np

from ..converters.artifact import Artifact
from ..converters.plan import Block, Plan, by_noise, lost
from ..converters.target import check_precision, find, require
from ..page import page as html
from ..pictures import Picture
from ..profiles.report.bars import Bar, bars
from ..profiles.report.html import STYLE
from ..recipe import Recipe
from ..reference import PROGRAM, Arrays
from ..staging import staging, write_text
from ..template import sharing
from .convert import Limits, Outcome, Watch, convert
from .counted import COUNTED, counted_inputs, labels_of
from .prepared import prepare_recipe
from .reuse import refuse_strangers


@dataclass(frozen=True)
class Quantized:
    """blocks, snr_db: see converters/sensitivity.py. file: where the plan is. outcomes: fp32, and
    the plan's. counted: inputs; labelled: with classes.

    lost: of those, in the simulation, with 0, 1, 2, ... blocks in fp32; in_file: in the file. Empty
    and None for a model that names no classes. met: no more than `most`, None where that is None.
    tuned: all are held against fp32 as it was before it was tuned.
    """

    blocks: tuple[Block, ...]
    snr_db: float
    plan: Plan
    file: Path
    outcomes: tuple[Outcome, ...]
    counted: int
    labelled: bool
    lost: tuple[float, ...]
    in_file: float | None
    met: bool | None
    tuned: bool = False

    @property
    def rest(self) -> str:
        """What a block in more bits is in: fp16 where the target's other activations are."""
        job = self.outcomes[-1].job
        return "fp16" if job.recipe.precision in find(job.target).in_half else "fp32"

    @property
    def said(self) -> list[str]:
        """Lines below the table."""
        found = [f"all in 8 bits, simulated: SNR {self.snr_db:.1f} dB"]
        if self.lost:
            found[0] += f"; {self._loss(self.lost[0])}"
        if self.in_file is not None:
            kept = len(self.plan.keep)
            stay = (
                f"{kept} of {len(self.blocks)} blocks in {self.rest}" if kept else "all in 8 bits"
            )
            found.append(f"{stay}, the file: {self._loss(self.in_file)}")
        return found

    def _loss(self, share: float) -> str:
        if self.labelled:
            said = f"{100 * share:.2f} points of accuracy lost on {self.counted} pictures"
            return said + " against fp32 before it was tuned" * self.tuned
        said = f"{100 * share:.1f} % of {self.counted} inputs get another class than in fp32"
        return said + " before it was tuned" * self.tuned


def quantize(
    recipe: Recipe,
    *,
    target: str,
    out: Path,
    pictures: Sequence[Picture] = (),
    most: float | None = None,
    plain: np.ndarray | None = None,
    limits: Limits = Limits(),
    watch: Watch = lambda job, stage: None,
) -> Quantized:
    """Plan, convert, count: on `pictures`, or else on what calibrates.

    most: of what is counted, the share that may lose fp32's class; with labelled pictures, by which
    accuracy may fall. None: all blocks are in 8 bits. plain: what fp32 called the pictures before
    the recipe's weights were tuned, if they were.
    """
    require(target, find(target).needs)
    check_precision(target, recipe.precision)
    refuse_strangers(out, (), force=False)
    recipe = recipe.absolute()
    labels = labels_of(pictures)
    with sharing(), staging(out) as work:
        watch("model", "build, export")
        facts = prepare_recipe(recipe, (), work, limits)
        watch("model", "done")
        rows = counted_inputs(pictures, facts, work, name=recipe.title)
        watch("blocks", f"simulate {recipe.precision}")
        with limits.child(work / "blocks.log") as child:
            found = child.call(
                "edgevit.converters.sensitivity:study",
                target=target,
                program=work / PROGRAM,
                precision=recipe.precision,
                counted=work / COUNTED if pictures else None,
                labels=labels,
                most=most,
                plain=None if plain is None else plain.tolist(),
            )
        watch("blocks", "done")
        blocks = tuple(Block.from_dict(d) for d in found["blocks"])
        noisiest = [b.path for b in by_noise(blocks)]
        most_kept = len(noisiest) - 1  # with one more it is fp32
        kept = min(max(len(found["lost"]) - 1, 0), most_kept)
        before = plain
        while True:
            keep = tuple(noisiest[:kept])
            outcomes = files(replace(recipe, keep=keep), target, out, limits, watch)
            in_file = None
            if found["lost"]:
                watch("count", f"{len(rows)} inputs")
                whole, few = (o.artifact for o in outcomes)
                before = classes(whole, rows) if before is None else before
                in_file = lost(before, classes(few, rows), labels)
                watch("count", "done")
            met = None if most is None or in_file is None else in_file <= most
            if met is not False or kept == most_kept:
                break
            kept += 1
    plan = Plan(recipe.title, recipe.precision, keep)
    file = out / f"{recipe.stem}.plan.json"
    plan.write(file)
    return Quantized(
        blocks,
        found["snr_db"],
        plan,
        file,
        outcomes,
        len(rows),
        labels is not None,
        tuple(found["lost"]),
        in_file,
        met,
        plain is not None,
    )


def files(
    recipe: Recipe, target: str, out: Path, limits: Limits, watch: Watch
) -> tuple[Outcome, ...]:
    """In fp32 and in the recipe's precision."""
    made = convert(
        recipe,
        to=[target],
        precisions=["fp32", recipe.precision],
        out=out,
        limits=limits,
        watch=watch,
    )
    for outcome in made:
        if outcome.error:
            raise outcome.error
    return tuple(made)


def classes(artifact: Artifact | None, rows: Iterable[Arrays]) -> np.ndarray:
    """What the file names each of the rows."""
    assert artifact
    with artifact.open() as session:
        return np.array([np.argmax(session(*row)[0]) for row in rows])


def page(file: Path, found: Quantized) -> None:
    """Noise, ranges and outliers of blocks and layers, as plots."""
    layers = [p for b in found.blocks for p in b.products]

    def drawn(title: str, said: str, unit: str, values: Sequence[tuple[str, float]]) -> str:
        rows = [Bar(n or "the model", v, v, v, f"{v:.1f}{unit}") for n, v in values]
        return f"<h2>{title}</h2>" + bars(rows, title=title, described=said, unit=unit)

    parts = [
        *(f"<p>{escape(line)}</p>" for line in found.said),
        drawn(
            "Blocks",
            "signal to noise of the answers with one block in 8 bits",
            " dB",
            [(b.path, b.snr_db) for b in found.blocks],
        ),
        drawn(
            "Layers, all in 8 bits",
            "signal to noise of what each layer writes with all layers in 8 bits",
            " dB",
            [(p.path, p.here_db) for p in layers],
        ),
        drawn(
            "Layers, each alone",
            "signal to noise of what each layer writes with it alone in 8 bits",
            " dB",
            [(p.path, p.own_db) for p in layers],
        ),
        drawn(
            "Outliers",
            "the largest channel of what a layer reads over the median one",
            "×",
            [(p.path, p.outlier) for p in layers],
        ),
    ]
    write_text(file, html(f"{found.plan.model}, {found.plan.precision}", parts, style=STYLE))
