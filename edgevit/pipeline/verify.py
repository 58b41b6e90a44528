"""verify() and locate(): artifacts against the float64 model of their cards, built again."""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ..converters.artifact import Artifact
from ..converters.card import Card
from ..converters.locate import Location
from ..converters.target import check_host
from ..converters.verify import REJECTED, Agreement, agreement
from ..errors import ArtifactError, Disagreement, EdgevitError, InputError
from ..profiles.devices.device import connect
from ..recipe import Recipe
from ..reference import Reference, reference_of
from .locate import locate_in
from .prepared import Limits, prepare_live, prepare_recipe
from .profile import item_of
from .refused import explained_refusal


@dataclass(frozen=True)
class Verdict:
    """An artifact's agreement, or the error that kept it from being known.

    location: where a rejected one goes wrong, when that was asked for. evaluated: by our evaluator,
    beside the target's own runtime.
    """

    path: Path
    artifact: Artifact | None = None
    agreement: Agreement | None = None
    error: EdgevitError | None = None
    location: Location | None = None
    evaluated: bool = False


def verify(
    paths: Sequence[Path | str],
    *,
    locate: bool = False,
    both: bool = False,
    on: str = "host",
    limits: Limits = Limits(),
    model: tuple[Any, Sequence[Any]] | None = None,
    watch: Callable[[Path, str], None] = lambda path, stage: None,
) -> list[Verdict]:
    """Run each file in its own runtime on the sixteen inputs; an artifact's error stays its own.

    locate: lower what is rejected again, piece by piece, to find the module that is wrong.
    both: a second verdict, by our evaluator, for each Core ML package; on a Mac only.
    on: the device whose runtime computes, see `profiles.devices.device`. model: the module and
    example inputs of artifacts that were converted from a live module.
    """
    if on != "host" and both:
        raise InputError("the evaluator runs here, not on a device: leave --both or --device out")
    references: dict[tuple[Recipe, str], tuple[Reference, Path, dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory(prefix="edgevit-") as scratch, closing(connect(on)) as device:

        def prepared(card: Card) -> tuple[Reference, Path, dict[str, Any]]:
            """This card's reference, folder and facts, made once for all artifacts of a model."""
            recipe = replace(
                Recipe.from_dict(card.recipe), precision="fp32", ios=17, rewrites=None, costs=None
            )
            key = (recipe, card.precision)
            if key not in references:
                folder, precisions = Path(tempfile.mkdtemp(dir=scratch)), [card.precision]
                if model is not None:
                    facts = prepare_live(model, recipe, precisions, folder, program=locate)
                elif card.key is None:
                    raise ArtifactError(
                        "the card names a module given from Python, which the command cannot "
                        "build; call edgevit.verify(paths, model=(module, inputs))"
                    )
                else:
                    facts = prepare_recipe(recipe, precisions, folder, limits, program=locate)
                held = Reference.load(folder / reference_of(card.precision))
                references[key] = (held, folder, facts)
            found = references[key]
            if found[2]["weights_sha256"] != card.weights_sha256:
                raise ArtifactError(
                    "the model built from the card has other weights than the one converted; "
                    f"were {card.recipe['weights'] or 'its code'} or the libraries changed?"
                )
            if found[2].get("calibration_sha256") != card.model.get("calibration_sha256"):
                raise ArtifactError(
                    f"{card.recipe['calibrate']} holds other inputs than those the file was "
                    "calibrated on, which are what it is to be held against; convert again"
                )
            return found

        def judge(path: Path, by: Literal["load", "evaluate"] = "load") -> Verdict:
            artifact = None
            try:
                artifact = Artifact.read(path, rejected=True)
                assert artifact.card is not None  # `read` demands one
                card = artifact.card
                watch(path, "build the float64 model")
                held, folder, facts = prepared(card)
                watch(path, "run")
                with (
                    explained_refusal(path, artifact.target, limits),
                    artifact.open(**asdict(limits), by=by)
                    if on == "host"
                    else device.open(
                        item_of(artifact), threads=1, timeout_s=limits.timeout_s
                    ) as session,
                ):
                    # A phone's app takes all at once, or it would start sixteen times.
                    together = getattr(session, "together", None)
                    rows = held.inputs
                    answers = together(rows) if together else [session(*row) for row in rows]
                names = [port["name"] for port in card.model["outputs"]]
                agreed = agreement(held, answers, precision=card.precision, names=names)
                if agreed.status != REJECTED:
                    return Verdict(path, artifact, agreed)
                error = Disagreement(f"{path}: {agreed}")
                if not locate or by == "evaluate":
                    return Verdict(path, artifact, agreed, error)
                told = partial(watch, path)
                try:
                    where = locate_in(card, folder, facts, limits=limits, watch=told)
                except EdgevitError as e:
                    error = Disagreement(f"{error}; where, cannot be told: {e}")
                    return Verdict(path, artifact, agreed, error)
                error = Disagreement(f"{error}; {where}")
                return Verdict(path, artifact, agreed, error, where)
            except EdgevitError as e:
                said = str(e) if str(path) in str(e) else f"{path}: {e}"
                return Verdict(path, artifact, error=type(e)(said))
            finally:
                watch(path, "done")

        evaluated = check_host("coreml").suffix if both else ""
        verdicts = []
        for path in map(Path, paths):
            verdicts.append(judge(path))
            if both and path.suffix == evaluated:
                verdicts.append(replace(judge(path, "evaluate"), evaluated=True))
        return verdicts


def locate(
    path: Path | str,
    *,
    limits: Limits = Limits(),
    model: tuple[Any, Sequence[Any]] | None = None,
    watch: Callable[[Path, str], None] = lambda path, stage: None,
) -> Location | None:
    """The module in which an artifact first goes wrong, found by lowering the model in pieces.

    path: also of one that `convert` kept aside as .rejected. model: see `verify`. None where it
    agrees; raises the error that keeps the place from being known.
    """
    (verdict,) = verify([path], locate=True, limits=limits, model=model, watch=watch)
    if verdict.error and not verdict.location:
        raise verdict.error
    return verdict.location
