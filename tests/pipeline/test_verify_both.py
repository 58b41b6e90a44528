"""`verify(both=True)`: Core ML's numbers and the evaluator's, beside each other."""

import pytest
import torch

from edgevit import convert, verify
from edgevit.converters.coreml import CoreML
from edgevit.errors import NotOnThisSystem
from edgevit.pipeline import verify as pipeline


@pytest.mark.needs("coremltools")
def test_the_evaluator_gives_a_verdict_of_its_own(tmp_path, monkeypatch):
    """Off a Mac the evaluator stands in for Core ML too: two sessions, two verdicts."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU()), (torch.randn(1, 4),)
    (made,) = convert("net", model=model, to=["coreml"], out=tmp_path)
    monkeypatch.setattr(pipeline, "check_host", lambda name: CoreML())
    verdicts = verify([made.artifact.path], model=model, both=True)
    assert [v.evaluated for v in verdicts] == [False, True]
    assert all(v.agreement.status == "agrees" for v in verdicts)


@pytest.mark.skipif(CoreML.runs_here, reason="on a Mac both are there")
def test_off_a_mac_it_says_so(tmp_path):
    with pytest.raises(NotOnThisSystem, match="macOS only"):
        verify([tmp_path / "net.mlpackage"], both=True)
