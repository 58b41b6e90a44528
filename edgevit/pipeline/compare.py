"""compare(): two runs, cards, artifacts, or folders of them: what differs, and which is faster."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..converters.artifact import Artifact
from ..converters.card import SUFFIX, Card
from ..converters.target import TARGETS, find
from ..errors import InputError
from ..profiles.compare import Ratio, ratio
from ..profiles.report.contents import RUNS
from ..profiles.run import Run

Side = dict[str, tuple[Run | None, Card | None]]  # file name of the artifact → what is known of it
OF_RUN = ("runtime", "runtime_version", "precision", "placement")


@dataclass(frozen=True)
class Compared:
    """One artifact of both sides. speed: of B relative to A, where both were measured.

    differs: what → (A's, B's).
    """

    name: str
    a: Run | None
    b: Run | None
    speed: Ratio | None
    differs: Mapping[str, tuple[str, str]]


def compare(a: Path, b: Path) -> list[Compared]:
    """Each artifact that is on both sides, by its file name; of one each, those two.

    InputError where there is none, where a side is nothing to compare, and, naming the keys, where
    two runs were taken on unlike machines or with other threads.
    """
    sides = _side(a), _side(b)
    names = [(name, name) for name in sides[0] if name in sides[1]]
    if not names and len(sides[0]) == len(sides[1]) == 1:
        names = list(zip(*sides, strict=True))
    if not names:
        held = " and ".join(
            f"{path} holds {', '.join(side)}" for path, side in zip((a, b), sides, strict=True)
        )
        raise InputError(f"nothing to compare: {held}; give runs or files of the same names")
    found = []
    for mine, its in names:
        (run_a, card_a), (run_b, card_b) = sides[0][mine], sides[1][its]
        known = [_known(run_a, card_a), _known(run_b, card_b)]
        both = [key for key in known[0] if key in known[1]]
        differs = {k: (known[0][k], known[1][k]) for k in both if known[0][k] != known[1][k]}
        speed = ratio(run_a, run_b) if run_a and run_b else None
        found.append(Compared(mine, run_a, run_b, speed, differs))
    return found


def _side(path: Path) -> Side:
    if path.suffix == SUFFIX and path.is_file():
        return _of_json(path)
    suffixes = {find(name).suffix for name in TARGETS}
    if path.suffix in suffixes:
        artifact = Artifact.read(path, card_required=False)
        return {path.name: (_run_of(path, artifact.card), artifact.card)}
    if not path.is_dir():
        raise InputError(f"{path} is no run, card, artifact or folder of such")
    side: Side = {}
    for file in sorted(path.glob(f"*{SUFFIX}")):
        side |= _of_json(file)
    for name, (run, card) in side.items():
        side[name] = (run or _run_of(path / name, card), card)
    for file in sorted((path / RUNS).glob(f"*{SUFFIX}")):
        run = Run.load(file)
        side.setdefault(run.context.artifact, (run, None))
    if not side:
        raise InputError(f"{path} holds no run and no card; give a folder of `edgevit` files")
    return side


def _of_json(file: Path) -> Side:
    """A run, or a card."""
    try:
        is_run = "rounds_s" in json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError) as e:
        raise InputError(f"{file} is neither a run nor a card: {e}") from None
    if is_run:
        run = Run.load(file)
        return {run.context.artifact: (run, None)}
    card = Card.read(file)
    return {card.artifact["file"]: (None, card)}


def _run_of(path: Path, card: Card | None) -> Run | None:
    """The last run of this very file among those beside it; of its name, where no card tells."""
    runs = [Run.load(file) for file in (path.parent / RUNS).glob(f"{path.name}-*{SUFFIX}")]
    if card:
        runs = [run for run in runs if run.context.sha256 == card.artifact["sha256"]]
    return max(runs, key=lambda run: run.started, default=None)


def _known(run: Run | None, card: Card | None) -> dict[str, str]:
    """What may differ, in words."""
    known: dict[str, Any] = {}
    if run:
        known |= {key.replace("_", " "): getattr(run.context, key) for key in OF_RUN}
        known["file"] = run.context.sha256[:8]
    if card:
        worst = card.agreement.worst
        known |= {f"recipe: {key}": value for key, value in card.recipe.items()}
        known |= {f"version of {tool}": version for tool, version in card.tools.items()}
        known["file"] = card.artifact["sha256"][:8]
        known["weights"] = card.weights_sha256[:8]
        known["MB"] = f"{card.artifact['bytes'] / 1e6:.2f}"
        known["placement"] = card.placement or "–"
        known["agreement"] = card.agreement.status
        known["max error"] = f"{worst.max_abs_error:.1e}" if worst else "–"
    return {key: str(value) for key, value in known.items()}
