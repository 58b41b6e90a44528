"""In which module an artifact that was rejected goes wrong, found by lowering it in pieces."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..converters.artifact import Session
from ..converters.card import Card
from ..converters.locate import Location, Step, bisect
from ..converters.target import find
from ..converters.verify import Agreement, agreement
from ..errors import EdgevitError, InputError
from ..reference import PROGRAM, REFERENCE, Reference
from ..sandbox import Child
from .prepared import Limits


def locate_in(
    card: Card,
    prepared: Path,
    facts: dict[str, Any],
    *,
    limits: Limits,
    watch: Callable[[str], None],
) -> Location:
    """Cut the model that was prepared in a folder, and lower the pieces as the card says.

    A piece is cut and lowered in a child of its own and run in another. One that the converter
    refuses tells nothing, and the cut goes elsewhere; only the whole must be lowered.
    """
    if card.recipe.get("keep"):
        raise InputError("the pieces of a file that a plan was for are none; convert without it")
    if card.precision == "w8a8":
        raise InputError("the pieces of a w8a8 file have no ranges of their own; convert to dyn8")
    program, reference = prepared / PROGRAM, prepared / REFERENCE
    with limits.child(prepared / "steps.log") as child:
        found = child.call("edgevit.converters.pieces:steps_of", program=program)
    steps = [Step.from_dict(d) for d in found]
    ports = [port["name"] for port in card.model["outputs"]]

    def judge(step: Step) -> Agreement | None:
        with tempfile.TemporaryDirectory(dir=prepared) as scratch:
            folder = Path(scratch)
            if step == steps[-1]:
                with limits.child(folder / "log") as child:
                    return _judged(card, program, reference, ports, child, folder, limits)
            try:
                with limits.child(folder / "log") as child:
                    piece, held = folder / PROGRAM, folder / REFERENCE
                    outputs = child.call(
                        "edgevit.converters.pieces:write",
                        program=program,
                        step=asdict(step),
                        piece_file=piece,
                        reference_file=held,
                        preprocess=facts["preprocess"],
                        precision=card.precision,
                    )
                    if outputs is None:
                        return None
                    return _judged(card, piece, held, outputs, child, folder, limits)
            except EdgevitError:
                return None

    return bisect(steps, judge, watch)


def _judged(
    card: Card,
    program: Path,
    reference: Path,
    outputs: list[str],
    child: Child,
    folder: Path,
    limits: Limits,
) -> Agreement:
    """Lower a saved program as the card's artifact was, run it, and hold it to its reference."""
    alone = card.rewrites and card.rewrites["left_alone"]
    made = folder / ("piece" + find(card.target).suffix)
    child.call(
        "edgevit.converters.lowering:lower",
        target=card.target,
        program=program,
        file=made,
        precision=card.precision,
        ios=card.recipe["ios"],
        rewrites=[] if alone else card.recipe["rewrites"],
        costs=card.recipe["costs"],
    )
    held = Reference.load(reference)
    with Session(made, card.target, threads=1, **asdict(limits)) as session:
        answers = [session(*row) for row in held.inputs]
    return agreement(held, answers, precision=card.precision, names=outputs)
