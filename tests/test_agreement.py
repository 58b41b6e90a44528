"""The agreement table: models × targets × precisions, each file run in its own runtime.

The weights are those of `models.drawn`, which hide no branch: a fault in any shows in the output.

KNOWN_FAILURES is strict: what starts to work must be taken out. It is the support matrix.
"""

import numpy as np
import placed
import pytest

from edgevit.converters.verify import AGREES
from edgevit.pipeline.convert import convert
from edgevit.recipe import Recipe

TARGETS = ("executorch", "tflite", "onnx", "coreml")
DELEGATED = ("executorch", "tflite")
# Model → input side; small, because what is proved does not depend on it. None: the model's own.
SIDES = {
    "efficientmod_xxs": 64,
    "efficientmod_s": 64,
    "mobilenetv2_100": 64,
    "efficientnet_b0": 64,
    "fasternet_t0": 64,
    "repvit_m0_9": 64,
    "fastvit_t8": 64,
    "poolformer_s12": 64,
    "mobilevitv2_100": 64,
    "swiftformer_xs": 64,
    "shvit_s1": 128,
    "efficientformerv2_s0": None,
    "deit_tiny_distilled_patch16_224": 64,
}
# The rest of the zoo, for the targets whose delegate has to take them whole.
MORE_SIDES = {
    "efficientmod_xs": 64,
    "efficientmod_s_conv": 64,
    "edgevit_xxs": 64,
    "mobileformer_508m": 64,
    "mobilenetv4_conv_small": 64,
    "mobileone_s1": 64,
    "starnet_s1": 64,
    "convnext_tiny": 64,
    "mobilevit_xs": 64,
    "efficientformer_l1": None,
    "deit_tiny": 64,
    "deit_small": 64,
    "vit_small": 64,
}
IN_HALF = ("efficientmod_xxs", "mobilenetv2_100", "deit_tiny_distilled_patch16_224")
CASES = [(name, "fp32", TARGETS) for name in SIDES]
CASES += [(name, "fp32", DELEGATED) for name in MORE_SIDES]
CASES += [(name, "fp16", TARGETS) for name in IN_HALF]
KNOWN_FAILURES: dict[tuple[str, str, str], str] = {}


@pytest.mark.slow
@pytest.mark.needs("executorch", "litert_torch", "onnxruntime", "coremltools")
@pytest.mark.parametrize(("name", "precision", "targets"), CASES)
def test_every_file_agrees_with_float64_and_runs_in_one_delegate(
    name, precision, targets, tmp_path
):
    recipe = Recipe(name, input_size=(SIDES | MORE_SIDES)[name])
    outcomes = convert(recipe, to=targets, precisions=[precision], out=tmp_path)
    found = {}
    for outcome in outcomes:
        card = outcome.artifact.card if outcome.artifact else None
        found[outcome.job.target] = card.agreement.status if card else str(outcome.error)
        if card and card.agreement.worst:
            assert np.isfinite(card.agreement.worst.max_abs_error)
        if card and precision == "fp32" and outcome.job.target in DELEGATED:
            partitions, outside = getattr(placed, outcome.job.target)(outcome.artifact.path)
            assert (partitions, outside) == (1, [])
    expected = dict.fromkeys(targets, AGREES)
    expected |= {t: e for (m, p, t), e in KNOWN_FAILURES.items() if (m, p) == (name, precision)}
    assert found == expected
