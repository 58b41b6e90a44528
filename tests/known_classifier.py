"""A classifier of six classes with its card, as `edgevit convert` would have left both."""

from pathlib import Path
from typing import Any

import made_by_hand
import numpy as np
from known_card import card

from edgevit import digest
from edgevit.converters.card import card_of
from edgevit.converters.verify import AGREES, Agreement, OutputAgreement
from edgevit.preprocess import Preprocess
from edgevit.recipe import Recipe

PREPARE = Preprocess(8, 8)
NAMES = ["temple", "flower", "Käse", "猫", "boat", "lamp"]


def classifier(
    file: Path,
    *,
    target: str = "onnx",
    tolerance: float = 1e-5,
    status: str = AGREES,
    **changes: Any,
) -> Path:
    """Written to `file`; its suffix is the target's. changes: of the card."""
    if target == "coreml":
        made_by_hand.by(made_by_hand.MLPACKAGE_CLASSIFIER, file)
    else:
        made_by_hand.onnx_classifier(file)
    picture = {"name": "x", "dtype": "float32", "shape": [1, 3, 8, 8]}
    scores = {"name": "y", "dtype": "float32", "shape": [1, 6]}
    output = OutputAgreement("y", 1e-7, tolerance, 2e-7, 120.5, 1.0, 1.0)
    values: dict[str, Any] = {
        "artifact": {
            "file": file.name,
            "sha256": digest.of(file),
            "bytes": digest.size_bytes(file),
        },
        "target": target,
        "recipe": Recipe("net").as_dict(),
        "model": {
            "name": "net",
            "parameters": 18,
            "macs": 18,
            "inputs": [picture],
            "outputs": [scores],
        },
        "preprocess": PREPARE.as_dict(),
        "labels": NAMES,
        "agreement": Agreement(status, 16, (output,) if status == AGREES else ()),
    }
    card(**values | changes).write(card_of(file))
    return file


def probabilities(picture: Path) -> np.ndarray:
    """What it should compute, worked out by hand."""
    means = PREPARE.apply(picture)[0].mean((1, 2), dtype=np.float64)
    odds = np.exp(made_by_hand.weights().astype(np.float64) @ means)
    return odds / odds.sum()
