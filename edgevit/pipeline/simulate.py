"""simulate(): what few bits cost by the methods of papers, by torch; nothing is written."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..lookup import lookup
from ..pictures import Picture
from ..recipe import PAPERS, Recipe
from ..reference import PROGRAM
from ..template import sharing
from .convert import Watch
from .counted import COUNTED, counted_inputs, labels_of
from .prepared import Limits, prepare_recipe


@dataclass(frozen=True)
class Simulated:
    """snr_db: of the answers. kept: the share of inputs with fp32's class. right: accuracy."""

    method: str
    bits: int
    snr_db: float
    kept: float | None
    right: float | None


@dataclass(frozen=True)
class Simulation:
    """right: fp32's accuracy, with labelled pictures. counted: inputs. fused: attentions whose
    softmax is not rounded, as they are causal, drop out, share heads or have a computed mask.
    """

    rows: tuple[Simulated, ...]
    right: float | None
    counted: int
    fused: int


def simulate(
    recipe: Recipe,
    methods: Sequence[str],
    bits: Sequence[int],
    *,
    pictures: Sequence[Picture] = (),
    limits: Limits = Limits(),
    watch: Watch = lambda job, stage: None,
) -> Simulation:
    """Weights and activations in so many bits, by each method; counted on `pictures`, or else on
    what calibrates.
    """
    for name in methods:
        lookup("method", name, PAPERS)
    rows: list[Simulated] = []
    found: dict[str, Any] = {}
    with sharing(), tempfile.TemporaryDirectory(prefix="edgevit-") as scratch:
        folder = Path(scratch)
        watch("model", "build, export")
        facts = prepare_recipe(recipe, (), folder, limits)
        watch("model", "done")
        inputs = counted_inputs(pictures, facts, folder, name=recipe.title)
        with limits.child(folder / "log") as child:
            for method in methods:
                watch(method, f"simulate, {len(inputs)} inputs")
                found = child.call(
                    "edgevit.converters.simulate_papers:study",
                    program=folder / PROGRAM,
                    method=method,
                    bits=list(bits),
                    counted=folder / COUNTED if pictures else None,
                    labels=labels_of(pictures),
                )
                watch(method, "done")
                rows += [Simulated(method, **row) for row in found["rows"]]
    return Simulation(tuple(rows), found["right"], len(inputs), found["fused"])
