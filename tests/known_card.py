"""A card whose every field is known."""

from typing import Any

from edgevit.converters.card import Card
from edgevit.converters.target import Placement
from edgevit.converters.verify import AGREES, Agreement, OutputAgreement
from edgevit.recipe import Recipe


def card(**changes: Any) -> Card:
    port = {"name": "x", "dtype": "float32", "shape": [1, 3, 8, 8]}
    output = OutputAgreement("output", 1e-7, 1e-6, 2e-7, 120.5, 1.0, None)
    values: dict[str, Any] = {
        "artifact": {"file": "net.onnx", "sha256": "0" * 64, "bytes": 3},
        "target": "onnx",
        "executes": "fp32 kernels",
        "recipe": Recipe("net ü").as_dict(),
        "model": {"name": "net", "parameters": 1, "macs": 2, "inputs": [port], "outputs": [port]},
        "weights_sha256": "1" * 64,
        "sources": {"/a b/net.py": "2" * 64},
        "preprocess": None,
        "labels": ["Käse", "猫"],
        "agreement": Agreement(AGREES, 16, (output,)),
        "rewrites": {"applied": {"views_as_reshape": 2}, "refused": [], "left_alone": None},
        "placement": Placement("XNNPACK", 2, {"cat": 1}),
        "tools": {"torch": "2.13"},
        "key": None,
    }
    return Card(**values | changes)
