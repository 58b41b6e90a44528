"""One thread is one thread in all three runtimes: read from the CPU time that inferences used.

Every profile checks that (the doubt "threads"). More threads cannot be tested for: on a busy
machine they get no cores.
"""

import pytest
import torch
from torch import nn

from edgevit.errors import EdgevitError
from edgevit.pipeline.convert import convert
from edgevit.pipeline.profile import profile


@pytest.mark.slow
@pytest.mark.needs("executorch", "litert_torch", "onnxruntime")
def test_one_thread_uses_one_core(tmp_path):
    net = nn.Sequential(*(nn.Conv2d(128, 128, 3, padding=1) for _ in range(4)))
    outcomes = convert(
        "net",
        to=["executorch", "tflite", "onnx"],
        out=tmp_path,
        model=(net, (torch.randn(1, 128, 48, 48),)),
    )
    runs = profile([o.artifact.path for o in outcomes], rounds=6, warmup_s=0.2, probe=None)
    assert not [r for r in runs if isinstance(r, EdgevitError)]
    assert all(run.cores_used <= 1.15 for run in runs)
