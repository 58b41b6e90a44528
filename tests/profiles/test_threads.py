"""The number of threads is what the runtime takes, in all three: read from the CPU time it used."""

import pytest
import torch
from torch import nn

from edgevit.errors import EdgevitError
from edgevit.pipeline.convert import convert
from edgevit.pipeline.profile import profile
from edgevit.profiles.devices.host import available_cores


@pytest.mark.slow
@pytest.mark.needs("executorch", "litert_torch", "onnxruntime")
def test_threads_are_what_was_asked_for(tmp_path):
    net = nn.Sequential(*(nn.Conv2d(128, 128, 3, padding=1) for _ in range(4)))
    outcomes = convert(
        "net",
        to=["executorch", "tflite", "onnx"],
        out=tmp_path,
        model=(net, (torch.randn(1, 128, 48, 48),)),
    )
    files = [o.artifact.path for o in outcomes]
    used = {}
    for threads in (1, 2) if available_cores() > 1 else (1,):
        runs = profile(files, threads=threads, rounds=6, warmup_s=0.2, probe=None)
        assert not [r for r in runs if isinstance(r, EdgevitError)]
        used[threads] = [run.cores_used for run in runs]
    assert all(cores <= 1.15 for cores in used[1])
    assert all(two > one + 0.2 for one, two in zip(used[1], used.get(2, [9, 9, 9]), strict=True))
