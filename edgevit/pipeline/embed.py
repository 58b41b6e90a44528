"""An artifact with what an app needs around it: sources that run it, and a test on a picture.

artifact + card ── checks ── golden picture, scored here ── sources of the platform ── DIR

A platform is a file: embed_android.py copies the sources of edgevit's own app, embed_ios.py those
of edgevit/swift.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ..converters.artifact import ASIDE, Artifact
from ..converters.card import Card, card_of
from ..converters.verify import AGREES, REJECTED
from ..errors import ArtifactError, InputError, OutputError
from ..preprocess import Preprocess
from ..staging import explained, publish, staging
from .golden import Golden, golden
from .scores import check_names

PHOTOGRAPH = Path(__file__).parent.parent / "photographs" / "temple.jpg"


class Platform(Protocol):
    """name: in sentences. targets: what it runs. package: of the sources unless one is given."""

    name: str
    targets: Sequence[str]
    package: str

    def check(self, package: str) -> None:
        """InputError for a package that its language does not allow."""

    def places(self, package: str) -> tuple[str, str]:
        """Folders of the artifact and of the golden picture, in the folder to be written."""

    def sources(self, card: Card, artifact: str, package: str) -> Mapping[str, str]:
        """Text files by their places, README.md among them."""


@dataclass(frozen=True)
class Embedded:
    """files: all that was written, by their places in `folder`."""

    folder: Path
    package: str
    files: list[str]
    golden: Golden


def embed(
    artifact: Path,
    folder: Path,
    platform: Platform,
    *,
    image: Path | None = None,
    labels: list[str] | None = None,
    package: str | None = None,
) -> Embedded:
    """Write `folder`, whole or not at all.

    image: of the test; by default a photograph of a temple. labels: in place of the card's.
    """
    package = package or platform.package
    platform.check(package)
    opened, card = _read(artifact, platform)
    prepare = _pictures(opened.path, card)
    names = labels or card.labels or []
    check_names(names, card.model["outputs"][0]["shape"][1])
    _refuse_occupied(folder)
    place = folder.resolve()
    with staging(place.parent) as work, explained(place):
        made = work / "made"
        held, tested = (made / name for name in platform.places(package))
        held.mkdir(parents=True)
        tested.mkdir(parents=True)
        found = golden(opened, prepare, image or PHOTOGRAPH, names, folder=tested)
        kept = replace(without_paths(card), labels=names or None)
        copy = held / artifact.name
        (shutil.copytree if artifact.is_dir() else shutil.copyfile)(artifact, copy)
        kept.write(card_of(copy))
        for name, text in platform.sources(kept, artifact.name, package).items():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_text(text, encoding="utf-8")
        files = sorted(str(f.relative_to(made)) for f in made.rglob("*") if f.is_file())
        publish(made, place)
    return Embedded(folder, package, files, found)


def without_paths(card: Card) -> Card:
    """The card with the names of files in place of their paths, which are nothing for an app."""
    recipe = {
        key: Path(value).name
        for key, value in card.recipe.items()
        if key in ("weights", "calibrate", "costs") and value
    }
    if ".py:" in card.recipe["model"]:
        recipe["model"] = Path(card.recipe["model"]).name
    sources = {Path(name).name: sha256 for name, sha256 in card.sources.items()}
    return replace(card, recipe=card.recipe | recipe, sources=sources)


def _read(artifact: Path, platform: Platform) -> tuple[Artifact, Card]:
    """The artifact, if it is one that this platform runs and that computes its model."""
    opened = Artifact.read(artifact, rejected=True)
    card = opened.card
    assert card is not None  # `read` demands one
    if opened.target not in platform.targets:
        *others, last = platform.targets
        wanted = f"{', '.join(others)} or {last}" if others else last
        raise InputError(
            f"{artifact} is for {opened.target}, which edgevit has no sources for on "
            f"{platform.name}; convert the model --to {wanted} and embed that"
        )
    if artifact.suffix == ASIDE or card.agreement.status == REJECTED:
        raise ArtifactError(
            f"{artifact} computes something else than its model, so no app should have it; "
            "`edgevit verify --locate` finds the module at fault"
        )
    if card.agreement.status != AGREES or not card.agreement.outputs:
        raise ArtifactError(
            f"{artifact} was never held against its model, so there is no tolerance to test an "
            "app by; convert it again, with its verification"
        )
    return opened, card


def _pictures(artifact: Path, card: Card) -> Preprocess:
    """How the card prepares a picture, if the artifact takes one and scores classes."""
    if card.preprocess is None:
        raise InputError(
            f"{artifact} says nothing of pictures: its card has no preprocessing, so there is "
            "nothing to prepare them by in an app"
        )
    prepare = Preprocess.from_dict(card.preprocess)
    inputs, outputs = card.model["inputs"], card.model["outputs"]
    wanted = [1, len(prepare.channels), prepare.height, prepare.width]
    if len(inputs) != 1 or inputs[0]["shape"] != wanted or inputs[0]["dtype"] != "float32":
        said = ", ".join(f"{port['dtype']} {port['shape']}" for port in inputs)
        raise InputError(f"{artifact} takes {said}, not one picture as float32 {wanted}")
    shape = outputs[0]["shape"]
    if len(shape) != 2 or shape[0] != 1 or shape[1] < 2:
        raise InputError(
            f"{artifact} computes {shape} first, which are no scores of classes [1, N]; only "
            "classifiers are embedded"
        )
    return prepare


def _refuse_occupied(folder: Path) -> None:
    """OutputError for a place that holds something: what is not ours is never replaced."""
    if folder.is_dir():
        if folder.resolve() == Path.cwd():
            raise OutputError("the folder to write is the one you are in; name one that is not")
        if not any(folder.iterdir()):
            return
        raise OutputError(f"{folder} holds other files; name a new folder, or remove it first")
    if os.path.lexists(folder):
        raise OutputError(f"{folder} is in the way and no folder; name a new one")
