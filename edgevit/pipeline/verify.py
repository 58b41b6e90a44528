"""verify(): artifacts against the float64 model that their cards name, built again."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..converters.artifact import Artifact
from ..converters.card import Card
from ..converters.target import find
from ..converters.verify import NOT_EXECUTED, REJECTED, Agreement, agreement
from ..errors import ArtifactError, Disagreement, EdgevitError
from ..recipe import Recipe
from ..reference import Reference
from .prepared import REFERENCE, Limits, prepare_live, prepare_recipe


@dataclass(frozen=True)
class Verdict:
    """An artifact's agreement, or the error that kept it from being known."""

    path: Path
    artifact: Artifact | None = None
    agreement: Agreement | None = None
    error: EdgevitError | None = None


def verify(
    paths: Sequence[Path | str],
    *,
    limits: Limits = Limits(),
    model: tuple[Any, Sequence[Any]] | None = None,
    watch: Callable[[Path, str], None] = lambda path, stage: None,
) -> list[Verdict]:
    """Run each file in its own runtime on the sixteen inputs; an artifact's error stays its own.

    model: the module and example inputs of artifacts that were converted from a live module.
    """
    references: dict[tuple[Recipe, str], tuple[Reference, str]] = {}
    with tempfile.TemporaryDirectory(prefix="edgevit-") as scratch:

        def reference(card: Card) -> Reference:
            """The reference for this card's model, made once for all artifacts of that model."""
            recipe = replace(Recipe.from_dict(card.recipe), precision="fp32", ios=17)
            key = (recipe, card.precision)
            if key not in references:
                folder = Path(tempfile.mkdtemp(dir=scratch))
                if model is not None:
                    facts = prepare_live(model, recipe, [card.precision], folder, program=False)
                elif card.key is None:
                    raise ArtifactError(
                        "the card names a module given from Python, which the command cannot "
                        "build; call edgevit.verify(paths, model=(module, inputs))"
                    )
                else:
                    facts = prepare_recipe(recipe, [card.precision], folder, limits, program=False)
                loaded = Reference.load(folder / REFERENCE)
                references[key] = (loaded, facts["weights_sha256"])
            found, weights_sha256 = references[key]
            if weights_sha256 != card.weights_sha256:
                raise ArtifactError(
                    "the model built from the card has other weights than the one converted; "
                    f"were {card.recipe['weights'] or 'its code'} or the libraries changed?"
                )
            return found

        def judge(path: Path) -> Verdict:
            artifact = None
            try:
                artifact = Artifact.read(path)
                assert artifact.card is not None  # `read` demands one
                card = artifact.card
                if not find(artifact.target).runs_here:
                    return Verdict(path, artifact, Agreement(NOT_EXECUTED))
                watch(path, "build the float64 model")
                held = reference(card)
                watch(path, "run")
                with artifact.open(**asdict(limits)) as session:
                    answers = [session(*row) for row in held.inputs]
                names = [port["name"] for port in card.model["outputs"]]
                agreed = agreement(held, answers, precision=card.precision, names=names)
                error = Disagreement(f"{path}: {agreed}") if agreed.status == REJECTED else None
                return Verdict(path, artifact, agreed, error)
            except EdgevitError as e:
                said = str(e) if str(path) in str(e) else f"{path}: {e}"
                return Verdict(path, artifact, error=type(e)(said))
            finally:
                watch(path, "done")

        return [judge(Path(path)) for path in paths]
