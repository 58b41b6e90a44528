"""The agreement table: models × targets × precisions, each file run in its own runtime.

A model with fresh random weights hides its branches: layer scales start at 1e-6 and the last batch
norm of a residual branch at zero. So the one-dimensional weights and the running statistics are
drawn anew here, and a fault in any branch shows in the output.

KNOWN_FAILURES is strict: what starts to work must be taken out. It is the support matrix.
"""

import numpy as np
import pytest
import torch
from torch import nn

from edgevit import models
from edgevit.converters.verify import AGREES, NOT_EXECUTED
from edgevit.pipeline.convert import convert

TARGETS = ("executorch", "tflite", "onnx", "coreml")
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
IN_HALF = ("efficientmod_xxs", "mobilenetv2_100", "deit_tiny_distilled_patch16_224")
CASES = [(name, "fp32") for name in SIDES] + [(name, "fp16") for name in IN_HALF]
KNOWN_FAILURES: dict[tuple[str, str, str], str] = {}


def draw_anew(module: nn.Module) -> None:
    """Give every norm, bias, layer scale and running statistic a value of ordinary size."""
    rng = torch.Generator().manual_seed(0)
    tensors = [*module.named_parameters(), *module.named_buffers()]
    for name, tensor in tensors:
        if not tensor.is_floating_point() or tensor.numel() != max(tensor.shape, default=0):
            continue
        centred = name.endswith(("bias", "running_mean"))
        drawn = torch.rand(tensor.shape, generator=rng)
        tensor.data.copy_((drawn - 0.5) * 0.4 if centred else 0.5 + drawn)


@pytest.mark.slow
@pytest.mark.needs("executorch", "litert_torch", "onnxruntime", "coremltools")
@pytest.mark.parametrize(("name", "precision"), CASES)
def test_every_file_agrees_with_float64(name, precision, tmp_path):
    model = models.build(name, input_size=SIDES[name])
    draw_anew(model.module)
    outcomes = convert(
        name,
        to=TARGETS,
        precisions=[precision],
        out=tmp_path,
        model=(model.module, model.inputs),
    )
    found = {}
    for outcome in outcomes:
        card = outcome.artifact.card if outcome.artifact else None
        found[outcome.job.target] = card.agreement.status if card else str(outcome.error)
        if card and card.agreement.worst:
            assert np.isfinite(card.agreement.worst.max_abs_error)
    expected = {t: NOT_EXECUTED if t == "coreml" else AGREES for t in TARGETS}
    expected |= {t: e for (m, p, t), e in KNOWN_FAILURES.items() if (m, p) == (name, precision)}
    assert found == expected
